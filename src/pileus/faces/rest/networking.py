"""The paths of the nouns that networks are made of: routers, networks, subnets, ports, groups, tables and gateways."""

from __future__ import annotations

from typing import Any

from pileus.faces.rest import documents
from pileus.faces.rest.networkbodies import (
    AddressRange,
    EntryRemoval,
    Ipv6Range,
    NewAttachment,
    NewEntry,
    NewGroup,
    NewInterface,
    NewNatGateway,
    NewNetwork,
    NewOptions,
    NewPeering,
    NewPlacementGroup,
    NewPrefixList,
    NewRouter,
    NewRule,
    NewSubnet,
    NewTransitGateway,
    NewTransitTable,
    OfRouter,
    PortAttachment,
    RouteChange,
    RouterChange,
    RuleRemoval,
    SubnetChange,
    TaggedNoun,
    TheAttachment,
    TheRouter,
    TheSubnet,
    TransitRouteChange,
)
from pileus.faces.rest.nounroutes import act, change, delete, make, present
from pileus.faces.wire.typed import Route, TypedRequest
from pileus.model.caller import Caller
from pileus.model.dhcpoptionset import DhcpOptionSet
from pileus.model.dhcpoptionset import Wanted as Options
from pileus.model.egressgateway import EgressGateway
from pileus.model.errors import InvalidValue, NotFound
from pileus.model.instance import Instance
from pileus.model.internetgateway import InternetGateway
from pileus.model.launchtemplate import LaunchTemplate
from pileus.model.natgateway import NatGateway
from pileus.model.network import Network
from pileus.model.networkacl import AclEntry, NetworkAcl
from pileus.model.peering import Peering
from pileus.model.placementgroup import PlacementGroup
from pileus.model.placementgroup import Wanted as Placement
from pileus.model.port import Port
from pileus.model.prefixlist import PrefixList
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.model.routerattachment import RouterAttachment
from pileus.model.routetable import RouteTable
from pileus.model.securitygroup import Rule, SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.transitgateway import TransitGateway
from pileus.model.transitgateway import Wanted as TransitWanted
from pileus.model.transittable import TransitTable
from pileus.rules.core import Core
from pileus.rules.port import NewPort
from pileus.verbs import (
    dhcpoptionset,
    egressgateway,
    internetgateway,
    launchtemplate,
    natgateway,
    network,
    networkacl,
    peering,
    placementgroup,
    port,
    prefixlist,
    router,
    routerattachment,
    routetable,
    securitygroup,
    subnet,
    transitgateway,
    transittable,
)
from pileus.verbs.port import PortChange
from pileus.verbs.prefixlist import PrefixListChange


def _subnet(caller: Caller, core: Core, new: NewSubnet) -> Subnet:
    if bool(new.network) == bool(new.router):
        raise InvalidValue("A subnet is on a network or, with one of its own, on a router.", reason="combination")
    make = subnet.add if new.network else subnet.create
    ipv6: dict[str, Any] = {"ipv6_cidr": new.ipv6, "ipv6_mode": new.ipv6_mode}
    return make(caller, core, new.network or new.router, new.cidr, new.zone, new.tags, **ipv6)


def _change_subnet(caller: Caller, core: Core, uuid: str, change: SubnetChange) -> None:
    subnet.modify(caller, core, uuid, map_public=change.map_public, assign_ipv6=change.assign_ipv6)


def _remove_ipv6(caller: Caller, core: Core, uuid: str) -> None:
    with core.store.read() as tx:
        on = tx.need(Subnet, uuid)
    if on.wanted.ipv6 is None:
        raise NotFound(f"The {on.label} has no range of IPv6.", noun=Subnet.KIND, ident=uuid, reason="range")
    subnet.remove_ipv6(caller, core, on.wanted.ipv6.id)


def _port(caller: Caller, core: Core, new: NewInterface) -> Port:
    fields = {field: getattr(new, field) for field in NewPort.__struct_fields__}
    return port.create(caller, core, NewPort(**fields), new.tags)


def _group(caller: Caller, core: Core, new: NewGroup) -> SecurityGroup:
    on = None if new.of_project else new.router
    return securitygroup.create(caller, core, new.name, new.description or new.name, on, new.tags)


