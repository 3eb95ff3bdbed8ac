"""SecurityGroup: rules that say which packets reach, and leave, the ports in it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pileus.model.network import Assigned, Seen
from pileus.model.noun import Noun, Part, Ref

Protocol = Literal["tcp", "udp", "icmp", "icmpv6", "all"]


class Rule(Part, frozen=True, kw_only=True):
    """One rule; exactly one of `cidr` and `group` is the other side. Ports inclusive; for icmp: type and code, -1 any.

    Ranges of IPv6 are kept and told to the engine; guests have no such addresses yet, so they admit nothing.
    A protocol that has no name here is given by its IP protocol number in `number`, with `protocol` "all".
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
    description: str = ""
    tags: dict[str, str] = {}

    def match(self) -> tuple[object, ...]:
        """What the rule means, without its id, description and tags: two rules with the same match are duplicates."""
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
        )


class Wanted(Part, frozen=True, kw_only=True):
    """`selectors` repeats the groups that rules name, so that the store knows who refers to whom."""

    router: Annotated[str, Ref("router", "owned")]
    description: str = ""
    rules: tuple[Rule, ...] = ()
    selectors: Annotated[tuple[str, ...], Ref("securitygroup", "uses")] = ()
    default: bool = False
    gone: bool = False


class SecurityGroup(Noun, frozen=True, kw_only=True):
    """Its name is unique in its VPC; what no rule admits is dropped."""

    KIND: ClassVar[str] = "securitygroup"
    PREFIX: ClassVar[str] = "sg"
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()
