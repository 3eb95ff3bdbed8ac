"""Subnet: a range of addresses on a network."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pileus.model import addresses
from pileus.model.noun import Keeper, Noun, Part, Ref

Ipv6Mode = Literal["dhcpv6", "slaac"]
"""How guests come to their IPv6 addresses: they are given them, or form them from their MACs."""


class Ipv6Block(Part, frozen=True, kw_only=True):
    """A subnet's range of IPv6, a /64; `id` is Amazon's for its association with the subnet."""

    id: str
    cidr: str


class Wanted(Part, frozen=True, kw_only=True):
    """The gateway is the range's first address, the metadata localport its second; the last is the broadcast.

    `map_public`: what is launched in it has a public address unless the launch says otherwise.
    Unless they are said: `gateway`, `localport`, and as `pool` (FIRST-LAST) the addresses that ports may have, as of
    Neutron's subnets. `ipv6` is None without a range of IPv6; with `assign_ipv6`, new ports have an address of it
    unless they are made with others. The router's IPv6 address is the first of the range.
    """

    network: Annotated[str, Ref("network", "owned")]
    cidr: str
    zone: str = ""
    default: bool = False
    map_public: bool = True
    gone: bool = False
    pool: str = ""
    gateway: str = ""
    localport: str = ""
    ipv6: Ipv6Block | None = None
    ipv6_mode: Ipv6Mode = "dhcpv6"
    assign_ipv6: bool = False


class Subnet(Noun, frozen=True, kw_only=True):
    """Every port takes its address from one."""

    KIND: ClassVar[str] = "subnet"
    PREFIX: ClassVar[str] = "subnet"
    CONTEXT_OF: ClassVar[tuple[Keeper, ...]] = ("host", "engine")
    QUOTA: ClassVar[dict[str, int]] = {"subnets": 20}
    RENAMED: ClassVar[bool] = True
    wanted: Wanted
    assigned: None = None
    seen: None = None

    def carriers(self) -> tuple[tuple[str, str], ...]:
        """Its network."""
        return (("network", self.wanted.network),)


def gateway(wanted: Wanted) -> str:
    """The router's address."""
    return wanted.gateway or addresses.gateway(wanted.cidr)


def localport(wanted: Wanted) -> str:
    """The metadata service's own address, and the resolver's: it is the same place."""
    return wanted.localport or addresses.localport(wanted.cidr)


def usable(wanted: Wanted) -> range:
    """Offsets into the range that ports may have."""
    if not wanted.pool:
        return addresses.usable(wanted.cidr)
    first, _, last = wanted.pool.partition("-")
    return range(addresses.offset(wanted.cidr, first), addresses.offset(wanted.cidr, last) + 1)