def _rule(caller: Caller, core: Core, uuid: str, new: NewRule) -> None:
    fields = {field: getattr(new, field) for field in new.__struct_fields__}
    securitygroup.authorize(caller, core, [Rule(id="", **fields)], uuid)


def _change_router(caller: Caller, core: Core, uuid: str, change: RouterChange) -> None:
    if change.dns_support is not None or change.dns_hostnames is not None:
        router.modify(caller, core, uuid, dns_support=change.dns_support, dns_hostnames=change.dns_hostnames)
    if change.dhcpoptionset is not None:
        dhcpoptionset.associate(caller, core, change.dhcpoptionset or None, uuid)


def _remove_range(caller: Caller, core: Core, uuid: str, which: AddressRange) -> None:
    with core.store.read() as tx:
        wanted = tx.need(Router, uuid).wanted
    ranges = {each.cidr: each.id for each in (*wanted.ranges, *wanted.ipv6_ranges)}
    router.remove_range(caller, core, ranges.get(which.cidr, which.cidr))


def _route(request: TypedRequest) -> dict[str, Any]:
    uuid = documents.uuid_of(request, RouteTable)
    route = request.read(RouteChange)
    kinds = (EgressGateway, Instance, InternetGateway, NatGateway, Peering, Port, TransitGateway)
    cls = next(cls for cls in kinds if route.target == cls.KIND)
    verb = routetable.replace_route if route.replace else routetable.add_route
    verb(request.caller, request.core, uuid, route.cidr, route.target, documents.uuid_of(request, cls, route.to))
    return present(request, RouteTable, uuid)


def _leave_table(caller: Caller, core: Core, uuid: str, which: TheSubnet) -> None:
    with core.store.read() as tx:
        table = tx.need(RouteTable, uuid)
    association = next((each.id for each in table.wanted.associations if each.subnet == which.subnet), "")
    if not association:
        text = f"The {table.label} is not associated with {Subnet.KIND} {which.subnet}."
        raise NotFound(text, noun=RouteTable.KIND, ident=which.subnet, reason="association")
    routetable.disassociate(caller, core, association)


def _filter_by(caller: Caller, core: Core, uuid: str, which: TheSubnet) -> None:
    associations = (each for view in networkacl.listing(caller, core) for each in view.associations)
    association = next((each.id for each in associations if each.subnet == which.subnet), "")
    if not association:
        text = f"The {Subnet.KIND} {which.subnet} has no network ACL."
        raise NotFound(text, noun=NetworkAcl.KIND, ident=which.subnet, reason="association")
    networkacl.replace_association(caller, core, association, uuid)


def _entry(caller: Caller, core: Core, uuid: str, new: NewEntry) -> None:
    entry = AclEntry(**{field: getattr(new, field) for field in AclEntry.__struct_fields__})
    (networkacl.replace_entry if new.replace else networkacl.add_entry)(caller, core, uuid, entry)


def _peering(caller: Caller, core: Core, new: NewPeering) -> Peering:
    with core.store.read() as tx:
        account = new.account or tx.need(Project, caller.project).wanted.account_id
    return peering.create(caller, core, new.router, new.peer, account, new.tags)


def _options(caller: Caller, core: Core, new: NewOptions) -> DhcpOptionSet:
    fields = {field: getattr(new, field) for field in new.__struct_fields__ if field != "tags"}
    return dhcpoptionset.create(caller, core, Options(**fields), new.tags)


def _transit_route(caller: Caller, core: Core, uuid: str, route: TransitRouteChange) -> None:
    verb = transittable.replace_route if route.replace else transittable.add_route
    verb(caller, core, uuid, route.cidr, route.attachment)


