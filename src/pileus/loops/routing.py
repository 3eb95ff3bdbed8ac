"""The routes and source addresses of a router, from the route tables of its subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pileus.model.addresses import derived_mac, inside
from pileus.model.egressgateway import EgressGateway
from pileus.model.floatingip import FloatingIp
from pileus.model.internetgateway import InternetGateway
from pileus.model.natgateway import NatGateway
from pileus.model.noun import only
from pileus.model.peering import Peering
from pileus.model.port import Port
from pileus.model.routerattachment import RouterAttachment
from pileus.model.spec import NetworkAclSpec, OneWayRange, PeeringSpec, RouteSpec, RouteTableSpec, SourceSpec
from pileus.rules.networkacl import acls_of, subnets_by_acl
from pileus.rules.prefixlist import expanded_routes, lists_of
from pileus.rules.routetable import LINK_LOCAL, subnets_of, table_of, tables_of, targets_of
from pileus.rules.transitgateway import attachments_of

if TYPE_CHECKING:
    from pileus.model.noun import Noun
    from pileus.model.peering import Side
    from pileus.model.router import Router
    from pileus.model.routetable import NetworkRoute, RouteTable
    from pileus.store.reader import Reader


class Routing(NamedTuple):
    """The parts of a router's order that follow from its tables, and the nouns that the order's record carries."""

    tables: tuple[RouteTableSpec, ...]
    sources: tuple[SourceSpec, ...]
    ipv6_cidrs: tuple[str, ...]
    nouns: list[Noun]


def routing(tx: Reader, router: Router) -> Routing:
    """The routing of a router as its address is now. A router without tables leads everything outside."""
    tables, address = tables_of(tx, router.uuid), router.assigned.address
    if not tables:
        sources = (SourceSpec(cidr=router.wanted.cidr, address=address),) if router.wanted.cidr and address else ()
        return Routing((), sources, (), [])
    targets = targets_of(tx, router.uuid, tables)
    lists = lists_of(tx, tables)
    # A range may have been given to the router after a list had it.
    own_ranges = [cidr for cidr in (*router.cidrs, *router.ipv6_cidrs, LINK_LOCAL) if cidr]
    specs = tuple(
        RouteTableSpec(
            uuid=table.uuid,
            routes=tuple(_route(route, targets) for route in expanded_routes(table.wanted.routes, lists, own_ranges)),
        )
        for table in tables
    )
    nats = [nat for nat in tx.referring(NatGateway, [router.uuid]) if not nat.wanted.gone]
    egress = [gateway for gateway in tx.referring(EgressGateway, [router.uuid]) if not gateway.wanted.gone]
    gateways = [*egress, *only(InternetGateway, targets.values()), *nats]
    outside = _ipv6_outside(tx, router, specs, tables)
    return Routing(specs, _sources(tx, router, tables, targets), outside, [*lists.values(), *tables, *gateways])


def _ipv6_outside(
    tx: Reader, router: Router, specs: tuple[RouteTableSpec, ...], tables: list[RouteTable]
) -> tuple[str, ...]:
    """The ranges of the subnets from which a route of IPv6 leads outside."""
    leading = {spec.uuid for spec in specs if any(r.target == "outside" and ":" in r.cidr for r in spec.routes)}
    cidrs = []
    for subnet in subnets_of(tx, router.uuid):
        table = table_of(tables, subnet.uuid)
        if subnet.wanted.ipv6 is not None and table is not None and table.uuid in leading:
            cidrs.append(subnet.wanted.ipv6.cidr)
    return tuple(sorted(cidrs))


def one_way(table: RouteTable | None, router: Router) -> tuple[OneWayRange, ...]:
    """The ranges that a table leads to by egress-only gateways; longer prefixes that lead elsewhere are not meant."""
    routes = [route for route in table.wanted.routes if ":" in route.cidr] if table is not None else []
    others = [route.cidr for route in routes if route.target != EgressGateway.KIND]
    return tuple(
        OneWayRange(
            cidr=route.cidr,
            others=tuple(cidr for cidr in (*router.ipv6_cidrs, *others) if inside(cidr, route.cidr)),
        )
        for route in routes
        if route.target == EgressGateway.KIND
    )


class Filtering(NamedTuple):
    """The network ACLs of a router's order, and the nouns that the order's record carries."""

    acls: tuple[NetworkAclSpec, ...]
    nouns: list[Noun]


def filtering(tx: Reader, router: Router) -> Filtering:
    """The network ACLs of a router's subnets; one that allows everything, or is for no subnet, is left out."""
    acls = acls_of(tx, router.uuid)
    ipv6 = bool(router.ipv6_cidrs)
    if all(acl.is_open(ipv6=ipv6) for acl in acls):
        return Filtering((), [*acls])
    associations = subnets_by_acl(acls, subnets_of(tx, router.uuid))
    specs = tuple(
        NetworkAclSpec(
            uuid=acl.uuid,
            entries=tuple(sorted(acl.wanted.entries, key=lambda entry: (entry.egress, entry.number))),
            subnets=tuple(association.subnet for association in associations[acl.uuid]),
        )
        for acl in acls
        if associations[acl.uuid] and not acl.is_open(ipv6=ipv6)
    )
    return Filtering(specs, [*acls])


