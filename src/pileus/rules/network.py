"""Free addresses of subnets and of the loopback range, and ways out."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from itertools import chain
from socket import inet_ntoa
from typing import TYPE_CHECKING, cast

from pileus.model import addresses
from pileus.model.egressgateway import EgressGateway
from pileus.model.errors import InvalidValue, NoCapacity, NotFound
from pileus.model.internetgateway import InternetGateway
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.routetable import RouteTable
from pileus.model.subnet import Subnet, Wanted, usable
from pileus.rules.securitygroup import default_router

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


NOTED = 1000
"""Crowded subnets of which a process notes the address that was given last: beyond that it begins anew."""

CROWDED = 64
"""Taken addresses of a subnet from which on they are not all looked at each time."""

BEHIND = 2.0
"""Seconds after a look at all of them."""


def check_range(cidr: str, noun: str) -> None:
    """Whether a range can be that of a `noun`, router or subnet: 16 to 65536 addresses, written without host bits.

    Raises InvalidValue.
    """
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        text = f"The range '{cidr[:40]}' is malformed: {error}."
        raise InvalidValue(text, noun=noun, ident=cidr[:40], reason="cidr") from error
    if not 16 <= network.prefixlen <= 28:
        text = f"The range '{cidr}' is of a size that a network cannot have: /16 to /28."
        raise InvalidValue(text, noun=noun, ident=cidr, reason="range")
    if not 0 < network[0].packed[0] < 224 or network.is_loopback or network.is_link_local:
        text = f"Guests cannot have addresses of the range '{cidr}'."
        raise InvalidValue(text, noun=noun, ident=cidr, reason="range")


def leads_out(tx: Reader, router: str) -> bool:
    """Whether a router (by uuid) needs an address of the outside network.

    A port is on one of its networks, and it has a gateway; a router without route tables needs none.
    """
    has_gateway = tx.claimed(InternetGateway.KIND, router) or tx.referring(EgressGateway, [router])
    if tx.claimed(RouteTable.KIND, router) and not has_gateway:
        return False
    on = [network.uuid for network in tx.referring(Network, [router])]
    return bool(on) and tx.is_referred(on, Port.KIND)


def default_subnet(caller: Caller, tx: Reader, zone: str = "") -> Subnet:
    """The subnet of an instance that names none (in `zone`, if one is named)."""
    default_router(caller, tx)
    for subnet in tx.list(Subnet, project=caller.project):
        if subnet.wanted.default and not subnet.wanted.gone and zone in ("", subnet.wanted.zone):
            return subnet
    raise NotFound("This project has no default subnet; name one.", noun="subnet", reason="default")


def free_addresses(
    tx: Writer, subnet: Subnet, least: int, most: int, requested_address: str = "", reserved: Iterable[str] = ()
) -> list[str]:
    """From `least` to `most` addresses of the subnet that nobody has: `requested_address` if given, or the lowest.

    The `reserved` ones are not free: somebody is about to have them. Raises NoCapacity when there are fewer,
    InvalidValue for an address that cannot be had.
    """
    if not requested_address:
        free = _behind_last(tx, subnet, most, reserved)
        if free:
            return free
    claimed_addresses = tx.taken(f"subnet:{subnet.uuid}") | set(reserved)
    if requested_address:
        return [_asked(subnet, claimed_addresses, requested_address)]
    free = []
    for address in chain.from_iterable(_addresses(subnet.wanted)):
        if address not in claimed_addresses:
            free.append(address)
            if len(free) == most:
                if len(claimed_addresses) >= CROWDED:
                    _last_given(tx)[subnet.uuid] = address, tx.now
                return free
    if len(free) >= least:
        return free
    text = f"The subnet '{subnet.ec2_id}' has {len(free)} free addresses left, {least} are needed."
    raise NoCapacity(text, noun="subnet", ident=subnet.ec2_id, reason="addresses")


def _behind_last(tx: Writer, subnet: Subnet, count: int, reserved: Iterable[str]) -> list[str]:
    """The next `count` free addresses behind the one that was given last; none where they are not close to it.

    In a crowded subnet, and for a short time, which spares a look at all that are taken. Lower ones that became free
    meanwhile are given after that.
    """
    last = _last_given(tx).get(subnet.uuid)
    if last is None or not 0 <= tx.now - last[1] < BEHIND:
        return []
    try:
        first = addresses.offset(subnet.wanted.cidr, last[0]) + 1
    except ValueError:
        return []
    offsets = usable(subnet.wanted)
    base = int(ipaddress.IPv4Network(subnet.wanted.cidr).network_address)
    end = min(first + 2 * count + 8, offsets.stop)
    near = [inet_ntoa((base + offset).to_bytes(4, "big")) for offset in range(max(first, offsets.start), end)]
    claimed = tx.holders(f"subnet:{subnet.uuid}", near).keys() | set(reserved)
    free = [address for address in near if address not in claimed][:count]
    if len(free) < count:
        return []
    _last_given(tx)[subnet.uuid] = free[-1], last[1]
    return free


def _last_given(tx: Writer) -> dict[str, tuple[str, float]]:
    """The addresses that were given last in crowded subnets, by the subnets' uuids, and since when they are noted."""
    last = cast("dict[str, tuple[str, float]]", tx.remembered.setdefault("last-given", {}))
    if len(last) > NOTED:
        last.clear()
    return last


def _addresses(wanted: Wanted) -> Iterable[tuple[str, ...]]:
    """The addresses that ports of a subnet may have, lowest first, some at a time."""
    base, offsets = int(ipaddress.IPv4Network(wanted.cidr).network_address), usable(wanted)
    for first in range(base + offsets.start, base + offsets.stop, 256):
        yield _run(first, min(first + 256, base + offsets.stop))


@lru_cache(maxsize=256)
def _run(first: int, end: int) -> tuple[str, ...]:
    return tuple(inet_ntoa(number.to_bytes(4, "big")) for number in range(first, end))


def free_loopbacks(tx: Writer, prefix: int, count: int) -> list[str]:
    """`count` loopback addresses of 127.`prefix` that nobody has, the search going on where the last one ended.

    Raises NoCapacity when there are fewer.
    """
    loopbacks: list[str] = []
    for _ in range(addresses.LOOPBACKS):
        offset = (tx.sequence("loopback") - 1) % addresses.LOOPBACKS
        address = addresses.loopback(prefix, offset)
        if tx.claimed("loopback", address) is None:
            loopbacks.append(address)
            if len(loopbacks) == count:
                return loopbacks
    raise NoCapacity("Every loopback address of this cloud is in use.", noun="instance", reason="loopback")


def _asked(subnet: Subnet, claimed_addresses: set[str], address: str) -> str:
    try:
        inside = addresses.offset(subnet.wanted.cidr, address) in usable(subnet.wanted)
    except ValueError:
        inside = False
    if not inside:
        text = f"Address {address} does not fall within the subnet's address range"
        raise InvalidValue(text, noun="port", ident=address, reason="address")
    if address in claimed_addresses:
        raise InvalidValue(f"Address {address} is in use.", noun="port", ident=address, reason="address-in-use")
    return address
