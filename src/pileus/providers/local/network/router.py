"""Routers: logical routers, to which networks attach themselves, each with a way to the outside network."""

from __future__ import annotations

import ipaddress
import uuid as uuids
from typing import Any

from pileus.model import addresses
from pileus.model.noun import Revision
from pileus.model.spec import RouterSpec
from pileus.providers.local.network import controller, outside
from pileus.providers.local.network.rows import KIND, UUID, NorthboundRows, derived, marks_of

TABLE = "Logical_Router"
WAY_OUT = (
    ("NAT", "snat"),
    ("Logical_Router_Static_Route", "default-route"),
    ("Logical_Router_Port", "outside"),
    ("Logical_Switch_Port", "outside-port"),
)
"""The rows, by table and by what they are derived, that give a router its way to the outside."""


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


def remove(rows: NorthboundRows, own: uuids.UUID, revision: Revision) -> None:
    """Remove the router, and what joins its networks to it. Raises Superseded."""
    row = rows.guard(TABLE, own, revision)
    if row is None:
        return
    names = {port.name for port in row.ports}
    for port in list(rows.tables["Logical_Switch_Port"].rows.values()):
        if port.type == "router" and port.options.get("router-port") in names:
            rows.delete("Logical_Switch_Port", port.uuid)
    rows.delete(TABLE, own)
    controller.remove(rows, str(own))


def _way_out(rows: NorthboundRows, row: Any, spec: RouterSpec) -> None:
    """The router's port on the outside network, its default route, and its own address for all who have none."""
    row_of = {what: derived(spec.uuid, what) for _, what in WAY_OUT}
    name, ours = f"out-{spec.uuid}", {KIND: "outside", UUID: spec.uuid}
    port = rows.put(
        "Logical_Router_Port",
        row_of["outside"],
        name=name,
        mac=addresses.outside_mac(spec.address),
        networks=[f"{spec.address}/{ipaddress.IPv4Network(spec.outside).prefixlen}"],
        external_ids=ours,
    )
    rows.attach(row, "ports", row_of["outside"])
    _gateways(rows, port, spec.uuid, spec.gateways or tuple(filter(None, [rows.gateway])))
    outside.join(rows, row_of["outside-port"], name, ours)
    rows.put(
        "Logical_Router_Static_Route",
        row_of["default-route"],
        ip_prefix="0.0.0.0/0",
        nexthop=addresses.gateway(spec.outside),
        output_port=name,
        external_ids=ours,
    )
    rows.attach(row, "static_routes", row_of["default-route"])
    if spec.cidr:
        rows.put(
            "NAT",
            row_of["snat"],
            type="snat",
            external_ip=spec.address,
            logical_ip=spec.cidr,
            external_ids={KIND: "snat", UUID: spec.uuid},
        )
        rows.attach(row, "nat", row_of["snat"])


def _gateways(rows: NorthboundRows, port: Any, router: str, chassis: tuple[str, ...]) -> None:
    """Set the chassis that may carry outside traffic by `port`: `chassis`, earlier ones first."""
    wanted = {derived(router, f"gateway-{name}"): name for name in chassis}
    for row in list(rows.tables["Gateway_Chassis"].rows.values()):
        if row.external_ids.get(UUID) == router and row.uuid not in wanted:
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
