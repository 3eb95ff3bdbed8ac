"""Transit gateways in the network engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.loops.enginekind import EngineKind
from pileus.model.addresses import derived_mac
from pileus.model.project import Project
from pileus.model.record import record
from pileus.model.spec import PeeringSpec, RouteSpec, RouteTableSpec, TransitGatewaySpec
from pileus.model.transitgateway import TransitGateway
from pileus.rules.transitgateway import attachments_of, ranges_of, resolved, tables_of

if TYPE_CHECKING:
    from pileus.rules.core import Place
    from pileus.rules.transitgateway import ResolvedRoute
    from pileus.store.reader import Reader


class TransitGatewayKind(EngineKind[TransitGateway]):
    """A transit gateway with its attachments and route tables is one order."""

    def spec(self, tx: Reader, row: TransitGateway, place: Place) -> TransitGatewaySpec:
        """The gateway with its ends of links, and the routes of its tables. Raises Unavailable."""
        with tx.complete():
            attachments, tables = attachments_of(tx, [row.uuid]), tables_of(tx, row.uuid)
            ranges = ranges_of(tx, attachments)
        table_of = {uuid: table.uuid for table in tables for uuid in table.wanted.associations}
        return TransitGatewaySpec(
            uuid=row.uuid,
            name=row.name,
            project=row.project,
            tags=row.tags,
            tables=tuple(
                RouteTableSpec(
                    uuid=table.uuid, routes=tuple(_route(route) for route in resolved(table, attachments, ranges))
                )
                for table in tables
            ),
            links=tuple(
                PeeringSpec(
                    uuid=each.uuid,
                    side="accepter",
                    address=each.address("accepter"),
                    other=each.address("requester"),
                    mac=derived_mac(each.uuid, "accepter"),
                    table=table_of.get(each.uuid, ""),
                )
                for each in attachments
            ),
            record=record([tx.need(Project, row.project), row, *attachments, *tables]),
        )


ENGINE_KIND = TransitGatewayKind(TransitGateway)


def _route(route: ResolvedRoute) -> RouteSpec:
    if route.attachment is None:
        return RouteSpec(cidr=route.cidr, target="nowhere")
    return RouteSpec(cidr=route.cidr, target="peering", peering=route.attachment.uuid)
