"""Subnets, each on a network of its own: made in a range of a router, changed, and deleted when nothing is on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses
from pileus.model.errors import Conflict, InvalidValue, NotFound
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.network import Network
from pileus.model.network import Wanted as NetworkWanted
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.subnet import Ipv6Block, Subnet, Wanted
from pileus.rules import find, ipv6, routetable
from pileus.rules.defaultnetwork import add_default_subnet
from pileus.rules.network import check_range
from pileus.rules.rights import requires
from pileus.rules.subnet import check_apart, check_place, subnets_on
from pileus.verbs.networkacl import forget_subnet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pileus.model.caller import Caller
    from pileus.model.subnet import Ipv6Mode
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


@requires("member")
def create(
    caller: Caller,
    core: Core,
    router: str,
    cidr: str,
    zone: str = "",
    tags: Mapping[str, str] | None = None,
    *,
    ipv6_cidr: str = "",
    ipv6_mode: Ipv6Mode = "dhcpv6",
) -> Subnet:
    """Make a subnet on the router with this uuid, on a network of its own; with a range of IPv6 if one is named.

    Raises InvalidValue for a range that is not the router's, or that another subnet has a part of. NoCapacity for
    `AUTO` as range of IPv6 where none is free.
    """
    check_range(cidr, Subnet.KIND)
    if zone not in ("", core.place.zone):
        raise InvalidValue(f"The zone '{zone}' does not exist.", noun=Subnet.KIND, ident=zone, reason="zone")
    with core.store.write() as tx:
        on = find.living(caller, tx, Router, router)
        tx.lock(on)
        check_place(tx, on, cidr)
        block = _block(on, routetable.subnets_of(tx, on.uuid), ipv6_cidr) if ipv6_cidr else None
        network = tx.add(Network(uuid=new_uuid(), project=on.project, wanted=NetworkWanted(router=on.uuid)))
        wanted = Wanted(
            network=network.uuid,
            cidr=cidr,
            zone=core.place.zone,
            map_public=False,
            ipv6=block,
            ipv6_mode=ipv6_mode,
        )
        subnet = tx.add(Subnet(uuid=new_uuid(), project=on.project, tags=dict(tags or {}), wanted=wanted))
        tx.add_journal_line(caller, network, "network.create", goal=network.generation)
        tx.add_journal_line(caller, subnet, "subnet.create", outcome="done")
        tx.wake(network)
        routetable.wake_router(tx, on.uuid)
        return subnet


@requires("member")
def add(
    caller: Caller,
    core: Core,
    network: str,
    cidr: str,
    zone: str = "",
    tags: Mapping[str, str] | None = None,
    *,
    ipv6_cidr: str = "",
    ipv6_mode: Ipv6Mode = "dhcpv6",
) -> Subnet:
    """Make a further subnet on the network with this uuid, which may have a router.

    Raises InvalidValue and NoCapacity as `create`, and InvalidValue for a range of IPv6 without a router.
    """
    check_range(cidr, Subnet.KIND)
    if zone not in ("", core.place.zone):
        raise InvalidValue(f"The zone '{zone}' does not exist.", noun=Subnet.KIND, ident=zone, reason="zone")
    with core.store.write() as tx:
        on = find.living(caller, tx, Network, network)
        tx.lock(on)
        router = tx.need(Router, on.wanted.router) if on.wanted.router else None
        if router is not None:
            tx.lock(router)
            check_place(tx, router, cidr)
        check_apart(cidr, subnets_on(tx, on.uuid))
        block = _block_on(tx, on, router, ipv6_cidr) if ipv6_cidr else None
        wanted = Wanted(
            network=on.uuid,
            cidr=cidr,
            zone=core.place.zone,
            map_public=False,
            ipv6=block,
            ipv6_mode=ipv6_mode,
        )
        subnet = tx.add(Subnet(uuid=new_uuid(), project=on.project, tags=dict(tags or {}), wanted=wanted))
        tx.add_journal_line(caller, subnet, "subnet.create", outcome="done")
        tx.wake(on)
        if router is not None:
            routetable.wake_router(tx, router.uuid)
        return subnet


@requires("member")
def create_default(caller: Caller, core: Core, zone: str) -> Subnet:
    """Make the default subnet of the project's default router anew. Raises Conflict, NotFound, InvalidValue."""
    if zone != core.place.zone:
        raise InvalidValue(f"The zone '{zone}' does not exist.", noun=Subnet.KIND, ident=zone, reason="zone")
    with core.store.write() as tx:
        routers = [router for router in tx.list(Router, project=caller.project) if router.wanted.default]
        on = next((router for router in routers if not router.wanted.gone), None)
        if on is None:
            raise NotFound("The project has no default router.", noun=Router.KIND, reason="no-default")
        tx.lock(on)
        for subnet in routetable.subnets_of(tx, on.uuid):
            if subnet.wanted.default:
                text = f"The zone has a default subnet, {subnet.label}."
                raise Conflict(text, noun=Subnet.KIND, ident=subnet.uuid, reason="default-exists")
            if addresses.overlap(subnet.wanted.cidr, core.place.subnet_cidr):
                text = f"The range {core.place.subnet_cidr} of the default subnet overlaps with that of {subnet.label}."
                raise Conflict(text, noun=Subnet.KIND, ident=subnet.uuid, reason="overlap")
        routetable.wake_router(tx, on.uuid)
        return add_default_subnet(caller, core, tx, on)


