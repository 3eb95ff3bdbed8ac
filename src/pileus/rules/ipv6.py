"""Ranges and addresses of IPv6: which a router, a subnet or a port may have, and which nobody has."""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING

from pileus.model import addresses, bounds
from pileus.model.errors import InvalidValue, NoCapacity, QuotaExceeded
from pileus.model.port import Port
from pileus.model.port import ipv6_pool as pool_of
from pileus.model.router import IPV6_POOL, Router
from pileus.model.subnet import Subnet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pileus.rules.core import Place
    from pileus.rules.port import NewPort
    from pileus.store.reader import Reader

EVERYWHERE = "::/0"
AUTO = "auto"
"""In the place of a subnet's range: the lowest one that is free."""
OF_A_ROUTER, OF_A_SUBNET = 56, 64
"""Lengths of the prefixes that routers and subnets have."""

_KEPT_BACK = 4
"""The first addresses of a subnet, and its last, are no port's, as on EC2."""


def free_range(tx: Reader, place: Place) -> str:
    """The lowest /56 of the cloud's range that no router has; the first is the outside network's. Raises NoCapacity."""
    claimed_ranges = tx.taken(IPV6_POOL)
    ranges = ipaddress.IPv6Network(place.ipv6_cidr).subnets(new_prefix=OF_A_ROUTER)
    next(ranges)
    for each in ranges:
        if str(each) not in claimed_ranges:
            return str(each)
    text = f"All ranges of {place.ipv6_cidr} are in use."
    raise NoCapacity(text, noun=Router.KIND, reason="ipv6")


def free_subnet_range(router: Router, others: Iterable[Subnet]) -> str:
    """The lowest /64 of the router's ranges that no other subnet has. Raises InvalidValue, NoCapacity."""
    if not router.ipv6_cidrs:
        text = f"The {router.label} has no range of IPv6: give it one first."
        raise InvalidValue(text, noun=Subnet.KIND, ident=router.uuid, reason="no-ipv6")
    own_ranges = {other.wanted.ipv6.cidr for other in others if other.wanted.ipv6 is not None}
    for cidr in router.ipv6_cidrs:
        for each in ipaddress.IPv6Network(cidr).subnets(new_prefix=OF_A_SUBNET):
            if str(each) not in own_ranges:
                return str(each)
    text = f"All /{OF_A_SUBNET}s of the IPv6 ranges of {router.label} are in use."
    raise NoCapacity(text, noun=Subnet.KIND, ident=router.uuid, reason="ipv6")


def check_subnet_range(cidr: str, router: Router, others: Iterable[Subnet]) -> str:
    """The /64 for a subnet of the router, in its shortest form. Raises InvalidValue for one that it cannot have."""
    try:
        network = ipaddress.IPv6Network(str(addresses.parsed_range(cidr)))
    except ValueError as error:
        text = f"The range '{cidr[:50]}' is malformed: {error}."
        raise InvalidValue(text, noun=Subnet.KIND, ident=cidr[:50], reason="cidr") from error
    if network.prefixlen != OF_A_SUBNET:
        text = f"The range '{cidr}' has not the prefix of a subnet: /{OF_A_SUBNET}."
        raise InvalidValue(text, noun=Subnet.KIND, ident=cidr, reason="range")
    if not any(addresses.inside(str(network), own) for own in router.ipv6_cidrs):
        text = f"The range '{cidr}' is in none of the IPv6 ranges of {router.label}."
        raise InvalidValue(text, noun=Subnet.KIND, ident=cidr, reason="range")
    for other in others:
        if other.wanted.ipv6 is not None and addresses.overlap(str(network), other.wanted.ipv6.cidr):
            text = f"The range '{cidr}' overlaps with that of {other.label}, {other.wanted.ipv6.cidr}."
            raise InvalidValue(text, noun=Subnet.KIND, ident=cidr, reason="overlap")
    return str(network)


def check_count(count: int) -> None:
    """Raise QuotaExceeded for a `count` of IPv6 addresses that no port may have."""
    if count > bounds.ADDRESSES.most:
        text = f"A port has at most {bounds.ADDRESSES.most} IPv6 addresses."
        raise QuotaExceeded(text, noun=Port.KIND, reason="addresses")


def addresses_for(tx: Reader, subnet: Subnet, request: NewPort) -> tuple[str, ...]:
    """The addresses of a new port: those named, or as many as asked; one if the subnet says so and nothing is asked.

    Raises InvalidValue where the subnet has no range of IPv6, or an address cannot be had.
    """
    count = request.ipv6_count
    if count is None:
        count = int(subnet.wanted.assign_ipv6 and not request.ipv6_addresses)
    if not request.ipv6_addresses and not count:
        return ()
    return free_addresses(tx, subnet, count, request.ipv6_addresses)


def autoconfigured(subnet: Subnet, mac: str, own_addresses: Sequence[str]) -> tuple[str, ...]:
    """The addresses of a port that had none: where guests form them, the first is what the guest with `mac` forms."""
    block = subnet.wanted.ipv6
    if block is None or subnet.wanted.ipv6_mode != "slaac" or not own_addresses:
        return tuple(own_addresses)
    return (addresses.autoconfigured(block.cidr, mac), *own_addresses[1:])


def free_addresses(tx: Reader, subnet: Subnet, count: int, requested: Sequence[str] = ()) -> tuple[str, ...]:
    """The `requested` addresses, or else `count` others that nobody has. Raises InvalidValue."""
    block = subnet.wanted.ipv6
    if block is None:
        text = f"The {subnet.label} has no range of IPv6."
        raise InvalidValue(text, noun=Subnet.KIND, ident=subnet.uuid, reason="no-ipv6")
    if requested:
        return tuple(_requested(tx, subnet, block.cidr, address) for address in requested)
    own: list[str] = []
    base = ipaddress.IPv6Network(block.cidr)
    while len(own) < count:
        # Of so many, a random one is free; the lowest would have to be searched, and would tell of the others.
        address = str(base[_KEPT_BACK + secrets.randbelow(base.num_addresses - _KEPT_BACK - 1)])
        if address not in own and tx.claimed(pool_of(subnet.uuid), address) is None:
            own.append(address)
    return tuple(own)


def _requested(tx: Reader, subnet: Subnet, cidr: str, address: str) -> str:
    network = ipaddress.IPv6Network(cidr)
    try:
        wanted = addresses.parsed_address(address)
    except ValueError as error:
        text = f"The address '{address[:50]}' is malformed: {error}."
        raise InvalidValue(text, noun=Port.KIND, ident=address[:50], reason="address") from error
    offset = int(wanted) - int(network.network_address)
    if not _KEPT_BACK <= offset < network.num_addresses - 1:
        text = f"Address {wanted} does not fall within the subnet's IPv6 address range"
        raise InvalidValue(text, noun=Port.KIND, ident=str(wanted), reason="address")
    if tx.claimed(pool_of(subnet.uuid), str(wanted)) is not None:
        raise InvalidValue(f"Address {wanted} is in use.", noun=Port.KIND, ident=str(wanted), reason="address-in-use")
    return str(wanted)