class Linking(NamedTuple):
    """The links of a router's order, and the nouns that the order's record carries."""

    peerings: tuple[PeeringSpec, ...]
    nouns: list[Noun]


def linking(tx: Reader, router: Router) -> Linking:
    """The links of a router to others and to transit gateways; its record carries peerings that it asked for."""
    peerings = [peering for peering in tx.referring(Peering, [router.uuid]) if not peering.wanted.gone]
    specs = [_link(peering, peering.side(router.uuid)) for peering in peerings if peering.is_active]
    specs += [_link(attachment, "requester") for attachment in attachments_of(tx, [router.uuid])]
    return Linking(tuple(specs), [peering for peering in peerings if peering.wanted.router == router.uuid])


def _link(link: Peering | RouterAttachment, side: Side) -> PeeringSpec:
    return PeeringSpec(
        uuid=link.uuid,
        side=side,
        address=link.address(side),
        other=link.address("accepter" if side == "requester" else "requester"),
        mac=derived_mac(link.uuid, side),
    )


def _route(route: NetworkRoute, targets: dict[str, Noun]) -> RouteSpec:
    target = targets.get(route.uuid)
    if target is None:
        return RouteSpec(cidr=route.cidr, target="nowhere")
    for port in only(Port, [target]):
        address, subnet = port.assigned.address, port.wanted.subnet
        if ":" in route.cidr:
            if not port.assigned.ipv6:
                return RouteSpec(cidr=route.cidr, target="nowhere")
            address = port.assigned.ipv6[0]
        return RouteSpec(cidr=route.cidr, target="address", address=address, subnet=subnet)
    if isinstance(target, Peering | RouterAttachment):
        return RouteSpec(cidr=route.cidr, target="peering", peering=target.uuid)
    return RouteSpec(cidr=route.cidr)


def _sources(tx: Reader, router: Router, tables: list[RouteTable], targets: dict[str, Noun]) -> tuple[SourceSpec, ...]:
    """The address that each subnet with a way out is seen by: that of its NAT gateway, or the router's."""
    floating = tx.many(FloatingIp, [nat.wanted.floatingip for nat in only(NatGateway, targets.values())])
    sources = []
    for subnet in subnets_of(tx, router.uuid):
        table = table_of(tables, subnet.uuid)
        routes = [route for route in table.wanted.routes if ":" not in route.cidr] if table else []
        reached = [targets[route.uuid] for route in routes if route.uuid in targets]
        nats = only(NatGateway, reached)
        if nats:
            address = floating[nats[0].wanted.floatingip].assigned.address
        else:
            address = router.assigned.address if only(InternetGateway, reached) else ""
        if address:
            sources.append(SourceSpec(cidr=subnet.wanted.cidr, address=address))
    return tuple(sources)
