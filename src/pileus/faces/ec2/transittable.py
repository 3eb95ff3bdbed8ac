"""Route tables of transit gateways, with their associations, propagations and routes."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.routerattachment import resource_of
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import InvalidValue
from pileus.model.routerattachment import RouterAttachment
from pileus.model.transitgateway import TransitGateway
from pileus.model.transittable import TransitTable
from pileus.rules import find
from pileus.verbs import transittable as verbs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.rules.transitgateway import ResolvedRoute

_TAGGED = "transit-gateway-route-table"
_ROUTES_MOST = 1000
"""Routes that one search returns."""


@action("CreateTransitGatewayRouteTable")
def create(call: Call) -> dict[str, Any]:
    """Make a route table without routes for a transit gateway."""
    gateway = uuid_of(call, TransitGateway, call.args["TransitGatewayId"])
    table = verbs.create(call.caller, call.core, gateway, specified(call.args, _TAGGED)[_TAGGED])
    return {"TransitGatewayRouteTable": _shown(call, table) | {"State": "pending"}}


@action("DeleteTransitGatewayRouteTable")
def delete(call: Call) -> dict[str, Any]:
    """Delete a route table that is no default one and that no attachment is associated with."""
    uuid = _uuid(call)
    items = [_table(view) for view in verbs.listing(call.caller, call.core) if view.table.uuid == uuid]
    table = verbs.delete(call.caller, call.core, uuid)
    item = items[0] if items else {"TransitGatewayRouteTableId": table.ec2_id}
    return {"TransitGatewayRouteTable": item | {"State": "deleting"}}


def _uuid(call: Call) -> str:
    return uuid_of(call, TransitTable, call.args["TransitGatewayRouteTableId"])


def _attachment(call: Call) -> str:
    if "TransitGatewayAttachmentId" not in call.args:
        raise missing("TransitGatewayAttachmentId")
    return uuid_of(call, RouterAttachment, call.args["TransitGatewayAttachmentId"])


@action("DescribeTransitGatewayRouteTables")
def describe(call: Call) -> dict[str, Any]:
    """List route tables of transit gateways, by id or all."""
    views = find.named_items(
        TransitTable,
        {view.table.ec2_id: view for view in verbs.listing(call.caller, call.core)},
        call.args.get("TransitGatewayRouteTableIds", ()),
    )
    return paging.listed(call.args, "TransitGatewayRouteTables", [_table(view) for view in views], _FILTERS)


def _shown(call: Call, table: TransitTable) -> dict[str, Any]:
    (view,) = [view for view in verbs.listing(call.caller, call.core) if view.table.uuid == table.uuid]
    return _table(view)


def _table(view: verbs.TransitTableView) -> dict[str, Any]:
    table, defaults = view.table, view.gateway.wanted
    return {
        "TransitGatewayRouteTableId": table.ec2_id,
        "TransitGatewayId": view.gateway.ec2_id,
        "State": "available",
        "DefaultAssociationRouteTable": defaults.associates and defaults.association == table.uuid,
        "DefaultPropagationRouteTable": defaults.propagates and defaults.propagation == table.uuid,
        "CreationTime": dt.datetime.fromtimestamp(table.created, dt.UTC),
        "Tags": shown(table.tags),
    }


@action("AssociateTransitGatewayRouteTable")
def associate(call: Call) -> dict[str, Any]:
    """Have what comes from an attachment go by a route table."""
    return {"Association": _changed(call, verbs.associate, "associating")}


@action("DisassociateTransitGatewayRouteTable")
def disassociate(call: Call) -> dict[str, Any]:
    """Have what comes from an attachment go nowhere."""
    return {"Association": _changed(call, verbs.disassociate, "disassociating")}


@action("EnableTransitGatewayRouteTablePropagation")
def enable_propagation(call: Call) -> dict[str, Any]:
    """Lead the ranges of an attachment's VPC there, those that it gets later too."""
    return {"Propagation": _changed(call, verbs.enable_propagation, "enabled")}


@action("DisableTransitGatewayRouteTablePropagation")
def disable_propagation(call: Call) -> dict[str, Any]:
    """Take the routes away that an attachment propagates to a route table."""
    return {"Propagation": _changed(call, verbs.disable_propagation, "disabled")}


def _changed(call: Call, verb: Callable[[Caller, Core, str, str], RouterAttachment], state: str) -> dict[str, Any]:
    attachment = verb(call.caller, call.core, _uuid(call), _attachment(call))
    ids = {name: call.args[name] for name in ("TransitGatewayAttachmentId", "TransitGatewayRouteTableId")}
    return {**ids, **resource_of(attachment), "State": state}


@action("GetTransitGatewayRouteTableAssociations")
def associations(call: Call) -> dict[str, Any]:
    """List the attachments that are associated with a route table."""
    table, attachments = _attached(call)
    items = [_end(attachments[uuid], "associated") for uuid in table.wanted.associations if uuid in attachments]
    return paging.listed(call.args, "Associations", items, _END_FILTERS)


@action("GetTransitGatewayRouteTablePropagations")
def propagations(call: Call) -> dict[str, Any]:
    """List the attachments that propagate to a route table."""
    table, attachments = _attached(call)
    items = [_end(attachments[uuid], "enabled") for uuid in table.wanted.propagations if uuid in attachments]
    return paging.listed(call.args, "TransitGatewayRouteTablePropagations", items, _END_FILTERS)


