"""Routers: logical routers, to which networks attach themselves, each with a way to the outside network."""

from __future__ import annotations

import ipaddress
import uuid as uuids
from collections.abc import Iterable
from typing import Any

from pileus.model import addresses
from pileus.model.noun import Revision
from pileus.model.spec import PeeringSpec, RouterSpec, RouteSpec
from pileus.providers.local.network import controller, networkacl, outside, peering
from pileus.providers.local.network.network import gateway_port, switch_ports
from pileus.providers.local.network.rows import KIND, UUID, NorthboundRows, derived, marks_of

TABLE = "Logical_Router"
WAY_OUT = (("Logical_Router_Port", "outside"), ("Logical_Switch_Port", "outside-port"))
"""The rows, by table and by what they are derived, that give a router its way to the outside."""

_ROUTE, _SOURCE = "route", "snat"
_EVERYWHERE = RouteSpec(cidr="0.0.0.0/0")


def ensure(rows: NorthboundRows, spec: RouterSpec) -> None:
    """Write the router as `spec` says. Raises Superseded."""
    own = uuids.UUID(spec.uuid)
    rows.guard(TABLE, own, spec.revision)
    row = rows.put(TABLE, own, name=spec.uuid, external_ids=marks_of(spec))
    controller.bound(rows, row, spec.uuid)
    if spec.address and spec.outside:
        _way_out(rows, row, spec)
    else:
        _gateways(rows, None, spec.uuid, ())
        for table, what in WAY_OUT:
            rows.delete(table, derived(spec.uuid, what))
    peering.ensure(rows, spec.uuid, row, spec.peerings)
    write_routes(rows, row, spec)
    _sources(rows, row, spec)
    policies = networkacl.ensure(rows, spec, _outside_port(spec.uuid))
    _hold(rows, row, networkacl.TABLE, "policies", policies, networkacl.MARK)


def remove(rows: NorthboundRows, own: uuids.UUID, revision: Revision) -> None:
    """Remove the router, which a transit gateway's may be, and what joins its networks to it. Raises Superseded."""
    row = rows.guard(TABLE, own, revision)
    if row is None:
        return
    for port in row.ports:
        for end in switch_ports(port.name):
            rows.delete("Logical_Switch_Port", end)
    rows.delete("Logical_Switch_Port", derived(str(own), "outside-port"))
    rows.delete(TABLE, own)
    controller.remove(rows, str(own))


def _way_out(rows: NorthboundRows, row: Any, spec: RouterSpec) -> None:
    """The router's port on the outside network."""
    row_of = {what: derived(spec.uuid, what) for _, what in WAY_OUT}
    ours = {KIND: "outside", UUID: spec.uuid}
    port = rows.put(
        "Logical_Router_Port",
        row_of["outside"],
        name=_outside_port(spec.uuid),
        mac=addresses.outside_mac(spec.address),
        networks=[f"{spec.address}/{ipaddress.IPv4Network(spec.outside).prefixlen}"],
        external_ids=ours,
    )
    rows.attach(row, "ports", row_of["outside"])
    _gateways(rows, port, spec.uuid, spec.gateways or tuple(filter(None, [rows.gateway])))
    outside.join(rows, row_of["outside-port"], _outside_port(spec.uuid), ours)


def _outside_port(uuid: str) -> str:
    return f"out-{uuid}"


def write_routes(rows: NorthboundRows, row: Any, spec: RouterSpec) -> None:
    """The routes of each table; those of a router without tables are for all of its subnets.

    OVN looks into the routes without a table first: a router with tables has none of these.
    """
    routes = [(table.uuid, route) for table in spec.tables for route in table.routes]
    wanted: list[uuids.UUID] = []
    for table, route in routes if spec.tables else [("", _EVERYWHERE)]:
        if not _leads(spec, route):
            continue
        wanted.append(derived(spec.uuid, f"{_ROUTE}-{table}-{route.cidr}"))
        rows.put(
            "Logical_Router_Static_Route",
            wanted[-1],
            ip_prefix=route.cidr,
            route_table=table,
            nexthop=_next_hop(spec, route),
            output_port=_output_port(spec, route),
            external_ids={KIND: _ROUTE, UUID: spec.uuid},
        )
    _hold(rows, row, "Logical_Router_Static_Route", "static_routes", wanted, _ROUTE)


def _leads(spec: RouterSpec, route: RouteSpec) -> bool:
    """Whether the router has what a route leads to."""
    if route.target == "outside":
        return bool(spec.address) and (spec.ipv6 is not None or ":" not in route.cidr)
    return route.target != "peering" or bool(_links(spec, route))


def _next_hop(spec: RouterSpec, route: RouteSpec) -> str:
    if route.target == "nowhere":
        return "discard"
    if route.target == "peering":
        link = _links(spec, route)[0]
        return peering.other_link_local(link) if ":" in route.cidr else link.other
    if route.address:
        return route.address
    return spec.ipv6.gateway if spec.ipv6 and ":" in route.cidr else addresses.gateway(spec.outside)


def _output_port(spec: RouterSpec, route: RouteSpec) -> list[str]:
    if route.target == "nowhere":
        return []
    if route.target == "peering":
        return [peering.port_name(_links(spec, route)[0])]
    return [gateway_port(route.subnet) if route.subnet else _outside_port(spec.uuid)]


def _links(spec: RouterSpec, route: RouteSpec) -> list[PeeringSpec]:
    """The link that a route leads over, if the router has it."""
    return [link for link in spec.peerings if link.uuid == route.peering]


def _sources(rows: NorthboundRows, row: Any, spec: RouterSpec) -> None:
    """The addresses that guests without a floating one are seen by outside."""
    wanted: list[uuids.UUID] = []
    for source in spec.sources if spec.address else ():
        wanted.append(derived(spec.uuid, f"{_SOURCE}-{source.cidr}"))
        rows.put(
            "NAT",
            wanted[-1],
            type=_SOURCE,
            external_ip=source.address,
            logical_ip=source.cidr,
            external_ids={KIND: _SOURCE, UUID: spec.uuid},
        )
    _hold(rows, row, "NAT", "nat", wanted, _SOURCE)


def _hold(
    rows: NorthboundRows, row: Any, table: str, column: str, wanted: Iterable[uuids.UUID], kind: str = ""
) -> None:
    """Make the references `column` of the router name those rows, of those of `kind` (all kinds if empty)."""
    wanted = set(wanted)
    for held in [] if row._data is None else getattr(row, column):  # noqa: SLF001  (ovs offers no other way)
        if held.uuid not in wanted and (not kind or held.external_ids.get(KIND) == kind):
            rows.delete(table, held.uuid)
    for uuid in wanted:
        rows.attach(row, column, uuid)


def _gateways(rows: NorthboundRows, port: Any, router: str, chassis: tuple[str, ...]) -> None:
    """Set the chassis that may carry outside traffic by `port`: `chassis`, earlier ones first."""
    wanted = {derived(router, f"gateway-{name}"): name for name in chassis}
    for row in rows.owned("Gateway_Chassis", router):
        if row.uuid not in wanted:
            rows.delete("Gateway_Chassis", row.uuid)
    for place, (own, name) in enumerate(wanted.items()):
        rows.put(
            "Gateway_Chassis",
            own,
            name=f"out-{router}-{name}",
            chassis_name=name,
            priority=len(wanted) - place,
            external_ids={KIND: "outside", UUID: router},
        )
        rows.attach(port, "gateway_chassis", own)
