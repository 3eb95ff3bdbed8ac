"""NetworkRoute tables, their routes and their associations with subnets."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import elements, filters
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model.egressgateway import EgressGateway
from pileus.model.errors import InvalidValue
from pileus.model.instance import Instance
from pileus.model.internetgateway import InternetGateway
from pileus.model.natgateway import NatGateway
from pileus.model.noun import Noun
from pileus.model.peering import Peering
from pileus.model.port import Port
from pileus.model.prefixlist import PrefixList
from pileus.model.router import Router
from pileus.model.routetable import NetworkRoute, RouteTable
from pileus.model.subnet import Subnet
from pileus.model.transitgateway import TransitGateway
from pileus.rules import find
from pileus.verbs import routetable as verbs
from pileus.verbs.routetable import RouteTableView

TARGETS: dict[str, type[Noun]] = {
    "EgressOnlyInternetGatewayId": EgressGateway,
    "GatewayId": InternetGateway,
    "NatGatewayId": NatGateway,
    "NetworkInterfaceId": Port,
    "InstanceId": Instance,
    "VpcPeeringConnectionId": Peering,
    "TransitGatewayId": TransitGateway,
}
"""The parameters that name what a route leads to, and the nouns that they name."""


@action("CreateRouteTable")
def create(call: Call) -> dict[str, Any]:
    """Make a table for a VPC, with the route to its own ranges alone."""
    token = call.args.get("ClientToken", "")
    tags = specified(call.args, "route-table")["route-table"]
    table = verbs.create(call.caller, call.core, uuid_of(call, Router, call.args["VpcId"]), tags, token)
    (view,) = [view for view in verbs.listing(call.caller, call.core) if view.table.uuid == table.uuid]
    return {"RouteTable": _table(call, view), "ClientToken": token or None}


@action("DeleteRouteTable")
def delete(call: Call) -> dict[str, Any]:
    """Delete a table that is no main one and that no subnet is associated with."""
    verbs.delete(call.caller, call.core, _uuid(call))
    return {}


def _uuid(call: Call) -> str:
    return uuid_of(call, RouteTable, call.args["RouteTableId"])


@action("AssociateRouteTable")
def associate(call: Call) -> dict[str, Any]:
    """Have a subnet go by a table."""
    if "SubnetId" not in call.args:
        raise missing("subnetId")
    subnet = uuid_of(call, Subnet, call.args["SubnetId"])
    association = verbs.associate(call.caller, call.core, _uuid(call), subnet)
    return {"AssociationId": association, "AssociationState": {"State": "associated"}}


@action("DisassociateRouteTable")
def disassociate(call: Call) -> dict[str, Any]:
    """Have a subnet go by its VPC's main table again."""
    verbs.disassociate(call.caller, call.core, call.args["AssociationId"])
    return {}


@action("ReplaceRouteTableAssociation")
def replace_association(call: Call) -> dict[str, Any]:
    """Have a subnet go by another table, or make another table its VPC's main one."""
    association = verbs.replace_association(call.caller, call.core, call.args["AssociationId"], _uuid(call))
    return {"NewAssociationId": association, "AssociationState": {"State": "associated"}}


@action("CreateRoute")
def create_route(call: Call) -> dict[str, Any]:
    """Lead a range to an internet, NAT or transit gateway, an instance, a network interface or a peering connection."""
    verbs.add_route(call.caller, call.core, _uuid(call), _destination(call), *_target(call))
    return {"Return": True}


@action("ReplaceRoute")
def replace_route(call: Call) -> dict[str, Any]:
    """Lead a range elsewhere."""
    verbs.replace_route(call.caller, call.core, _uuid(call), _destination(call), *_target(call))
    return {}


@action("DeleteRoute")
def delete_route(call: Call) -> dict[str, Any]:
    """Take a route away."""
    verbs.remove_route(call.caller, call.core, _uuid(call), _destination(call))
    return {}


def _destination(call: Call) -> str:
    """The range that a route is to, or the uuid of its prefix list."""
    members = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
    named = [name for name in members if name in call.args]
    if not named:
        raise missing("destinationCidrBlock")
    if len(named) > 1:
        raise InvalidValue(f"The request must contain exactly one of {', '.join(named)}", reason="combination")
    if named[0] == "DestinationPrefixListId":
        return uuid_of(call, PrefixList, call.args[named[0]])
    return in_version(call.args[named[0]], named[0])


