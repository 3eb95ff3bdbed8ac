"""Network ACL: numbered rules for packets that enter or leave a subnet, each packet by itself."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pileus.model import bounds
from pileus.model.errors import QuotaExceeded
from pileus.model.noun import Claim, Keeper, Noun, Part, Ref
from pileus.model.routetable import SubnetAssociation

EVERYTHING = -1
"""The `protocol` of an entry for all protocols."""

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
ICMPS = (ICMP, ICMPV6)


class AclEntry(Part, frozen=True, kw_only=True):
    """Packets from `cidr` into the subnet, or for egress out of it to `cidr`, are allowed or denied.

    The entry with the lowest number that fits decides; no entry: denied. Ports are those that a packet goes to. An
    ICMP type or code that is -1 admits all.
    """

    number: int
    egress: bool = False
    action: Literal["allow", "deny"] = "allow"
    protocol: int = EVERYTHING
    cidr: str = "0.0.0.0/0"
    port_min: int | None = None
    port_max: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


OPEN = (AclEntry(number=100), AclEntry(number=100, egress=True))
"""The entries of a new default ACL, which allow everything."""

OPEN_IPV6 = (AclEntry(number=101, cidr="::/0"), AclEntry(number=101, egress=True, cidr="::/0"))
"""The further entries of the default ACL of a router with ranges of IPv6."""


class Wanted(Part, frozen=True, kw_only=True):
    """The `default` one is for all subnets of the router that no ACL names."""

    router: Annotated[str, Ref("router", "owned")]
    default: bool = False
    entries: tuple[AclEntry, ...] = ()
    associations: tuple[SubnetAssociation, ...] = ()
    gone: bool = False


class NetworkAcl(Noun, frozen=True, kw_only=True):
    """Packets between guests of one subnet pass none. Its body is a part of the router's."""

    KIND: ClassVar[str] = "networkacl"
    PREFIX: ClassVar[str] = "acl"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("engine",)
    QUOTA: ClassVar[dict[str, int]] = {"networkacls": 200}
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def is_open(self, *, ipv6: bool) -> bool:
        """Whether it allows everything that a router routes, which has ranges of IPv6 or has not."""
        entries = set(self.wanted.entries)
        return entries == {*OPEN, *OPEN_IPV6} or (not ipv6 and entries == set(OPEN))

    def claims(self) -> tuple[Claim, ...]:
        """Its subnets, each of which is named by one ACL at most; and its router, if it is the default one."""
        subnets = tuple((self.KIND, association.subnet) for association in self.wanted.associations)
        return (*subnets, (self.KIND, self.wanted.router)) if self.wanted.default else subnets

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """Its router."""
        return (("router", self.wanted.router),)

    def check(self, before: Noun | None = None) -> None:
        """Of the number of its entries in each direction as well."""
        super().check(before)
        if before is not None and self.wanted.entries == before.wanted.entries:
            return
        egress = sum(entry.egress for entry in self.wanted.entries)
        if max(egress, len(self.wanted.entries) - egress) > bounds.ACL_ENTRIES.most:
            text = f"A network ACL has at most {bounds.ACL_ENTRIES.most} entries in each direction."
            raise QuotaExceeded(text, noun=self.KIND, reason="entries")