ROUTES: tuple[Route, ...] = (
    make(
        Router,
        NewRouter,
        lambda caller, core, new: router.create(caller, core, new.cidr, new.tags, with_ipv6=new.ipv6),
        "Make a router, with a main route table, a default ACL and a default group.",
    ),
    change(Router, "", RouterChange, _change_router, "Change what guests are told of names."),
    change(
        Router,
        "ranges",
        AddressRange,
        lambda caller, core, uuid, new: router.add_range(caller, core, uuid, new.cidr),
        "Give it a further range.",
    ),
    act(Router, "ipv6", router.add_ipv6_range, "Give it a range of the cloud's IPv6 addresses."),
    change(Router, "ranges/remove", AddressRange, _remove_range, "Take a further range away, or one of IPv6."),
    delete(Router, router.delete, "Delete a router on which nothing is."),
    make(
        Network,
        NewNetwork,
        lambda caller, core, new: network.create(caller, core, new.router, new.name, new.tags),
        "Make a network, with a router or without one.",
    ),
    change(
        Network,
        "join",
        TheRouter,
        lambda caller, core, uuid, to: network.join(caller, core, uuid, to.router),
        "Join it to a router.",
    ),
    act(Network, "part", network.part, "Part it from its router."),
    delete(Network, network.delete, "Delete a network without subnets."),
    make(Subnet, NewSubnet, _subnet, "Make a subnet."),
    change(Subnet, "", SubnetChange, _change_subnet, "Change it."),
    change(
        Subnet,
        "ipv6",
        Ipv6Range,
        lambda caller, core, uuid, new: subnet.add_ipv6(caller, core, uuid, new.cidr),
        "Give it a range of IPv6.",
    ),
    act(Subnet, "ipv6/remove", _remove_ipv6, "Take its range of IPv6 away."),
    delete(Subnet, subnet.delete, "Delete a subnet on which nothing is."),
    make(Port, NewInterface, _port, "Make a port that no instance has."),
    change(Port, "", PortChange, port.modify, "Change it."),
    change(
        Port,
        "attach",
        PortAttachment,
        lambda caller, core, uuid, to: port.attach(caller, core, uuid, to.instance, to.index),
        "Give it to an instance, while that runs too.",
    ),
    act(Port, "detach", port.detach, "Take it from its instance, while that runs too."),
    delete(Port, port.delete, "Delete a port that no instance has."),
    make(SecurityGroup, NewGroup, _group, "Make a security group."),
    change(SecurityGroup, "rules", NewRule, _rule, "Add a rule."),
    change(
        SecurityGroup,
        "rules/remove",
        RuleRemoval,
        lambda caller, core, uuid, which: securitygroup.revoke(caller, core, rule_ids=which.rules, uuid=uuid),
        "Take rules away.",
    ),
    delete(SecurityGroup, securitygroup.delete, "Delete a group that nothing uses."),
    make(
        InternetGateway,
        TaggedNoun,
        lambda caller, core, new: internetgateway.create(caller, core, new.tags),
        "Make an internet gateway.",
    ),
    change(
        InternetGateway,
        "attach",
        TheRouter,
        lambda caller, core, uuid, to: internetgateway.attach(caller, core, uuid, to.router),
        "Attach it to a router.",
    ),
    change(
        InternetGateway,
        "detach",
        TheRouter,
        lambda caller, core, uuid, to: internetgateway.detach(caller, core, uuid, to.router),
        "Detach it.",
    ),
    delete(InternetGateway, internetgateway.delete, "Delete a gateway that is not attached."),
    make(
        EgressGateway,
        OfRouter,
        lambda caller, core, new: egressgateway.create(caller, core, new.router, new.tags),
        "Make an egress-only gateway, by which guests open connections of IPv6, and nobody outside to them.",
    ),
    delete(EgressGateway, egressgateway.delete, "Delete it; routes to it lead nowhere."),
    make(
        TransitGateway,
        NewTransitGateway,
        lambda caller, core, new: transitgateway.create(
            caller, core, TransitWanted(description=new.description), new.tags
        ),
        "Make a transit gateway.",
    ),
    delete(TransitGateway, transitgateway.delete, "Delete a transit gateway without attachments."),
    make(
        RouterAttachment,
        NewAttachment,
        lambda caller, core, new: routerattachment.create(
            caller, core, new.transitgateway, new.router, new.subnets, tags=new.tags
        ),
        "Attach a router to a transit gateway.",
    ),
    delete(RouterAttachment, routerattachment.delete, "Detach a router; routes to the gateway lead nowhere."),
    make(
        NatGateway,
        NewNatGateway,
        lambda caller, core, new: natgateway.create(caller, core, new.subnet, new.floatingip, new.address, new.tags),
        "Make a NAT gateway.",
    ),
    delete(NatGateway, natgateway.delete, "Delete it; its floating address stays."),
    make(
        RouteTable,
        OfRouter,
        lambda caller, core, new: routetable.create(caller, core, new.router, new.tags),
        "Make a route table.",
    ),
    Route("POST", "routetables/{id}/routes", _route, "Add or replace a route.", RouteChange),
    change(
        RouteTable,
        "routes/remove",
        AddressRange,
        lambda caller, core, uuid, to: routetable.remove_route(caller, core, uuid, to.cidr),
        "Take a route away.",
    ),
    change(
        RouteTable,
        "associate",
        TheSubnet,
        lambda caller, core, uuid, on: routetable.associate(caller, core, uuid, on.subnet),
        "Have a subnet go by it.",
    ),
    change(RouteTable, "disassociate", TheSubnet, _leave_table, "Have a subnet go by the main table."),
    delete(RouteTable, routetable.delete, "Delete a table that no subnet goes by."),
    make(
        NetworkAcl,
        OfRouter,
        lambda caller, core, new: networkacl.create(caller, core, new.router, new.tags),
        "Make a network ACL, which denies everything.",
    ),
    change(NetworkAcl, "entries", NewEntry, _entry, "Add or replace an entry."),
    change(
        NetworkAcl,
        "entries/remove",
        EntryRemoval,
        lambda caller, core, uuid, which: networkacl.remove_entry(
            caller, core, uuid, which.number, egress=which.egress
        ),
        "Take an entry away.",
    ),
    change(NetworkAcl, "associate", TheSubnet, _filter_by, "Have a subnet's packets judged by it."),
    delete(NetworkAcl, networkacl.delete, "Delete an ACL that no subnet goes by."),
    make(Peering, NewPeering, _peering, "Ask for a link with another router."),
    act(Peering, "accept", peering.accept, "Accept a request."),
    act(Peering, "reject", peering.reject, "Reject a request."),
    delete(Peering, peering.delete, "End a link."),
    make(DhcpOptionSet, NewOptions, _options, "Make a set of DHCP options."),
    delete(DhcpOptionSet, dhcpoptionset.delete, "Delete a set that no router uses."),
    make(
        PrefixList,
        NewPrefixList,
        lambda caller, core, new: prefixlist.create(caller, core, new.name, new.max_entries, new.entries, new.tags),
        "Make a prefix list.",
    ),
    change(PrefixList, "", PrefixListChange, prefixlist.modify, "Change it."),
    delete(PrefixList, prefixlist.delete, "Delete a list that no rule and no route names."),
    delete(LaunchTemplate, launchtemplate.delete, "Delete a launch template with all of its versions."),
    make(
        PlacementGroup,
        NewPlacementGroup,
        lambda caller, core, new: placementgroup.create(caller, core, new.name, Placement(policy=new.policy), new.tags),
        "Make a placement group.",
    ),
    delete(PlacementGroup, placementgroup.delete, "Delete a placement group without instances."),
    make(
        TransitTable,
        NewTransitTable,
        lambda caller, core, new: transittable.create(caller, core, new.transitgateway, new.tags),
        "Make a route table for a transit gateway.",
    ),
    change(TransitTable, "routes", TransitRouteChange, _transit_route, "Add or replace a route."),
    change(
        TransitTable,
        "routes/remove",
        AddressRange,
        lambda caller, core, uuid, to: transittable.remove_route(caller, core, uuid, to.cidr),
        "Take a route away.",
    ),
    *(
        change(
            TransitTable,
            action,
            TheAttachment,
            lambda caller, core, uuid, which, verb=verb: verb(caller, core, uuid, which.attachment),  # type: ignore[misc]  # each has its own
            says,
        )
        for action, verb, says in (
            ("associate", transittable.associate, "Have an attachment's packets go by it."),
            ("disassociate", transittable.disassociate, "Have an attachment's packets go by no table."),
            ("propagate", transittable.enable_propagation, "Learn the ranges of an attachment's router."),
            ("ignore", transittable.disable_propagation, "Learn them no longer."),
        )
    ),
    delete(TransitTable, transittable.delete, "Delete a table that no attachment goes by."),
)
