"""SecurityGroup: rules that say which packets reach, and leave, the ports in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pileus.model import bounds, tag
from pileus.model.errors import QuotaExceeded
from pileus.model.network import Assigned, Seen
from pileus.model.noun import Claim, Keeper, Noun, Part, Ref

Action = Literal["allow", "deny"]
Protocol = Literal["tcp", "udp", "icmp", "icmpv6", "all"]


class Rule(Part, frozen=True, kw_only=True):
    """One rule; exactly one of `cidr`, `group`, `prefixlist` (uuids) and `tag` (a network tag) is the other side.

    Ports inclusive; for icmp: type and code, -1 any. A rule with `targets` holds for the group's ports that have one of
    these network tags. Of the rules with a `priority`, 0 to 65535, the one with the lowest decides, and of equal ones
    the one that denies; then the rules without a priority, which allow, in no order.

    `cidr` is a range of IPv4 or of IPv6. A group's members are meant with all of their addresses.
    A protocol that has no name here is given by its IP protocol number in `number`, with `protocol` "all".
    A rule with a prefix list counts as `max_entries` rules: as many as the list may have entries.
    """

    id: str
    direction: Literal["ingress", "egress"] = "ingress"
    action: Action = "allow"
    priority: int | None = None
    protocol: Protocol = "all"
    number: int | None = None
    port_min: int | None = None
    port_max: int | None = None
    cidr: str = ""
    group: str = ""
    prefixlist: str = ""
    tag: str = ""
    targets: tuple[str, ...] = ()
    max_entries: int = 0
    description: str = ""
    tags: dict[str, str] = {}

    def match(self) -> tuple[object, ...]:
        """Return the rule without its id, description and tags: two rules with the same match are duplicates."""
        return (
            self.direction,
            self.action,
            self.priority,
            self.protocol,
            self.number,
            self.port_min,
            self.port_max,
            self.cidr,
            self.group,
            self.prefixlist,
            self.tag,
            self.targets,
        )

    def count(self) -> int:
        """The number of rules that it counts as."""
        return max(self.max_entries, 1)

    @property
    def is_plain(self) -> bool:
        """Whether it allows, in no order, by address or group: all that EC2 can express."""
        return self.action == "allow" and self.priority is None and not self.tag and not self.targets

    @property
    def rank(self) -> int:
        """The place of its priority in the order of all rules with one: equal for priorities that the engine equates.

        The engine's order is shorter than 65536: priorities from 8192 to 65527 are told apart by eights.
        """
        priority = self.priority or 0
        if priority < _COARSE:
            return priority
        return _COARSE + min((priority - _COARSE) // _STEP, _STEPS) + max(0, priority - _FINE)


_COARSE, _FINE, _STEP = 8192, 65528, 8
_STEPS = (_FINE - _COARSE) // _STEP
RANKS = _COARSE + _STEPS + _STEP
"""The number of ranks of rules with a priority."""


class Wanted(Part, frozen=True, kw_only=True):
    """`selectors` and `prefixlists` repeat the nouns that rules name, so that the store knows who refers to whom.

    Groups of other routers are no selectors: they may go, and the rules that name them then admit nothing.

    A group is for the networks of one router, or without one for all networks of its project.
    """

    router: Annotated[str | None, Ref("router", "owned")] = None
    description: str = ""
    rules: tuple[Rule, ...] = ()
    selectors: Annotated[tuple[str, ...], Ref("securitygroup", "uses")] = ()
    prefixlists: Annotated[tuple[str, ...], Ref("prefixlist", "uses")] = ()
    default: bool = False
    gone: bool = False


class SecurityGroup(Noun, frozen=True, kw_only=True):
    """Packets that no rule admits are dropped. Its name is unique on its router; a project has one default group."""

    KIND: ClassVar[str] = "securitygroup"
    PREFIX: ClassVar[str] = "sg"
    QUOTA: ClassVar[dict[str, int]] = {"securitygroups": 100, "rules": 1000}
    KEEPER: ClassVar[Keeper] = "engine"
    DROPPED: ClassVar[dict[str, Any]] = {"description": "", "rules": (), "selectors": (), "prefixlists": ()}
    RENAMED: ClassVar[bool] = True
    NAME_IS_TAG: ClassVar[bool] = False
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()

    def claims(self) -> tuple[Claim, ...]:
        """Its name on its router, which is free as soon as the group is to go: the engine knows groups by uuid."""
        if self.wanted.gone or not (self.wanted.router or self.wanted.default):
            return ()
        return ((f"securitygroup:{self.wanted.router or self.project}", self.name),)

    def check(self, before: Noun | None = None) -> None:
        """Of its description and its rules as well, as far as `before` has not got them."""
        super().check(before)
        if before is None or self.wanted.description != before.wanted.description:
            tag.check_text(self.wanted.description, bounds.DESCRIPTION.most, "A security group's description")
        rules_before: tuple[Rule, ...] = before.wanted.rules if before else ()
        known_rules = {rule.id: rule for rule in rules_before}
        for rule in self.wanted.rules:
            if rule != known_rules.get(rule.id):
                tag.check(rule.tags)
                tag.check_text(rule.description, bounds.DESCRIPTION.most, "A rule's description")
        counts, counts_before = _counts(self.wanted.rules), _counts(rules_before)
        for direction, count in counts.items():
            if count > max(bounds.RULES.most, counts_before[direction]):
                text = f"A security group has at most {bounds.RULES.most} {direction} rules."
                raise QuotaExceeded(text, noun=self.KIND, ident=self.ec2_id, reason="rules")

    def amounts(self) -> dict[str, int]:
        """Itself, and its rules."""
        return {**super().amounts(), "rules": sum(rule.count() for rule in self.wanted.rules)}


def _counts(rules: Iterable[Rule]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for rule in rules:
        counts[rule.direction] += rule.count()
    return counts
