"""NetworkRoute tables: made for a router, given routes, associated with subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses
from pileus.model.egressgateway import EgressGateway
from pileus.model.errors import Conflict, Duplicate, InvalidValue, NotFound
from pileus.model.ids import is_uuid, new_ec2, new_uuid
from pileus.model.instance import Instance
from pileus.model.internetgateway import InternetGateway
from pileus.model.natgateway import NatGateway
from pileus.model.network import Network
from pileus.model.peering import Peering
from pileus.model.port import Port
from pileus.model.prefixlist import PrefixList
from pileus.model.router import Router
from pileus.model.routerattachment import RouterAttachment
from pileus.model.routetable import NetworkRoute, RouteTable, SubnetAssociation, Wanted
from pileus.model.subnet import Subnet
from pileus.model.transitgateway import TransitGateway
from pileus.rules import find
from pileus.rules import port as port_rules
from pileus.rules.rights import requires
from pileus.rules.routetable import (
    check_destination,
    gateway_of,
    table_of,
    tables_of,
    targets_by_router,
    wake_networks,
    wake_router,
)
from pileus.rules.token import once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


class RouteTableView(msgspec.Struct, frozen=True, kw_only=True):
    """A table with its router, and the uuids of the nouns that routes lead to and that are there."""

    table: RouteTable
    router: Router
    active: frozenset[str]


@requires("member")
def create(
    caller: Caller, core: Core, router: str, tags: Mapping[str, str] | None = None, token: str = ""
) -> RouteTable:
    """Make a table without routes for the router with this uuid."""
    with core.store.write() as tx:

        def make() -> RouteTable:
            on = find.living(caller, tx, Router, router)
            wanted = Wanted(router=on.uuid)
            table = tx.add(RouteTable(uuid=new_uuid(), project=on.project, tags=dict(tags or {}), wanted=wanted))
            tx.add_journal_line(caller, table, "routetable.create", outcome="done")
            wake_router(tx, on.uuid)
            return table

        return once(caller, tx, RouteTable, token, [router, dict(tags or {})], make)


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a table. Raises Conflict for a main one, and while a subnet is associated with it."""
    with core.store.write() as tx:
        table = find.living(caller, tx, RouteTable, uuid)
        if table.wanted.main or table.wanted.associations:
            text = f"The {table.label} has dependencies and cannot be deleted."
            raise Conflict(text, noun=RouteTable.KIND, ident=uuid, reason="in-use")
        tx.make_tombstone(_wanted(caller, tx, table, "delete", gone=True))


@requires("member")
def associate(caller: Caller, core: Core, uuid: str, subnet: str) -> str:
    """Have a subnet (by uuid) go by a table; the id of the association. Raises Conflict where it goes by another."""
    with core.store.write() as tx:
        table = find.living(caller, tx, RouteTable, uuid)
        on = _subnet(caller, tx, table, subnet)
        for association in table.wanted.associations:
            if association.subnet == subnet:
                return association.id
        return _associate(caller, tx, table, on)


@requires("member")
def disassociate(caller: Caller, core: Core, association: str) -> None:
    """Have the subnet of an association (by its id) go by the main table. Raises NotFound, InvalidValue."""
    with core.store.write() as tx:
        table = _of_association(caller, tx, association)
        if table.wanted.main == association:
            text = f"The main table {table.label} cannot be disassociated: make another table the main one."
            raise InvalidValue(text, noun=RouteTable.KIND, ident=association, reason="main")
        wake_networks(tx, [_dissociate(caller, tx, table, association)])


@requires("member")
def replace_association(caller: Caller, core: Core, association: str, uuid: str) -> str:
    """Have the subnet of an association, or all that go by the main table, go by another table; the new id."""
    with core.store.write() as tx:
        old, new = _of_association(caller, tx, association), find.living(caller, tx, RouteTable, uuid)
        if old.wanted.router != new.wanted.router:
            raise _of_another(new, old.label)
        if old.wanted.main != association:
            return _associate(caller, tx, new, _dissociate(caller, tx, old, association))
        if old.uuid == new.uuid:
            return association
        _wanted(caller, tx, old, "disassociate", main="")
        new = _wanted(caller, tx, new, "associate", main=new_ec2("rtbassoc"))
        networks = tx.referring(Network, [new.wanted.router])
        tx.wake_all(Network.KIND, [network.uuid for network in networks])
        return new.wanted.main


@requires("member")
def add_route(caller: Caller, core: Core, uuid: str, cidr: str, target: str, ident: str) -> None:
    """Lead `cidr`, a range or a prefix list's uuid, to the noun `ident` (a uuid) of kind `target`.

    Raises Duplicate where the table has a route to it.
    """
    with core.store.write() as tx:
        table = find.living(caller, tx, RouteTable, uuid)
        route = _route(caller, tx, table, cidr, target, ident)
        if any(other.destination == route.destination for other in table.wanted.routes):
            text = f"The route identified by {_named(route.destination)} already exists."
            raise Duplicate(text, noun=RouteTable.KIND, ident=route.destination, reason="route")
        _routed(caller, tx, table, (*table.wanted.routes, route))


