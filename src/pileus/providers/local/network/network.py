"""Networks: logical switches with their subnets' DHCP options and gateways, and the metadata localport."""

from __future__ import annotations

import ipaddress
import uuid as uuids
from typing import Any

from pileus.model.addresses import METADATA
from pileus.model.errors import Fault
from pileus.model.noun import Revision
from pileus.model.spec import NetworkSpec, SubnetSpec
from pileus.providers.local.layout import localport_name
from pileus.providers.local.network import acl, controller, dhcp, metadata6, securitygroup
from pileus.providers.local.network.rows import KIND, UUID, NorthboundRows, derived, marks_of

TABLE = "Logical_Switch"
_GATEWAY = "lrp-"
_SUBNETS = "pileus-subnets"
"""The key in the switch's marks under which it lists the subnets that have rows."""


def ensure(rows: NorthboundRows, spec: NetworkSpec) -> None:
    """Write the network and all its subnets as `spec` says. Raises Superseded, Fault `RouterMissing`."""
    own = uuids.UUID(spec.uuid)
    row = rows.guard(TABLE, own, spec.revision)
    router = _router(rows, spec)
    for gone in _listed(row) - {subnet.uuid for subnet in spec.subnets}:
        _remove_subnet(rows, gone)
    subnets = ",".join(sorted(subnet.uuid for subnet in spec.subnets))
    row = rows.put(
        TABLE,
        own,
        name=spec.uuid,
        external_ids={**marks_of(spec), _SUBNETS: subnets},
    )
    controller.bound(rows, row, spec.uuid)
    securitygroup.ensure_drop(rows)
    gateways, localports = ([getattr(each, name) for each in spec.subnets] for name in ("gateway", "localport"))
    macs = [each.localport_mac for each in spec.subnets]
    always = acl.always(spec.uuid, gateways, localports, macs)
    always += acl.metadata6(spec.uuid, _localports6(spec))
    rows.acls(row, [*always, *acl.one_way(spec.uuid, spec.subnets)])
    _localport(rows, row, spec)
    for subnet in spec.subnets:
        rows.put(
            "DHCP_Options",
            uuids.UUID(subnet.uuid),
            cidr=subnet.cidr,
            options=dhcp.options(subnet, spec.mtu, routed=router is not None),
            external_ids=_belongs("dhcp", spec.uuid),
        )
        _dhcpv6(rows, subnet, spec.uuid)
        _gateway(rows, row, router, subnet, spec)
        metadata6.ensure(rows, router, subnet, gateway_port(subnet.uuid), spec.uuid)


def remove(rows: NorthboundRows, own: uuids.UUID, revision: Revision) -> None:
    """Remove the network with all its subnets and ports. Raises Superseded."""
    row = rows.guard(TABLE, own, revision)
    if row is None:
        return
    for subnet in _listed(row):
        _remove_subnet(rows, subnet)
    rows.delete(TABLE, own)
    controller.remove(rows, str(own))


def gateway_port(subnet: str) -> str:
    """The name of the router's port on the subnet with this uuid."""
    return f"{_GATEWAY}{subnet}"


def switch_ports(router_port: str) -> list[uuids.UUID]:
    """The row uuids of the switch's ends of the router's port of this name; none for a port that is no subnet's."""
    subnet = router_port.removeprefix(_GATEWAY)
    return [derived(subnet, "router-port")] if subnet != router_port else []


def _router(rows: NorthboundRows, spec: NetworkSpec) -> Any:
    if spec.router is None:
        return None
    router = rows.get("Logical_Router", uuids.UUID(spec.router))
    if router is None:
        raise Fault("RouterMissing", f"router {spec.router} of network {spec.uuid} is not there yet")
    return router


def _localport(rows: NorthboundRows, row: Any, spec: NetworkSpec) -> None:
    """The metadata service's port: one MAC, all subnets' addresses for it, and the well-known address."""
    own = derived(spec.uuid, "localport")
    if not spec.subnets:
        rows.delete("Logical_Switch_Port", own)
        return
    by_mac: dict[str, list[str]] = {}
    for subnet in spec.subnets:
        by_mac.setdefault(subnet.localport_mac, []).append(subnet.localport)
    # The router finds the localport by its addresses of IPv6; the service listens at another one.
    by_mac[spec.subnets[0].localport_mac] += [METADATA, *_localports6(spec)]
    rows.put(
        "Logical_Switch_Port",
        own,
        name=localport_name(spec.uuid),
        type="localport",
        addresses=[" ".join([mac, *addresses]) for mac, addresses in by_mac.items()],
        external_ids=_belongs("localport", spec.uuid),
    )
    rows.attach(row, "ports", own)


def _localports6(spec: NetworkSpec) -> list[str]:
    return [subnet.ipv6.localport for subnet in spec.subnets if subnet.ipv6 and spec.router]


def dhcpv6_options(subnet: str) -> uuids.UUID:
    """The row uuid of the DHCPv6 options of the subnet with this uuid."""
    return derived(subnet, "dhcpv6")


def _dhcpv6(rows: NorthboundRows, subnet: SubnetSpec, network: str) -> None:
    if subnet.ipv6 is None:
        rows.delete("DHCP_Options", dhcpv6_options(subnet.uuid))
        return
    rows.put(
        "DHCP_Options",
        dhcpv6_options(subnet.uuid),
        cidr=subnet.ipv6.cidr,
        options=dhcp.options6(subnet),
        external_ids=_belongs("dhcp", network),
    )


def _gateway(rows: NorthboundRows, row: Any, router: Any, subnet: SubnetSpec, network: NetworkSpec) -> None:
    """The pair of ports that joins `subnet` to `router`; none when that is None."""
    inside, outside = derived(subnet.uuid, "gateway"), derived(subnet.uuid, "router-port")
    if router is None:
        rows.delete("Logical_Router_Port", inside)
        rows.delete("Logical_Switch_Port", outside)
        return
    name = gateway_port(subnet.uuid)
    prefix = ipaddress.IPv4Network(subnet.cidr).prefixlen
    rows.put(
        "Logical_Router_Port",
        inside,
        name=name,
        mac=subnet.gateway_mac,
        networks=[f"{subnet.gateway}/{prefix}", *([f"{subnet.ipv6.gateway}/64"] if subnet.ipv6 else [])],
        ipv6_ra_configs=dhcp.advertised(subnet.ipv6.mode, network.mtu) if subnet.ipv6 else {},
        options={"route_table": subnet.table} if subnet.table else {},
        external_ids=_belongs("gateway", network.uuid),
    )
    rows.attach(router, "ports", inside)
    rows.put(
        "Logical_Switch_Port",
        outside,
        name=f"rtr-{subnet.uuid}",
        type="router",
        addresses=["router"],
        options={"router-port": name},
        external_ids=_belongs("router-port", network.uuid),
    )
    rows.attach(row, "ports", outside)


def _remove_subnet(rows: NorthboundRows, subnet: str) -> None:
    metadata6.remove(rows, subnet)
    rows.delete("Logical_Router_Port", derived(subnet, "gateway"))
    rows.delete("Logical_Switch_Port", derived(subnet, "router-port"))
    rows.delete("DHCP_Options", uuids.UUID(subnet))
    rows.delete("DHCP_Options", dhcpv6_options(subnet))


def _listed(row: Any) -> set[str]:
    listed = row.external_ids.get(_SUBNETS, "") if row is not None else ""
    return {subnet for subnet in listed.split(",") if subnet}


def _belongs(kind: str, network: str) -> dict[str, str]:
    return {KIND: kind, UUID: network}
