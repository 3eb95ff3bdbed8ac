"""SecurityGroup: rules that say which packets reach, and leave, the ports in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pileus.model import bounds, tag
from pileus.model.errors import QuotaExceeded
from pileus.model.network import Assigned, Seen
from pileus.model.noun import Claim, Keeper, Noun, Part, Ref

Protocol = Literal["tcp", "udp", "icmp", "icmpv6", "all"]


class Rule(Part, frozen=True, kw_only=True):
    """One rule; exactly one of `cidr`, `group` and `prefixlist` (uuids) is the other side.

    Ports inclusive; for icmp: type and code, -1 any.

    Ranges of IPv6 are kept and told to the engine; guests have no such addresses yet, so they admit nothing.
    A protocol that has no name here is given by its IP protocol number in `number`, with `protocol` "all".
    A rule with a prefix list counts as `max_entries` rules: as many as the list may have entries.
    """

    id: str
    direction: Literal["ingress", "egress"] = "ingress"
    action: Literal["allow", "deny"] = "allow"
    priority: int = 1002
    protocol: Protocol = "all"
    number: int | None = None
    port_min: int | None = None
    port_max: int | None = None
    cidr: str = ""
    group: str = ""
    prefixlist: str = ""
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
        )

    def count(self) -> int:
        """The number of rules that it counts as."""
        return max(self.max_entries, 1)


class Wanted(Part, frozen=True, kw_only=True):
    """`selectors` and `prefixlists` repeat the nouns that rules name, so that the store knows who refers to whom."""

    router: Annotated[str, Ref("router", "owned")]
    description: str = ""
    rules: tuple[Rule, ...] = ()
    selectors: Annotated[tuple[str, ...], Ref("securitygroup", "uses")] = ()
    prefixlists: Annotated[tuple[str, ...], Ref("prefixlist", "uses")] = ()
    default: bool = False
    gone: bool = False


class SecurityGroup(Noun, frozen=True, kw_only=True):
    """Its name is unique in its VPC; what no rule admits is dropped."""

    KIND: ClassVar[str] = "securitygroup"
    PREFIX: ClassVar[str] = "sg"
    QUOTA: ClassVar[dict[str, int]] = {"securitygroups": 100, "rules": 1000}
    KEEPER: ClassVar[Keeper] = "engine"
    DROPPED: ClassVar[dict[str, Any]] = {"description": "", "rules": (), "selectors": (), "prefixlists": ()}
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()

    def claims(self) -> tuple[Claim, ...]:
        """Its name in its router, which is free as soon as the group is to go: the engine knows groups by uuid."""
        return () if self.wanted.gone else ((f"securitygroup:{self.wanted.router}", self.name),)

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