@requires("member")
def replace_route(caller: Caller, core: Core, uuid: str, cidr: str, target: str, ident: str) -> None:
    """Lead a route of the table elsewhere. Raises NotFound where it has none to `cidr`."""
    with core.store.write() as tx:
        table = find.living(caller, tx, RouteTable, uuid)
        route = _route(caller, tx, table, cidr, target, ident)
        if all(other.destination != route.destination for other in table.wanted.routes):
            raise _no_route(route.destination)
        routes = [route if other.destination == route.destination else other for other in table.wanted.routes]
        _routed(caller, tx, table, routes)


@requires("member")
def remove_route(caller: Caller, core: Core, uuid: str, cidr: str) -> None:
    """Take the route to `cidr` away. Raises NotFound."""
    with core.store.write() as tx:
        table, destination = find.living(caller, tx, RouteTable, uuid), _destination(cidr)
        routes = [route for route in table.wanted.routes if route.destination != destination]
        if len(routes) == len(table.wanted.routes):
            raise _no_route(destination)
        _routed(caller, tx, table, routes)


def _routed(caller: Caller, tx: Writer, table: RouteTable, routes: Sequence[NetworkRoute]) -> None:
    """Give the table these routes; the order of a network says what leads out one way."""
    if any(route.target == EgressGateway.KIND for route in (*table.wanted.routes, *routes)):
        networks = tx.referring(Network, [table.wanted.router])
        tx.wake_all(Network.KIND, [network.uuid for network in networks])
    lists = tuple(dict.fromkeys(route.prefixlist for route in routes if route.prefixlist))
    _wanted(caller, tx, table, "modify", routes=tuple(routes), prefixlists=lists)


def _named(destination: str) -> str:
    """The destination of a route in messages: its range, or its prefix list."""
    return f"{PrefixList.KIND} {destination}" if is_uuid(destination) else destination


def _wanted(caller: Caller, tx: Writer, table: RouteTable, verb: str, **changes: object) -> RouteTable:
    """The table as changed, in the journal; its router is woken."""
    table = tx.want(table, msgspec.structs.replace(table.wanted, **changes))
    tx.add_journal_line(caller, table, f"routetable.{verb}", outcome="done")
    wake_router(tx, table.wanted.router)
    return table


def _associate(caller: Caller, tx: Writer, table: RouteTable, subnet: Subnet) -> str:
    other = table_of(tables_of(tx, table.wanted.router), subnet.uuid)
    if other is not None and any(each.subnet == subnet.uuid for each in other.wanted.associations):
        text = f"The {subnet.label} is associated with {other.label}."
        raise Conflict(text, noun=RouteTable.KIND, ident=subnet.uuid, reason="associated")
    association = SubnetAssociation(id=new_ec2("rtbassoc"), subnet=subnet.uuid)
    _wanted(caller, tx, table, "associate", associations=(*table.wanted.associations, association))
    wake_networks(tx, [subnet])
    return association.id


def _dissociate(caller: Caller, tx: Writer, table: RouteTable, association: str) -> Subnet:
    """Take an association out of its table; the subnet that it named."""
    subnet = next(each.subnet for each in table.wanted.associations if each.id == association)
    left = tuple(each for each in table.wanted.associations if each.id != association)
    _wanted(caller, tx, table, "disassociate", associations=left)
    return tx.need(Subnet, subnet)


def _of_association(caller: Caller, tx: Reader, association: str) -> RouteTable:
    for table in tx.list(RouteTable, project=caller.project):
        if association and association in (table.wanted.main, *(each.id for each in table.wanted.associations)):
            return table
    text = f"The association ID '{association}' does not exist"
    raise NotFound(text, noun=RouteTable.KIND, ident=association, reason="association")


def _subnet(caller: Caller, tx: Reader, table: RouteTable, uuid: str) -> Subnet:
    subnet = find.living(caller, tx, Subnet, uuid)
    if tx.need(Network, subnet.wanted.network).wanted.router != table.wanted.router:
        raise _of_another(table, subnet.label)
    return subnet


def _of_another(table: RouteTable, other: str) -> InvalidValue:
    text = f"The {table.label} and {other} belong to different networks"
    return InvalidValue(text, noun=RouteTable.KIND, ident=table.uuid, reason="other-router")


def _no_route(cidr: str) -> NotFound:
    text = f"No route with the destination {_named(cidr)} in the route table."
    return NotFound(text, noun=RouteTable.KIND, ident=cidr, reason="route")


