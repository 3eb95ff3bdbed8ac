"""The outside network: one switch that all routers have a port on, joined to the bridge that leads out of OVN."""

from __future__ import annotations

import uuid as uuids
from typing import Any

from pileus.providers.local.engine.daemons import PHYSICAL
from pileus.providers.local.network.rows import KIND, NorthboundRows

NAME = "outside"
_SWITCH = uuids.uuid5(uuids.NAMESPACE_DNS, f"{NAME}.pileus")
_LOCALNET = uuids.uuid5(_SWITCH, "localnet")


def join(rows: NorthboundRows, own: uuids.UUID, router_port: str, marks: dict[str, str]) -> None:
    """Put the peer `own` of the router's port named `router_port` on the outside switch."""
    switch = _ensure(rows)
    rows.put(
        "Logical_Switch_Port",
        own,
        name=f"{router_port}-peer",
        type="router",
        addresses=["router"],
        # The router announces its addresses, so that nobody outside keeps an outdated neighbour.
        options={"router-port": router_port, "nat-addresses": "router"},
        external_ids=marks,
    )
    rows.attach(switch, "ports", own)


def _ensure(rows: NorthboundRows) -> Any:
    """The switch with its way out; its row."""
    switch = rows.put("Logical_Switch", _SWITCH, name=NAME, external_ids={KIND: NAME})
    rows.put(
        "Logical_Switch_Port",
        _LOCALNET,
        name=f"{NAME}-localnet",
        type="localnet",
        addresses=["unknown"],
        options={"network_name": PHYSICAL},
        external_ids={KIND: NAME},
    )
    rows.attach(switch, "ports", _LOCALNET)
    return switch