def in_version(cidr: str, name: str) -> str:
    """A range that the parameter `name` has. Raises InvalidValue for one of the other version of IP."""
    if (":" in cidr) != ("Ipv6" in name):
        text = (
            f"Value ({cidr[:50]}) for parameter {name[0].lower()}{name[1:]} is invalid. This is not a valid CIDR block."
        )
        raise InvalidValue(text, noun=RouteTable.KIND, ident=cidr[:50], reason="cidr")
    return cidr


def _target(call: Call) -> tuple[str, str]:
    """The kind and the uuid of what the route leads to."""
    named = [name for name in TARGETS if name in call.args]
    if len(named) != 1:
        text = f"The request must contain exactly one of {', '.join(TARGETS)}"
        raise InvalidValue(text, reason="combination" if named else "missing")
    cls = TARGETS[named[0]]
    return cls.KIND, uuid_of(call, cls, call.args[named[0]])


@action("DescribeRouteTables")
def describe(call: Call) -> dict[str, Any]:
    """List route tables, by id or all."""
    views = find.named_items(
        RouteTable,
        {view.table.ec2_id: view for view in verbs.listing(call.caller, call.core)},
        call.args.get("RouteTableIds", ()),
    )
    return elements.listed(call, "RouteTables", "RouteTable", views, _table, _FILTERS)


def _table(call: Call, view: RouteTableView) -> dict[str, Any]:
    table, local = view.table, {"GatewayId": "local", "Origin": "CreateRouteTable", "State": "active"}
    associations = [(each.id, {"SubnetId": ec2_id(Subnet, each.subnet)}) for each in table.wanted.associations]
    main: list[tuple[str, dict[str, str]]] = [(table.wanted.main, {})] if table.wanted.main else []
    return {
        "RouteTableId": table.ec2_id,
        "VpcId": view.router.ec2_id,
        "OwnerId": call.caller.account_id,
        "Associations": [
            {
                "Main": not subnet,
                "RouteTableAssociationId": ident,
                "RouteTableId": table.ec2_id,
                **subnet,
                "AssociationState": {"State": "associated"},
            }
            for ident, subnet in (*main, *associations)
        ],
        "PropagatingVgws": [],
        "Routes": [
            *({"DestinationCidrBlock": cidr, **local} for cidr in view.router.cidrs),
            *({"DestinationIpv6CidrBlock": cidr, **local} for cidr in view.router.ipv6_cidrs),
            *(_route(call, route, active=route.uuid in view.active) for route in table.wanted.routes),
        ],
        "Tags": shown(table.tags),
    }


def _route(call: Call, route: NetworkRoute, *, active: bool) -> dict[str, Any]:
    member, cls = next((name, cls) for name, cls in TARGETS.items() if route.target == cls.KIND)
    of_instance = {}
    if route.instance:
        of_instance = {
            "InstanceId": ec2_id(Instance, route.instance),
            "InstanceOwnerId": call.caller.account_id,
        }
    if route.prefixlist:
        destination = {"DestinationPrefixListId": ec2_id(PrefixList, route.prefixlist)}
    else:
        destination = {"DestinationIpv6CidrBlock" if ":" in route.cidr else "DestinationCidrBlock": route.cidr}
    return {
        **destination,
        member: ec2_id(cls, route.uuid),
        **of_instance,
        "Origin": "CreateRoute",
        "State": "active" if active else "blackhole",
    }


_FILTERS = filters.of_members(
    *("OwnerId", "RouteTableId", "VpcId"),
    others={
        "association.main": "Associations.Main",
        "association.route-table-association-id": "Associations.RouteTableAssociationId",
        "association.route-table-id": "Associations.RouteTableId",
        "route.destination-cidr-block": "Routes.DestinationCidrBlock",
        "route.destination-ipv6-cidr-block": "Routes.DestinationIpv6CidrBlock",
        "route.destination-prefix-list-id": "Routes.DestinationPrefixListId",
        "route.egress-only-internet-gateway-id": "Routes.EgressOnlyInternetGatewayId",
        "association.subnet-id": "Associations.SubnetId",
        "route.instance-id": "Routes.InstanceId",
        "route.nat-gateway-id": "Routes.NatGatewayId",
        "route.vpc-peering-connection-id": "Routes.VpcPeeringConnectionId",
        "route.gateway-id": "Routes.GatewayId",
        "route.origin": "Routes.Origin",
        "route.state": "Routes.State",
        "route.transit-gateway-id": "Routes.TransitGatewayId",
    },
    absent=("association.gateway-id",),
)
