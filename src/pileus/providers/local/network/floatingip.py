"""Floating addresses: a row that keeps each one's order, and a translation on the router while a port has it."""

from __future__ import annotations

import uuid as uuids
from typing import Any

from pileus.model import addresses
from pileus.model.errors import Fault
from pileus.model.noun import Revision
from pileus.model.spec import FloatingIpSpec
from pileus.providers.local.network.rows import NorthboundRows, derived, marks_of

TABLE = "DHCP_Options"
"""An address that no port has needs a row too, or its order would be forgotten; OVN ignores this one."""

TRANSLATION = "NAT"
_USED = "pileus-used"


def ensure(rows: NorthboundRows, spec: FloatingIpSpec) -> None:
    """Write the address, and its translation if a port has it. Raises Superseded, Fault `RouterMissing`."""
    own = uuids.UUID(spec.uuid)
    rows.guard(TABLE, own, spec.revision)
    mine = marks_of(spec)
    if spec.port:
        _translate(rows, spec, mine)
    else:
        rows.delete(TRANSLATION, translation(spec.uuid))
    used = {_USED: spec.port} if spec.port else {}
    rows.put(TABLE, own, cidr=f"{spec.address}/32", external_ids={**mine, **used})


def remove(rows: NorthboundRows, own: uuids.UUID, revision: Revision) -> None:
    """Remove the address. Raises Superseded."""
    if rows.guard(TABLE, own, revision) is not None:
        rows.delete(TRANSLATION, translation(str(own)))
        rows.delete(TABLE, own)


def whole(tables: Any, row: Any) -> bool:
    """Whether the address that `row` keeps has its translation, if it is to have one: a router takes it along."""
    return _USED not in row.external_ids or translation(str(row.uuid)) in tables[TRANSLATION].rows


def _translate(rows: NorthboundRows, spec: FloatingIpSpec, mine: dict[str, str]) -> None:
    router = rows.get("Logical_Router", uuids.UUID(spec.router))
    if router is None:
        raise Fault("RouterMissing", f"router {spec.router} of floating address {spec.address} is not there yet")
    own = translation(spec.uuid)
    rows.put(
        TRANSLATION,
        own,
        type="dnat_and_snat",
        external_ip=spec.address,
        logical_ip=spec.private,
        external_mac=addresses.outside_mac(spec.address),
        logical_port=spec.port,
        # With connection tracking on both sides, what goes from one floating address to another takes more
        # recirculations than the switch allows.
        options={"stateless": "true"},
        external_ids=mine,
    )
    rows.attach(router, "nat", own)


def translation(uuid: str) -> uuids.UUID:
    """The row uuid of the translation of the floating address `uuid`."""
    return derived(uuid, "translation")
