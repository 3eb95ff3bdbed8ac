"""Peerings: each router's order writes its own end of the link, a port that names the port of the other."""

from __future__ import annotations

from pileus.model import addresses
from pileus.model.peering import Side
from pileus.model.spec import PeeringSpec
from pileus.providers.local.network.rows import KIND, UUID, NorthboundRows, derived

TABLE = "Logical_Router_Port"
MARK = "peering"
_PREFIX = 30
_OTHER: dict[Side, Side] = {"requester": "accepter", "accepter": "requester"}


def ensure(rows: NorthboundRows, router: str, row: object, peerings: tuple[PeeringSpec, ...]) -> None:
    """Write the ends of the router's links, and remove those of links that ended.

    What comes over a link goes by the table that the link names, or by one without routes: to the router's own subnets,
    and no further.
    """
    wanted = {derived(peering.uuid, peering.side): peering for peering in peerings}
    for port in rows.owned(TABLE, router):
        if port.external_ids.get(KIND) == MARK and port.uuid not in wanted:
            rows.delete(TABLE, port.uuid)
    for own, peering in wanted.items():
        rows.put(
            TABLE,
            own,
            name=port_name(peering),
            mac=peering.mac,
            networks=[f"{peering.address}/{_PREFIX}"],
            peer=_name(peering.uuid, _OTHER[peering.side]),
            options={"route_table": peering.table or f"link-{peering.uuid}"},
            external_ids={KIND: MARK, UUID: router},
        )
        rows.attach(row, "ports", own)


def port_name(peering: PeeringSpec) -> str:
    """The name of the router's own end of the link."""
    return _name(peering.uuid, peering.side)


def other_link_local(peering: PeeringSpec) -> str:
    """The IPv6 address of the other end, which follows from its MAC."""
    return addresses.link_local(addresses.derived_mac(peering.uuid, _OTHER[peering.side]))


def _name(uuid: str, side: Side) -> str:
    return f"peer-{uuid}-{side}"
