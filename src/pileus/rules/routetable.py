"""NetworkRoute tables: which one a subnet goes by, and what a router's way out depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model import addresses
from pileus.model.egressgateway import EgressGateway
from pileus.model.errors import InvalidValue
from pileus.model.ids import new_ec2, new_uuid, sibling_uuid
from pileus.model.internetgateway import InternetGateway
from pileus.model.internetgateway import Wanted as GatewayWanted
from pileus.model.natgateway import NatGateway
from pileus.model.network import Network
from pileus.model.peering import Peering
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.routetable import NetworkRoute, RouteTable, Wanted
from pileus.model.subnet import Subnet
from pileus.model.transitgateway import TransitGateway
from pileus.rules.transitgateway import attachments_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pileus.model.noun import Noun
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

EVERYWHERE = "0.0.0.0/0"
LINK_LOCAL = "169.254.0.0/16"


def tables_of(tx: Reader, router: str) -> list[RouteTable]:
    """The route tables of a router (by uuid): none on one whose orders are older than route tables."""
    return [table for table in tx.referring(RouteTable, [router]) if not table.wanted.gone]


def table_of(tables: Sequence[RouteTable], subnet: str) -> RouteTable | None:
    """The table that a subnet (by uuid) goes by: the one that names it, or the main one."""
    for table in tables:
        if any(association.subnet == subnet for association in table.wanted.associations):
            return table
    return next((table for table in tables if table.wanted.main), None)


def gateway_of(tx: Reader, router: str) -> InternetGateway | None:
    """The internet gateway that is attached to a router (by uuid)."""
    holder = tx.claimed(InternetGateway.KIND, router)
    return tx.get(InternetGateway, holder[1]) if holder else None


def targets_of(tx: Reader, router: str, tables: Iterable[RouteTable]) -> dict[str, Noun]:
    """The nouns, by uuid, that routes of a router's tables lead to and that are there; and its internet gateway.

    A transit gateway's is the router's attachment to it.
    """
    return targets_by_router(tx, {router: [*tables]})[router]


def targets_by_router(tx: Reader, tables: Mapping[str, Sequence[RouteTable]]) -> dict[str, dict[str, Noun]]:
    """Targets of the routes of several routers, by the routers' uuids. Each kind of noun is read once."""
    routes = {router: [route for table in own for route in table.wanted.routes] for router, own in tables.items()}
    uuids: dict[str, set[str]] = {}
    for route in (route for own in routes.values() for route in own):
        uuids.setdefault(route.target, set()).add(route.uuid)
    egress, nats, ports = (tx.many(cls, uuids.get(cls.KIND, ())) for cls in (EgressGateway, NatGateway, Port))
    targets: dict[str, Noun] = {
        noun.uuid: noun
        for noun in (*egress.values(), *nats.values(), *ports.values())
        if noun.gone is None and not noun.wanted.gone
    }
    peerings = tx.many(Peering, uuids.get(Peering.KIND, ()))
    targets |= {peering.uuid: peering for peering in peerings.values() if peering.is_active}
    holders = tx.holders(InternetGateway.KIND, routes)
    gateways = tx.many(InternetGateway, holders.values())
    hubs = uuids.get(TransitGateway.KIND, set())
    attached = attachments_of(tx, routes if hubs else ())
    attachments = {(each.wanted.router, each.wanted.gateway): each for each in attached}
    by_router: dict[str, dict[str, Noun]] = {}
    for router, own in routes.items():
        gateway = gateways.get(holders.get(router, ""))
        reached = by_router[router] = {gateway.uuid: gateway} if gateway is not None else {}
        for route in own:
            attachment = attachments.get((router, route.uuid)) if route.target == TransitGateway.KIND else None
            noun = attachment or targets.get(route.uuid)
            if noun is not None:
                reached[route.uuid] = noun
    return by_router


def subnets_of(tx: Reader, router: str) -> list[Subnet]:
    """The living subnets of a router's networks."""
    networks = [network.uuid for network in tx.referring(Network, [router]) if not network.wanted.gone]
    return [subnet for subnet in tx.referring(Subnet, networks) if not subnet.wanted.gone]


def check_destination(router: Router, destination: str) -> None:
    """Whether a route of the router may be to this range: not into its own ones. Raises InvalidValue."""
    if any(addresses.inside(destination, own) for own in (*router.cidrs, *router.ipv6_cidrs)):
        text = f"The destination {destination} is equal to or more specific than a range of {router.label}."
        raise InvalidValue(text, noun=RouteTable.KIND, ident=destination, reason="local")
    if addresses.inside(destination, LINK_LOCAL):
        text = f"The destination {destination} is in the range {LINK_LOCAL}, in which the metadata service is."
        raise InvalidValue(text, noun=RouteTable.KIND, ident=destination, reason="local")


def add_main(tx: Writer, router: Router) -> RouteTable:
    """The main table of a new router, without routes."""
    wanted = Wanted(router=router.uuid, main=new_ec2("rtbassoc"))
    return tx.add(RouteTable(uuid=new_uuid(), project=router.project, wanted=wanted))


def add_way_out(tx: Writer, router: Router) -> None:
    """An internet gateway for a router, and a main table that leads everything there.

    Their public ids have the digits of the router's: so they were shown when no rows stood behind them.
    """
    gateway = tx.add(
        InternetGateway(
            uuid=sibling_uuid(router.uuid), project=router.project, wanted=GatewayWanted(router=router.uuid)
        )
    )
    route = NetworkRoute(cidr=EVERYWHERE, target="internetgateway", uuid=gateway.uuid)
    main = f"rtbassoc-{gateway.ec2_id.partition('-')[2]}"
    wanted = Wanted(router=router.uuid, main=main, routes=(route,))
    tx.add(RouteTable(uuid=sibling_uuid(router.uuid), project=router.project, wanted=wanted))


def wake_router(tx: Writer, router: str) -> None:
    """Wake a router (by uuid), whose order has its tables."""
    tx.wake_all(Router.KIND, [router])


def wake_networks(tx: Writer, subnets: Iterable[Subnet]) -> None:
    """Wake the networks of these subnets, whose orders name the subnets' tables."""
    tx.wake_all(Network.KIND, {subnet.wanted.network for subnet in subnets})
