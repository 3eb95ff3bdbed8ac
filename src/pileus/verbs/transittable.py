"""Transit tables: made for a transit gateway, associated with attachments, propagated to, and given routes."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, Duplicate, InvalidValue, NotFound
from pileus.model.ids import new_uuid
from pileus.model.routerattachment import RouterAttachment
from pileus.model.transitgateway import TransitGateway
from pileus.model.transittable import TransitRoute, TransitTable, Wanted
from pileus.rules import find
from pileus.rules.rights import requires
from pileus.rules.transitgateway import ResolvedRoute, attachments_of, ranges_of, resolved, wake_gateway

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


class TransitTableView(msgspec.Struct, frozen=True, kw_only=True):
    """A table with its gateway and the gateway's attachments, by uuid."""

    table: TransitTable
    gateway: TransitGateway
    attachments: dict[str, RouterAttachment]


@requires("member")
def create(caller: Caller, core: Core, gateway: str, tags: Mapping[str, str] | None = None) -> TransitTable:
    """Make a table without routes for the transit gateway with this uuid."""
    with core.store.write() as tx:
        on = find.living(caller, tx, TransitGateway, gateway)
        wanted = Wanted(gateway=on.uuid)
        table = tx.add(TransitTable(uuid=new_uuid(), project=on.project, tags=dict(tags or {}), wanted=wanted))
        tx.add_journal_line(caller, table, "transittable.create", outcome="done")
        wake_gateway(tx, on.uuid)
        return table


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> TransitTable:
    """Delete a table. Raises Conflict for a default one, and while attachments are associated with it."""
    with core.store.write() as tx:
        table = find.living(caller, tx, TransitTable, uuid)
        defaults = tx.need(TransitGateway, table.wanted.gateway).wanted
        if (defaults.associates and uuid == defaults.association) or (
            defaults.propagates and uuid == defaults.propagation
        ):
            text = f"The {table.label} is a default route table and cannot be deleted."
            raise Conflict(text, noun=TransitTable.KIND, ident=uuid, reason="default")
        if table.wanted.associations:
            text = f"The {table.label} has non-deleted associations."
            raise Conflict(text, noun=TransitTable.KIND, ident=uuid, reason="associations")
        table = _changed(caller, tx, table, "delete", gone=True)
        tx.make_tombstone(table)
        return table


@requires("member")
def associate(caller: Caller, core: Core, uuid: str, attachment: str) -> RouterAttachment:
    """Have what comes from an attachment (by uuid) go by a table. Raises Conflict where it goes by another."""
    with core.store.write() as tx:
        table, source = _both(caller, tx, uuid, attachment)
        holder = tx.claimed(TransitTable.KIND, attachment)
        if holder is not None:
            text = f"The {source.label} is already associated with {TransitTable.KIND} {holder[1]}."
            raise Conflict(text, noun=TransitTable.KIND, ident=attachment, reason="associated")
        _changed(caller, tx, table, "associate", associations=(*table.wanted.associations, attachment))
        return source


@requires("member")
def disassociate(caller: Caller, core: Core, uuid: str, attachment: str) -> RouterAttachment:
    """Have what comes from an attachment go nowhere. Raises NotFound where it does not go by the table."""
    with core.store.write() as tx:
        table, source = _both(caller, tx, uuid, attachment)
        if attachment not in table.wanted.associations:
            text = f"The {source.label} is not associated with {table.label}."
            raise NotFound(text, noun=TransitTable.KIND, ident=attachment, reason="association")
        left = tuple(each for each in table.wanted.associations if each != attachment)
        _changed(caller, tx, table, "disassociate", associations=left)
        return source


@requires("member")
def enable_propagation(caller: Caller, core: Core, uuid: str, attachment: str) -> RouterAttachment:
    """Lead the ranges of an attachment's router there. Raises Duplicate."""
    with core.store.write() as tx:
        table, source = _both(caller, tx, uuid, attachment)
        if attachment in table.wanted.propagations:
            text = f"The {source.label} propagates to {table.label} already."
            raise Duplicate(text, noun=TransitTable.KIND, ident=attachment, reason="propagation")
        _changed(caller, tx, table, "modify", propagations=(*table.wanted.propagations, attachment))
        return source


@requires("member")
def disable_propagation(caller: Caller, core: Core, uuid: str, attachment: str) -> RouterAttachment:
    """Take the routes away that an attachment propagates. Raises NotFound."""
    with core.store.write() as tx:
        table, source = _both(caller, tx, uuid, attachment)
        if attachment not in table.wanted.propagations:
            text = f"The {source.label} does not propagate to {table.label}."
            raise NotFound(text, noun=TransitTable.KIND, ident=attachment, reason="propagation")
        left = tuple(each for each in table.wanted.propagations if each != attachment)
        _changed(caller, tx, table, "modify", propagations=left)
        return source


