"""Ports: logical switch ports with their addresses, port security, DHCP options and exactly their groups."""

from __future__ import annotations

import uuid as uuids
from typing import Any

from pileus.model.errors import Fault
from pileus.model.noun import Revision
from pileus.model.spec import PortSpec
from pileus.providers.local.network import dhcp, securitygroup
from pileus.providers.local.network.rows import Rows, holders, marks_of

TABLE = "Logical_Switch_Port"


def ensure(rows: Rows, spec: PortSpec) -> None:
    """Write the port and its memberships as `spec` says, together. Raises Superseded, Fault `NetworkMissing`."""
    own = uuids.UUID(spec.uuid)
    rows.guard(TABLE, own, spec.revision)
    switch = rows.get("Logical_Switch", uuids.UUID(spec.network))
    options = rows.get("DHCP_Options", uuids.UUID(spec.subnet))
    if switch is None or options is None:
        raise Fault("NetworkMissing", f"network {spec.network} of port {spec.uuid} is not there yet")
    address = f"{spec.mac} {spec.address}"
    rows.put(
        TABLE,
        own,
        name=spec.uuid,
        type="",
        enabled=[],
        addresses=[address],
        port_security=[address],
        dhcpv4_options=options.uuid,
        options=dhcp.hostname(spec.hostname),
        external_ids=marks_of(spec),
    )
    rows.attach(switch, "ports", own)
    _join(rows, own, spec)


def remove(rows: Rows, own: uuids.UUID, revision: Revision) -> None:
    """Remove the port; its memberships go with it. Raises Superseded."""
    if rows.guard(TABLE, own, revision) is not None:
        rows.delete(TABLE, own)


def memberships(tables: Any, own: uuids.UUID) -> tuple[str, ...]:
    """The groups that the port is in, by the groups' own rows."""
    return tuple(sorted(securitygroup.label(row) for row in holders(tables["Port_Group"], "ports", own)))


def all_memberships(tables: Any) -> dict[uuids.UUID, list[str]]:
    """The groups of every port that is in one, by the port's row uuid."""
    found: dict[uuids.UUID, list[str]] = {}
    for row in tables["Port_Group"].rows.values():
        for member in row.ports:
            found.setdefault(member.uuid, []).append(securitygroup.label(row))
    return found


def _join(rows: Rows, own: uuids.UUID, spec: PortSpec) -> None:
    """Put the port into its groups and the drop group, and out of every other.

    Members are row uuids: a name would join nothing, and say nothing.
    """
    wanted = [securitygroup.ensure_drop(rows)]
    wanted += [securitygroup.known(rows, group) for group in set(spec.groups)]
    keep = {row.uuid for row in wanted}
    for row in holders(rows.tables["Port_Group"], "ports", own):
        if row.uuid not in keep:
            row.delvalue("ports", own)
    for row in wanted:
        rows.include(row, "ports", own)
