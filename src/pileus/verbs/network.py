"""Networks, subnets and routers as lists; every project has its own default ones."""

from __future__ import annotations

import ipaddress
from socket import inet_ntoa
from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses
from pileus.model.errors import InvalidValue, NoCapacity, NotFound
from pileus.model.network import Network
from pileus.model.router import Router
from pileus.model.subnet import Subnet
from pileus.verbs import find
from pileus.verbs.securitygroup import default_router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core


class SubnetView(msgspec.Struct, frozen=True, kw_only=True):
    """A subnet with the network and router it is on, and how many of its addresses are free."""

    subnet: Subnet
    network: Network
    router: Router
    free: int


def routers(caller: Caller, core: Core, ids: Sequence[str] = ()) -> list[Router]:
    """The project's routers (EC2's VPCs), all or those with these EC2 ids."""
    with core.store.read() as tx:
        found = tx.list(Router, project=caller.project)
        if ids:
            found = find.by_ec2(caller, tx, Router, ids)
    return [router for router in found if not router.wanted.gone]


def subnets(caller: Caller, core: Core, ids: Sequence[str] = ()) -> list[SubnetView]:
    """The project's subnets, all or those with these EC2 ids."""
    with core.store.read() as tx:
        found = tx.list(Subnet, project=caller.project)
        if ids:
            found = find.by_ec2(caller, tx, Subnet, ids)
        networks = tx.many(Network, [subnet.wanted.network for subnet in found])
        over = tx.many(Router, [network.wanted.router or "" for network in networks.values()])
        taken = tx.claim_counts([f"subnet:{subnet.uuid}" for subnet in found])
        views = []
        for subnet in found:
            network = networks[subnet.wanted.network]
            router = over.get(network.wanted.router or "")
            if router is not None and not subnet.wanted.gone:
                total = len(addresses.usable(subnet.wanted.cidr))
                free = total - taken.get(f"subnet:{subnet.uuid}", 0)
                views.append(SubnetView(subnet=subnet, network=network, router=router, free=free))
    return views


def networks(caller: Caller, core: Core) -> list[Network]:
    """The project's networks."""
    with core.store.read() as tx:
        return [network for network in tx.list(Network, project=caller.project) if not network.wanted.gone]


def default_subnet(caller: Caller, tx: Reader, zone: str = "") -> Subnet:
    """The subnet of an instance that names none (in `zone`, if one is named)."""
    default_router(caller, tx)
    for subnet in tx.list(Subnet, project=caller.project):
        if subnet.wanted.default and not subnet.wanted.gone and zone in ("", subnet.wanted.zone):
            return subnet
    raise NotFound("This project has no default subnet; name one.", noun="subnet", reason="default")


def free_addresses(tx: Reader, subnet: Subnet, least: int, most: int, asked: str = "") -> list[str]:
    """From `least` to `most` addresses of the subnet that nobody has: the one that was `asked` for, or the lowest.

    Raises NoCapacity when there are fewer, InvalidValue for an address that cannot be had.
    """
    taken = tx.taken(f"subnet:{subnet.uuid}")
    if asked:
        return [_asked(subnet, taken, asked)]
    base = int(ipaddress.IPv4Network(subnet.wanted.cidr).network_address)
    free: list[str] = []
    for offset in addresses.usable(subnet.wanted.cidr):
        address = inet_ntoa((base + offset).to_bytes(4, "big"))
        if address not in taken:
            free.append(address)
            if len(free) == most:
                return free
    if len(free) >= least:
        return free
    raise NoCapacity(
        f"The subnet '{subnet.ec2_id}' has {len(free)} free addresses left, {least} are needed.",
        noun="subnet",
        ident=subnet.ec2_id,
        reason="addresses",
    )


def free_loopbacks(tx: Writer, prefix: int, count: int) -> list[str]:
    """`count` loopback addresses of 127.`prefix` that nobody has, the search going on where the last one ended.

    Raises NoCapacity when there are fewer.
    """
    found: list[str] = []
    for _ in range(addresses.LOOPBACKS):
        offset = (tx.sequence("loopback") - 1) % addresses.LOOPBACKS
        address = addresses.loopback(prefix, offset)
        if tx.claimed("loopback", address) is None:
            found.append(address)
            if len(found) == count:
                return found
    raise NoCapacity("Every loopback address of this cloud is in use.", noun="instance", reason="loopback")


def _asked(subnet: Subnet, taken: set[str], asked: str) -> str:
    try:
        usable = addresses.offset(subnet.wanted.cidr, asked) in addresses.usable(subnet.wanted.cidr)
    except ValueError:
        usable = False
    if not usable:
        raise InvalidValue(
            f"Address {asked} does not fall within the subnet's address range",
            noun="port",
            ident=asked,
            reason="address",
        )
    if asked in taken:
        raise InvalidValue(f"Address {asked} is in use.", noun="port", ident=asked, reason="address-in-use")
    return asked