def _attached(call: Call) -> tuple[TransitTable, dict[str, RouterAttachment]]:
    """The route table that a request names, and the attachments of its gateway. Raises NotFound."""
    uuid = _uuid(call)
    for view in verbs.listing(call.caller, call.core):
        if view.table.uuid == uuid:
            return view.table, view.attachments
    raise find.absent(TransitTable, [uuid])


def _end(attachment: RouterAttachment, state: str) -> dict[str, Any]:
    return {"TransitGatewayAttachmentId": attachment.ec2_id, **resource_of(attachment), "State": state}


@action("CreateTransitGatewayRoute")
def create_route(call: Call) -> dict[str, Any]:
    """Lead a range to an attachment, or nowhere with `Blackhole`."""
    route = verbs.add_route(call.caller, call.core, _uuid(call), call.args["DestinationCidrBlock"], _target(call))
    return {"Route": _route(route)}


@action("ReplaceTransitGatewayRoute")
def replace_route(call: Call) -> dict[str, Any]:
    """Lead a range elsewhere."""
    route = verbs.replace_route(call.caller, call.core, _uuid(call), call.args["DestinationCidrBlock"], _target(call))
    return {"Route": _route(route)}


@action("DeleteTransitGatewayRoute")
def delete_route(call: Call) -> dict[str, Any]:
    """Take a static route away."""
    route = verbs.remove_route(call.caller, call.core, _uuid(call), call.args["DestinationCidrBlock"])
    return {"Route": _route(route) | {"State": "deleted"}}


def _target(call: Call) -> str:
    """The uuid of the attachment that a route leads to; empty for a blackhole. Raises InvalidValue."""
    blackhole, named = call.args.get("Blackhole", False), "TransitGatewayAttachmentId" in call.args
    if blackhole and named:
        raise InvalidValue("A blackhole route has no TransitGatewayAttachmentId", reason="combination")
    return "" if blackhole else _attachment(call)


@action("SearchTransitGatewayRoutes")
def search(call: Call) -> dict[str, Any]:
    """List the routes of a route table that fit filters: by attachment, type, state, and by how they match a range."""
    args, routes = dict(call.args), verbs.routes(call.caller, call.core, _uuid(call))
    plain = []
    for each in args.get("Filters", ()):
        test = _MATCHES.get(each.get("Name", ""))
        if test is None:
            plain.append(each)
        else:
            routes = test(routes, [_network(value) for value in each.get("Values", ())])
    limit = min(args.pop("MaxResults", _ROUTES_MOST), _ROUTES_MOST)
    args["Filters"] = plain
    listed: list[dict[str, Any]] = paging.listed(args, "Routes", [_route(each) for each in routes], _ROUTE_FILTERS)[
        "Routes"
    ]
    return {"Routes": listed[:limit], "AdditionalRoutesAvailable": len(listed) > limit}


def _network(value: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(value, strict=False)
    except ValueError as error:
        text = f"Value ({value[:40]}) of a filter is no range of IPv4."
        raise InvalidValue(text, ident=value[:40], reason="filter") from error


Networks = list[ipaddress.IPv4Network]


def _exact(routes: Iterable[ResolvedRoute], values: Networks) -> list[ResolvedRoute]:
    return [route for route in routes if ipaddress.IPv4Network(route.cidr) in values]


def _within(routes: Iterable[ResolvedRoute], values: Networks) -> list[ResolvedRoute]:
    return [route for route in routes if any(ipaddress.IPv4Network(route.cidr).subnet_of(value) for value in values)]


def _around(routes: Iterable[ResolvedRoute], values: Networks) -> list[ResolvedRoute]:
    return [route for route in routes if any(value.subnet_of(ipaddress.IPv4Network(route.cidr)) for value in values)]


def _longest(routes: Iterable[ResolvedRoute], values: Networks) -> list[ResolvedRoute]:
    """The route that each address, or range, goes by."""
    chosen: dict[str, ResolvedRoute] = {}
    for value in values:
        around = _around(routes, [value])
        longest = sorted(around, key=lambda route: ipaddress.IPv4Network(route.cidr).prefixlen)[-1:]
        chosen |= {route.cidr: route for route in longest}
    return list(chosen.values())


_MATCHES = {
    "route-search.exact-match": _exact,
    "route-search.longest-prefix-match": _longest,
    "route-search.subnet-of-match": _within,
    "route-search.supernet-of-match": _around,
}
"""The filters that compare ranges."""


def _route(route: ResolvedRoute) -> dict[str, Any]:
    ends = []
    if route.attachment is not None:
        ends = [{"TransitGatewayAttachmentId": route.attachment.ec2_id, **resource_of(route.attachment)}]
    return {
        "DestinationCidrBlock": route.cidr,
        "TransitGatewayAttachments": ends,
        "Type": route.kind,
        "State": "active" if route.attachment is not None else "blackhole",
    }


_FILTERS = filters.of_members(
    *("DefaultAssociationRouteTable", "DefaultPropagationRouteTable", "State", "TransitGatewayId"),
    "TransitGatewayRouteTableId",
)
_END_FILTERS = filters.of_members("ResourceId", "ResourceType", "TransitGatewayAttachmentId")
_ROUTE_FILTERS = filters.of_members(
    *("State", "Type"),
    others={
        "attachment.resource-id": "TransitGatewayAttachments.ResourceId",
        "attachment.resource-type": "TransitGatewayAttachments.ResourceType",
        "attachment.transit-gateway-attachment-id": "TransitGatewayAttachments.TransitGatewayAttachmentId",
    },
    absent=("prefix-list-id",),
)
