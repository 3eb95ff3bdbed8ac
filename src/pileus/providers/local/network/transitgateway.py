"""Transit gateways: logical routers without networks of their own, with ends of links to other routers."""

from __future__ import annotations

import uuid as uuids

from pileus.model.spec import RouterSpec, TransitGatewaySpec
from pileus.providers.local.network import controller, peering, router
from pileus.providers.local.network.rows import NorthboundRows, marks_of


def ensure(rows: NorthboundRows, spec: TransitGatewaySpec) -> None:
    """Write the transit gateway as `spec` says. Raises Superseded."""
    own = uuids.UUID(spec.uuid)
    rows.guard(router.TABLE, own, spec.revision)
    row = rows.put(router.TABLE, own, name=spec.uuid, external_ids=marks_of(spec))
    controller.bound(rows, row, spec.uuid)
    peering.ensure(rows, spec.uuid, row, spec.links)
    router.write_routes(rows, row, RouterSpec(uuid=spec.uuid, tables=spec.tables, peerings=spec.links))
