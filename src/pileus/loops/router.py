"""Routers in the network engine, and their addresses on the outside network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.loops.enginekind import EngineKind
from pileus.loops.routing import filtering, linking, routing
from pileus.model import addresses
from pileus.model.caller import SYSTEM
from pileus.model.dhcpoptionset import DhcpOptionSet
from pileus.model.host import Host
from pileus.model.network import Network
from pileus.model.noun import SeenFault
from pileus.model.port import Port
from pileus.model.project import Project
from pileus.model.record import record
from pileus.model.router import NO_WAY_OUT, Router, gateways
from pileus.model.routetable import RouteTable
from pileus.model.spec import OutsideIpv6Spec, RouterSpec
from pileus.rules import floatingip, network

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.network import Seen
    from pileus.rules.core import Core, Place
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


class RouterKind(EngineKind[Router]):
    """A router has an address outside while a port on its networks needs a way out."""

    def spec(self, tx: Reader, row: Router, place: Place) -> RouterSpec:
        """The router with its routes, and the switches that may carry its traffic outside. Raises Unavailable."""
        address = row.assigned.address
        with tx.complete():
            routes, filters, links = routing(tx, row), filtering(tx, row), linking(tx, row)
            chosen = row.wanted.dhcpoptionset
            option_set = tx.get(DhcpOptionSet, chosen) if chosen else None
        context = [option_set] if option_set is not None else []
        return RouterSpec(
            uuid=row.uuid,
            name=row.name,
            project=row.project,
            tags=row.tags,
            address=address,
            outside=place.floating_cidr if address else "",
            gateways=gateways(row.uuid, _switches(tx)) if address else (),
            sources=routes.sources if address else (),
            tables=routes.tables,
            acls=filters.acls,
            peerings=links.peerings,
            ipv6=_outside(place, routes.ipv6_cidrs) if address and routes.ipv6_cidrs else None,
            record=record([tx.need(Project, row.project), *context, row, *routes.nouns, *filters.nouns, *links.nouns]),
        )

    def prepare(self, core: Core, tx: Writer, row: Router) -> Router:
        """The router with an address on the outside network as that is now.

        One that needs none gives it back: there are more projects than addresses. It has none either when none is left.
        Raises Unavailable where an unreadable row may be what needs it.
        """
        with tx.complete():
            leads_out = network.leads_out(tx, row.uuid)
        if leads_out and floatingip.within(core.place, row.assigned.address):
            return row
        address = floatingip.free(tx, core.place) if leads_out else ""
        if leads_out and not address and not _cut_off(row.seen):
            detail = f"{NO_WAY_OUT.code}: {NO_WAY_OUT.message}"
            tx.add_journal_line(SYSTEM, row, "router.address", outcome="failed", detail=detail)
        if address == row.assigned.address:
            return row
        return tx.assign(row, msgspec.structs.replace(row.assigned, address=address))

    def seen(self, tx: Writer, row: Router, seen: Seen) -> Seen:
        """With a fault while it needs an address and has none."""
        if row.wanted.gone or row.assigned.address or not network.leads_out(tx, row.uuid):
            return seen
        fault = row.seen.fault if _cut_off(row.seen) else SeenFault.of(NO_WAY_OUT, tx.now)
        return msgspec.structs.replace(seen, fault=fault)


ENGINE_KIND = RouterKind(Router)


def _outside(place: Place, cidrs: tuple[str, ...]) -> OutsideIpv6Spec:
    return OutsideIpv6Spec(gateway=addresses.gateway(place.ipv6_cidr), admitted=cidrs)


def wake_unaddressed(tx: Writer, networks: Iterable[str]) -> None:
    """Wake the routers of these networks that have no address outside."""
    tx.wake_all(Router.KIND, [router.uuid for router in _routers(tx, networks) if not router.assigned.address])


def wake_idle(tx: Writer, ports: Iterable[Port]) -> None:
    """Wake the routers of ports that are gone: those without another port, and those that route to one of these."""
    gone = {port.uuid: port.wanted.network for port in ports}
    routers = list(_routers(tx, gone.values()))
    tables = tx.referring(RouteTable, [router.uuid for router in routers])
    woken = {table.wanted.router for table in tables if any(map(table.leads_to, gone))}
    if gone and not tx.is_referred(gone.values(), Port.KIND):
        woken |= {router.uuid for router in routers if router.assigned.address}
    tx.wake_all(Router.KIND, woken)


def _routers(tx: Writer, networks: Iterable[str]) -> Iterable[Router]:
    rows = tx.many(Network, networks).values()
    return tx.many(Router, {row.wanted.router for row in rows if row.wanted.router}).values()


def _cut_off(seen: Seen) -> bool:
    return seen.fault is not None and seen.fault.code == NO_WAY_OUT.code


def _switches(tx: Reader) -> list[str]:
    """The switches of all hosts; a silent host's as well, for a router must not move whenever one pauses."""
    return [host.seen.chassis for host in tx.list(Host) if host.seen.chassis and not host.wanted.gone]