@requires("member")
def add_route(caller: Caller, core: Core, uuid: str, cidr: str, attachment: str) -> ResolvedRoute:
    """Lead a range over an attachment (by uuid), or nowhere where that is empty. Raises Duplicate, InvalidValue."""
    with core.store.write() as tx:
        table, route = _route(caller, tx, uuid, cidr, attachment)
        if any(other.cidr == route.cidr for other in table.wanted.routes):
            text = f"A static route to {route.cidr} already exists in {table.label}."
            raise Duplicate(text, noun=TransitTable.KIND, ident=route.cidr, reason="route")
        table = _changed(caller, tx, table, "modify", routes=(*table.wanted.routes, route))
        return _shown(tx, table, route.cidr)


@requires("member")
def replace_route(caller: Caller, core: Core, uuid: str, cidr: str, attachment: str) -> ResolvedRoute:
    """Lead a static route elsewhere. Raises NotFound where the table has none to this range."""
    with core.store.write() as tx:
        table, route = _route(caller, tx, uuid, cidr, attachment)
        if all(other.cidr != route.cidr for other in table.wanted.routes):
            raise _no_route(table, route.cidr)
        routes = tuple(route if other.cidr == route.cidr else other for other in table.wanted.routes)
        return _shown(tx, _changed(caller, tx, table, "modify", routes=routes), route.cidr)


@requires("member")
def remove_route(caller: Caller, core: Core, uuid: str, cidr: str) -> ResolvedRoute:
    """Take a static route away; it is returned. Raises NotFound."""
    with core.store.write() as tx:
        table, destination = find.living(caller, tx, TransitTable, uuid), _destination(cidr)
        left = tuple(other for other in table.wanted.routes if other.cidr != destination)
        if len(left) == len(table.wanted.routes):
            raise _no_route(table, destination)
        removed = _shown(tx, table, destination)
        _changed(caller, tx, table, "modify", routes=left)
        return removed


def _both(caller: Caller, tx: Reader, uuid: str, attachment: str) -> tuple[TransitTable, RouterAttachment]:
    """A table and an attachment of the same gateway. Raises NotFound, InvalidValue."""
    table, source = find.living(caller, tx, TransitTable, uuid), find.living(caller, tx, RouterAttachment, attachment)
    if table.wanted.gateway != source.wanted.gateway:
        text = f"The {table.label} and {source.label} are of different transit gateways."
        raise InvalidValue(text, noun=TransitTable.KIND, ident=uuid, reason="other")
    return table, source


def _route(caller: Caller, tx: Reader, uuid: str, cidr: str, attachment: str) -> tuple[TransitTable, TransitRoute]:
    table = find.living(caller, tx, TransitTable, uuid)
    if attachment:
        _both(caller, tx, uuid, attachment)
    return table, TransitRoute(cidr=_destination(cidr), attachment=attachment)


def _destination(cidr: str) -> str:
    """The range with the bits behind its prefix cleared. Raises InvalidValue."""
    try:
        return str(ipaddress.IPv4Network(cidr, strict=False))
    except ValueError as error:
        text = f"The destination '{cidr[:40]}' is malformed: {error}."
        raise InvalidValue(text, noun=TransitTable.KIND, ident=cidr[:40], reason="cidr") from error


def _no_route(table: TransitTable, cidr: str) -> NotFound:
    text = f"There is no static route to {cidr} in {table.label}."
    return NotFound(text, noun=TransitTable.KIND, ident=cidr, reason="route")


def _shown(tx: Reader, table: TransitTable, cidr: str) -> ResolvedRoute:
    """The route of a table to a range."""
    return next(route for route in _resolved(tx, table) if route.cidr == cidr)


def _resolved(tx: Reader, table: TransitTable) -> list[ResolvedRoute]:
    attachments = attachments_of(tx, [table.wanted.gateway])
    return resolved(table, attachments, ranges_of(tx, attachments))


def _changed(caller: Caller, tx: Writer, table: TransitTable, verb: str, **changes: object) -> TransitTable:
    """The table as changed, in the journal; its gateway is woken."""
    table = tx.want(table, msgspec.structs.replace(table.wanted, **changes))
    tx.add_journal_line(caller, table, f"transittable.{verb}", outcome="done")
    wake_gateway(tx, table.wanted.gateway)
    return table


@requires("reader")
def routes(caller: Caller, core: Core, uuid: str) -> list[ResolvedRoute]:
    """The routes of a table (by uuid), in the order of their ranges. Raises NotFound."""
    with core.store.read() as tx:
        return _resolved(tx, find.living(caller, tx, TransitTable, uuid))


@requires("reader")
def listing(caller: Caller, core: Core) -> list[TransitTableView]:
    """The project's tables."""
    with core.store.read() as tx:
        tables = tx.list(TransitTable, project=caller.project)
        gateways = tx.many(TransitGateway, {table.wanted.gateway for table in tables})
        attachments = {each.uuid: each for each in attachments_of(tx, gateways)}
        return [
            TransitTableView(table=table, gateway=gateways[table.wanted.gateway], attachments=attachments)
            for table in tables
            if table.wanted.gateway in gateways
        ]
