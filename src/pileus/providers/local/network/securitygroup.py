"""Security groups: port groups with access control lists, and the one group that drops what none admits."""

from __future__ import annotations

import uuid as uuids
from typing import Any

from pileus.model.noun import NEVER, Revision
from pileus.model.spec import SecurityGroupSpec
from pileus.providers.local.network import acl, tag
from pileus.providers.local.network.rows import KIND, UUID, NorthboundRows, marks, marks_of

TABLE = "Port_Group"
DROP = uuids.uuid5(uuids.NAMESPACE_DNS, f"{acl.DROP_GROUP}.pileus")
"""The row uuid of the drop group."""


def ensure(rows: NorthboundRows, spec: SecurityGroupSpec) -> None:
    """Write the group's rules as `spec` says; its members are the ports' affair. Raises Superseded."""
    own = uuids.UUID(spec.uuid)
    before = rows.guard(TABLE, own, spec.revision)
    ensure_drop(rows)
    tags = tag.tags_of(spec.rules)
    marks_after = {**marks_of(spec), **tag.marks_of_tags(spec.router, tags)}
    unnamed = tag.listed(before.external_ids) - tag.listed(marks_after) if before is not None else set()
    row = rows.put(TABLE, own, name=acl.group_name(spec.uuid), external_ids=marks_after)
    for each in tags:
        tag.known(rows, spec.router, each)
    for named in {rule.group for rule in spec.rules if rule.group and rule.group != spec.uuid}:
        known(rows, named)
    rows.acls(row, [acl.rule(spec.uuid, rule, spec.router) for rule in spec.rules])
    tag.drop_unused(rows, unnamed, own)


def remove(rows: NorthboundRows, own: uuids.UUID, revision: Revision) -> None:
    """Remove the group with its rules; ports in it lose what it admitted. Raises Superseded."""
    row = rows.guard(TABLE, own, revision)
    if row is not None:
        tags = tag.listed(row.external_ids)
        rows.delete(TABLE, own)
        tag.drop_unused(rows, tags, own)


def known(rows: NorthboundRows, uuid: str) -> Any:
    """The row of the group `uuid`, made empty when its own order has not come yet.

    A rule that names a group without a row would be one that no chassis understands.
    """
    own = uuids.UUID(uuid)
    row = rows.get(TABLE, own)
    if row is None:
        row = rows.put(TABLE, own, name=acl.group_name(uuid), external_ids=marks(SecurityGroupSpec.KIND, uuid, NEVER))
    return row


def ensure_drop(rows: NorthboundRows) -> Any:
    """Write the drop group's rules; its row."""
    row = rows.put(TABLE, DROP, name=acl.DROP_GROUP, external_ids={KIND: "drop", UUID: str(DROP)})
    rows.acls(row, [*acl.drop(), *acl.never(), *acl.dhcpv6()])
    return row


def label(row: Any) -> str:
    """Return the group's name in a port's observed memberships: its noun's uuid, "drop", or a stranger's name."""
    if row.uuid == DROP:
        return "drop"
    return str(row.external_ids.get(UUID) or row.name)
