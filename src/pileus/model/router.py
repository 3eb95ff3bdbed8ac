"""Router: joins networks; with its address range it is what EC2 calls a VPC."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from pileus.model.errors import Fault
from pileus.model.network import Seen
from pileus.model.noun import Claim, Keeper, Noun, Part, Ref

if TYPE_CHECKING:
    from collections.abc import Iterable

GATEWAYS = 3
"""Switches that a router may leave by: one carries it, the others are there for when that is lost."""

NO_WAY_OUT = Fault(
    "OutsideExhausted",
    "the outside network has no free address for this router, so its guests reach nothing outside: release a floating "
    "address, or start the cloud with a larger PILEUS_FLOATING_CIDR",
)
"""Shown by a router for which the outside network has no address left; everything else of it works."""


IPV6_POOL = "ipv6"
"""The pool of claims of the ranges of IPv6 that routers have."""


class Range(Part, frozen=True, kw_only=True):
    """A further range of addresses; `id` is Amazon's for its association with the router."""

    id: str
    cidr: str


class Wanted(Part, frozen=True, kw_only=True):
    """`cidr` and `ranges` are what its subnets are cut from; `default` marks the project's own first router.

    `ipv6_ranges` are ranges of the cloud's IPv6 addresses, each a claim.

    `dns_support`: guests are told of the resolver. `dns_hostnames`: their public addresses have names.
    `dhcpoptionset` is the set that guests are configured with; None for the cloud's own domain and resolver.
    """

    cidr: str = ""
    ranges: tuple[Range, ...] = ()
    default: bool = False
    dns_support: bool = True
    dns_hostnames: bool = True
    dhcpoptionset: Annotated[str | None, Ref("dhcpoptionset", "uses")] = None
    ipv6_ranges: tuple[Range, ...] = ()
    gone: bool = False


class Assigned(Part, frozen=True, kw_only=True):
    """`address` on the outside network, a claim, while a port is on one of its networks; `content` as a network's.

    Empty, too, when the outside network had none left.
    """

    address: str = ""
    content: str = ""


class Router(Noun, frozen=True, kw_only=True):
    """Routes between its networks' subnets."""

    KIND: ClassVar[str] = "router"
    PREFIX: ClassVar[str] = "vpc"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("host",)
    QUOTA: ClassVar[dict[str, int]] = {"routers": 5}
    KEEPER: ClassVar[Keeper] = "engine"
    RENAMED: ClassVar[bool] = True
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()

    @property
    def cidrs(self) -> tuple[str, ...]:
        """All of its ranges of IPv4, the first one first."""
        return (self.wanted.cidr, *(each.cidr for each in self.wanted.ranges))

    @property
    def ipv6_cidrs(self) -> tuple[str, ...]:
        """All of its ranges of IPv6."""
        return tuple(each.cidr for each in self.wanted.ipv6_ranges)

    def claims(self) -> tuple[Claim, ...]:
        """Its address on the outside network, and its ranges of IPv6."""
        ranges = tuple((IPV6_POOL, cidr) for cidr in self.ipv6_cidrs)
        return (*ranges, ("floating", self.assigned.address)) if self.assigned.address else ranges

    def as_context(self) -> Noun:
        """Without its address, which comes and goes, and its option set, which the engine's record of it has."""
        wanted = msgspec.structs.replace(self.wanted, dhcpoptionset=None)
        return msgspec.structs.replace(self, tags={}, wanted=wanted, assigned=Assigned())

    def yields(self) -> bool:
        """It is given another address, and no user knows its own."""
        return True


def gateways(uuid: str, switches: Iterable[str]) -> tuple[str, ...]:
    """Which of `switches` the router `uuid` may leave by, the first rather than the second.

    Routers spread evenly, and each keeps its own when other switches come and go (highest random weight: Thaler and
    Ravishankar, 1998).
    """

    def weight(switch: str) -> bytes:
        return hashlib.sha256(f"{uuid}/{switch}".encode()).digest()

    return tuple(sorted(switches, key=weight, reverse=True)[:GATEWAYS])
