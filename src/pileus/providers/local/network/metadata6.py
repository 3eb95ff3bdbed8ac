"""The way of guests to the metadata service by IPv6: over the router, which leads each subnet to its own localport.

Neither DHCPv6 nor advertisements tell guests of a route to the localport, as DHCP does: they send to the router.
"""

from __future__ import annotations

import uuid as uuids
from typing import Any

from pileus.model.addresses import METADATA6
from pileus.model.spec import SubnetSpec
from pileus.providers.local.network.rows import KIND, UUID, NorthboundRows, derived

_TABLES = _ROUTE, _POLICY = "Logical_Router_Static_Route", "Logical_Router_Policy"
_WAY = "metadata6"
_PRIORITY = 32767
"""Above the chains of network ACLs, which do not judge packets to the metadata service."""


def ensure(rows: NorthboundRows, router: Any, subnet: SubnetSpec, gateway_port: str, network: str) -> None:
    """Lead packets of `subnet` for the service to its localport; not where `router` is None, or without IPv6.

    The policy decides. The route keeps OVN from dropping the packet before: it drops what no route is for before it
    looks at policies. Of the routes of several subnets with one table OVN chooses any, before the policy decides.
    """
    if router is None or subnet.ipv6 is None:
        remove(rows, subnet.uuid)
        return
    route, policy = (_row(table, subnet.uuid) for table in _TABLES)
    marks = {KIND: _WAY, UUID: network}
    rows.put(
        _ROUTE,
        route,
        ip_prefix=f"{METADATA6}/128",
        route_table=subnet.table,
        nexthop=subnet.ipv6.localport,
        output_port=[gateway_port],
        external_ids=marks,
    )
    rows.attach(router, "static_routes", route)
    rows.put(
        _POLICY,
        policy,
        priority=_PRIORITY,
        match=f'inport == "{gateway_port}" && ip6.dst == {METADATA6}',
        action="reroute",
        nexthops=[subnet.ipv6.localport],
        external_ids=marks,
    )
    rows.attach(router, "policies", policy)


def remove(rows: NorthboundRows, subnet: str) -> None:
    """Remove the way of the subnet with this uuid."""
    for table in _TABLES:
        rows.delete(table, _row(table, subnet))


def _row(table: str, subnet: str) -> uuids.UUID:
    return derived(subnet, f"{_WAY}-{table}")