def _destination(cidr: str) -> str:
    """The range with the bits behind its prefix cleared; the uuid of a prefix list as it is. Raises InvalidValue."""
    if is_uuid(cidr):
        return cidr
    try:
        return str(addresses.parsed_range(cidr, strict=False))
    except ValueError as error:
        text = f"The destination '{cidr[:40]}' is malformed: {error}."
        raise InvalidValue(text, noun=RouteTable.KIND, ident=cidr[:40], reason="cidr") from error


def _route(caller: Caller, tx: Reader, table: RouteTable, cidr: str, target: str, ident: str) -> NetworkRoute:
    """The route, checked: its target stands on the table's router, and its ranges are not the router's own."""
    router, destination = tx.need(Router, table.wanted.router), _destination(cidr)
    if not is_uuid(destination):
        check_destination(router, destination)
        return _led(caller, tx, table, destination, target, ident)
    prefixlist = find.living(caller, tx, PrefixList, destination)
    for entry in prefixlist.wanted.entries:
        check_destination(router, entry.cidr)
    route = _led(caller, tx, table, "", target, ident)
    most = prefixlist.wanted.max_entries
    return msgspec.structs.replace(route, prefixlist=prefixlist.uuid, max_entries=most)


def _led(caller: Caller, tx: Reader, table: RouteTable, destination: str, target: str, ident: str) -> NetworkRoute:
    if target == InternetGateway.KIND:
        return _gateway_route(caller, tx, table, destination, ident)
    instance = ""
    if target == Instance.KIND:
        instance, ident = ident, port_rules.only(tx, find.living(caller, tx, Instance, ident)).uuid
    _check_version(destination, target)
    if target == EgressGateway.KIND:
        router_uuid = find.living(caller, tx, EgressGateway, ident).wanted.router
        route = NetworkRoute(cidr=destination, target="egressgateway", uuid=ident)
    elif target == NatGateway.KIND:
        router_uuid = find.living(caller, tx, NatGateway, ident).wanted.router
        route = NetworkRoute(cidr=destination, target="natgateway", uuid=ident)
    elif target == Peering.KIND:
        peering = find.living(caller, tx, Peering, ident)
        ends = (peering.wanted.router, peering.wanted.peer)
        router_uuid = table.wanted.router if table.wanted.router in ends else ""
        route = NetworkRoute(cidr=destination, target="peering", uuid=ident)
    elif target == TransitGateway.KIND:
        gateway = find.living(caller, tx, TransitGateway, ident)
        if tx.claimed(RouterAttachment.KIND, f"{gateway.uuid}/{table.wanted.router}") is None:
            raise find.absent(TransitGateway, [ident])
        router_uuid = table.wanted.router
        route = NetworkRoute(cidr=destination, target="transitgateway", uuid=ident)
    else:
        network = find.living(caller, tx, Port, ident).wanted.network
        router_uuid = tx.need(Network, network).wanted.router or ""
        route = NetworkRoute(cidr=destination, target="port", uuid=ident, instance=instance)
    if router_uuid != table.wanted.router:
        raise _of_another(table, f"{target} {ident}")
    return route


def _check_version(destination: str, target: str) -> None:
    """Raise InvalidValue for a gateway that does not lead packets of the destination's version of IP."""
    if target != (NatGateway.KIND if ":" in destination else EgressGateway.KIND):
        return
    version = "IPv6" if ":" in destination else "IPv4"
    text = f"A route for {destination or 'a prefix list'} cannot lead to a {target}, which is not for {version}."
    raise InvalidValue(text, noun=RouteTable.KIND, ident=destination, reason="version")


def _gateway_route(caller: Caller, tx: Reader, table: RouteTable, destination: str, ident: str) -> NetworkRoute:
    gateway = find.living(caller, tx, InternetGateway, ident)
    attached = gateway_of(tx, table.wanted.router)
    if attached is None or attached.uuid != gateway.uuid:
        raise _of_another(table, gateway.label)
    return NetworkRoute(cidr=destination, target="internetgateway", uuid=gateway.uuid)


@requires("reader")
def listing(caller: Caller, core: Core) -> list[RouteTableView]:
    """The project's tables."""
    with core.store.read() as tx:
        tables = tx.list(RouteTable, project=caller.project)
        tables_by_router: dict[str, list[RouteTable]] = {}
        for table in tables:
            tables_by_router.setdefault(table.wanted.router, []).append(table)
        routers = tx.many(Router, tables_by_router)
        targets = targets_by_router(tx, tables_by_router)
        return [
            RouteTableView(
                table=table,
                router=routers[table.wanted.router],
                active=frozenset(targets[table.wanted.router].keys() & {route.uuid for route in table.wanted.routes}),
            )
            for table in tables
            if table.wanted.router in routers  # otherwise the router's row is damaged
        ]