def _block(router: Router, others: Iterable[Subnet], cidr: str) -> Ipv6Block:
    others = list(others)
    cidr = ipv6.free_subnet_range(router, others) if cidr == ipv6.AUTO else cidr
    return Ipv6Block(id=new_ec2("subnet-cidr-assoc"), cidr=ipv6.check_subnet_range(cidr, router, others))


def _block_on(tx: Reader, network: Network, router: Router | None, cidr: str) -> Ipv6Block:
    """The range of IPv6 of a new subnet on a network. Raises InvalidValue where that has no router."""
    if router is None:
        text = f"The {network.label} has no router, which has the ranges of IPv6."
        raise InvalidValue(text, noun=Subnet.KIND, ident=network.uuid, reason="no-router")
    return _block(router, routetable.subnets_of(tx, router.uuid), cidr)


@requires("member")
def add_ipv6(caller: Caller, core: Core, uuid: str, cidr: str) -> Ipv6Block:
    """Give a subnet a range of IPv6, a /64 of its router's or `AUTO`.

    Raises Conflict where it has one, InvalidValue, NoCapacity.
    """
    with core.store.write() as tx:
        subnet = find.living(caller, tx, Subnet, uuid)
        network = tx.need(Network, subnet.wanted.network)
        if subnet.wanted.ipv6 is not None or not network.wanted.router:
            text = f"The {subnet.label} has a range of IPv6, or no router."
            raise Conflict(text, noun=Subnet.KIND, ident=uuid, reason="ipv6")
        router = tx.need(Router, network.wanted.router)
        tx.lock(router)
        block = _block(router, routetable.subnets_of(tx, router.uuid), cidr)
        _modified(caller, tx, subnet, ipv6=block)
        return block


@requires("member")
def remove_ipv6(caller: Caller, core: Core, ident: str) -> tuple[Subnet, Ipv6Block]:
    """Take a range of IPv6 (by its id) from its subnet. Raises NotFound, Conflict while ports have addresses of it."""
    with core.store.write() as tx:
        for subnet in tx.list(Subnet, project=caller.project):
            block = subnet.wanted.ipv6
            if block is None or block.id != ident or subnet.wanted.gone:
                continue
            tx.lock(subnet)
            if any(port.assigned.ipv6 for port in tx.referring(Port, [subnet.uuid])):
                text = f"The range {block.cidr} of {subnet.label} has addresses in use."
                raise Conflict(text, noun=Subnet.KIND, ident=ident, reason="in-use")
            return _modified(caller, tx, subnet, ipv6=None, assign_ipv6=False), block
    text = f"The association '{ident[:40]}' does not exist."
    raise NotFound(text, noun=Subnet.KIND, ident=ident[:40], reason="range")


@requires("member")
def modify(
    caller: Caller, core: Core, uuid: str, *, map_public: bool | None = None, assign_ipv6: bool | None = None
) -> None:
    """Say whether later launches have public addresses, and new ports addresses of IPv6; None leaves it as it is.

    Raises InvalidValue where the subnet has no range of IPv6.
    """
    with core.store.write() as tx:
        subnet = find.living(caller, tx, Subnet, uuid)
        if assign_ipv6 and subnet.wanted.ipv6 is None:
            text = f"The {subnet.label} has no range of IPv6."
            raise InvalidValue(text, noun=Subnet.KIND, ident=uuid, reason="no-ipv6")
        chosen = {"map_public": map_public, "assign_ipv6": assign_ipv6}
        changes = {name: value for name, value in chosen.items() if value is not None}
        subnet = tx.want(subnet, msgspec.structs.replace(subnet.wanted, **changes))
        tx.add_journal_line(caller, subnet, "subnet.modify", outcome="done")


def _modified(caller: Caller, tx: Writer, subnet: Subnet, **changes: object) -> Subnet:
    """The subnet as changed; the network and the router whose orders have its range are woken."""
    subnet = tx.want(subnet, msgspec.structs.replace(subnet.wanted, **changes))
    tx.add_journal_line(caller, subnet, "subnet.modify", outcome="done")
    network = tx.need(Network, subnet.wanted.network)
    tx.wake(network)
    if network.wanted.router:
        routetable.wake_router(tx, network.wanted.router)
    return subnet


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a subnet, and its network with it if that has no other. Raises Conflict while anything is on it."""
    with core.store.write() as tx:
        subnet = find.living(caller, tx, Subnet, uuid)
        tx.lock(subnet)
        if tx.referrers(uuid):
            text = f"The {subnet.label} has dependencies and cannot be deleted."
            raise Conflict(text, noun=Subnet.KIND, ident=uuid, reason="in-use")
        subnet = tx.want_gone(subnet)
        tx.make_tombstone(subnet)
        tx.add_journal_line(caller, subnet, "subnet.delete", outcome="done")
        network = tx.need(Network, subnet.wanted.network)
        if not network.wanted.lasting and not subnets_on(tx, network.uuid):
            network = tx.want_gone(network)
            tx.add_journal_line(caller, network, "network.delete")
        tx.wake(network)
        if network.wanted.router:
            dissociate(caller, tx, network.wanted.router, uuid)
            routetable.wake_router(tx, network.wanted.router)


@requires("member")
def dissociate(caller: Caller, tx: Writer, router: str, subnet: str) -> None:
    """Take the subnet out of the route table and the ACL of the router that name it."""
    forget_subnet(caller, tx, router, subnet)
    for table in routetable.tables_of(tx, router):
        left = tuple(each for each in table.wanted.associations if each.subnet != subnet)
        if left != table.wanted.associations:
            changed = tx.want(table, msgspec.structs.replace(table.wanted, associations=left))
            tx.add_journal_line(caller, changed, "routetable.disassociate", outcome="done")
