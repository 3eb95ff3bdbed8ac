"""Transit gateways: their attachments and route tables, and the routes that follow from these."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Literal, NamedTuple

from pileus.model.router import Router
from pileus.model.routerattachment import RouterAttachment
from pileus.model.transitgateway import TransitGateway
from pileus.model.transittable import TransitTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


class ResolvedRoute(NamedTuple):
    """A route of a transit gateway's table; it leads nowhere without an `attachment`."""

    cidr: str
    kind: Literal["static", "propagated"]
    attachment: RouterAttachment | None


def attachments_of(tx: Reader, uuids: Iterable[str]) -> list[RouterAttachment]:
    """The living attachments of transit gateways, or of routers, with these uuids, in the order of their making."""
    return [each for each in tx.referring(RouterAttachment, uuids) if not each.wanted.gone]


def tables_of(tx: Reader, gateway: str) -> list[TransitTable]:
    """The living route tables of a transit gateway (by uuid)."""
    return [table for table in tx.referring(TransitTable, [gateway]) if not table.wanted.gone]


def ranges_of(tx: Reader, attachments: Iterable[RouterAttachment]) -> dict[str, tuple[str, ...]]:
    """The ranges of the routers of attachments, by the attachments' uuids."""
    attachments = list(attachments)
    routers = tx.many(Router, {each.wanted.router for each in attachments})
    return {each.uuid: routers[each.wanted.router].cidrs for each in attachments if each.wanted.router in routers}


def resolved(
    table: TransitTable, attachments: Iterable[RouterAttachment], ranges: Mapping[str, tuple[str, ...]]
) -> list[ResolvedRoute]:
    """The routes of a table, by range: its static ones, and the ranges that attachments propagate.

    A static route takes the place of a propagated one to the same range, and of attachments with the same range the one
    that was made first has the route.
    """
    by_uuid = {each.uuid: each for each in attachments}
    routes = {
        route.cidr: ResolvedRoute(route.cidr, "static", by_uuid.get(route.attachment)) for route in table.wanted.routes
    }
    for attachment in by_uuid.values():
        if attachment.uuid in table.wanted.propagations:
            for cidr in filter(None, ranges.get(attachment.uuid, ())):
                routes.setdefault(cidr, ResolvedRoute(cidr, "propagated", attachment))
    return sorted(routes.values(), key=lambda route: ipaddress.IPv4Network(route.cidr))


def wake_gateway(tx: Writer, gateway: str) -> None:
    """Wake a transit gateway (by uuid), whose order has its tables and attachments."""
    tx.wake_all(TransitGateway.KIND, [gateway])


def wake_gateways_of(tx: Writer, router: str) -> None:
    """Wake the transit gateways to which a router (by uuid) is attached: its ranges may have changed."""
    tx.wake_all(TransitGateway.KIND, {each.wanted.gateway for each in attachments_of(tx, [router])})
