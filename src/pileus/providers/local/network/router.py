"""Routers: logical routers, to which networks attach themselves."""

from __future__ import annotations

import uuid as uuids

from pileus.model.noun import Revision
from pileus.model.spec import RouterSpec
from pileus.providers.local.network.rows import Rows, marks

TABLE = "Logical_Router"


def ensure(rows: Rows, spec: RouterSpec) -> None:
    """Write the router as `spec` says. Raises Superseded."""
    own = uuids.UUID(spec.uuid)
    rows.guard(TABLE, own, spec.revision)
    rows.put(TABLE, own, name=spec.uuid, external_ids=marks(spec.KIND, spec.uuid, spec.revision))


def remove(rows: Rows, own: uuids.UUID, revision: Revision) -> None:
    """Remove the router, and what joins its networks to it. Raises Superseded."""
    row = rows.guard(TABLE, own, revision)
    if row is None:
        return
    names = {port.name for port in row.ports}
    for port in list(rows.tables["Logical_Switch_Port"].rows.values()):
        if port.type == "router" and port.options.get("router-port") in names:
            rows.delete("Logical_Switch_Port", port.uuid)
    rows.delete(TABLE, own)
