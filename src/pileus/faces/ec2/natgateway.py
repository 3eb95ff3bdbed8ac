"""NAT gateways."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pileus.faces.ec2 import elements, filters
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import Unsupported
from pileus.model.floatingip import FloatingIp
from pileus.model.natgateway import NatGateway
from pileus.model.router import Router
from pileus.model.subnet import Subnet
from pileus.rules import find
from pileus.verbs import natgateway as verbs
from pileus.verbs.natgateway import NatGatewayView


@action("CreateNatGateway")
def create(call: Call) -> dict[str, Any]:
    """Make a public NAT gateway with an allocated address, in a subnet of a VPC with an internet gateway."""
    args, token = call.args, call.args.get("ClientToken", "")
    if args.get("ConnectivityType", "public") != "public":
        raise Unsupported("NAT gateways of this cloud are public.", noun=NatGateway.KIND)
    for name in ("SubnetId", "AllocationId"):
        if name not in args:
            raise missing(name)
    nat = verbs.create(
        call.caller,
        call.core,
        uuid_of(call, Subnet, args["SubnetId"]),
        uuid_of(call, FloatingIp, args["AllocationId"]),
        args.get("PrivateIpAddress", ""),
        specified(args, "natgateway")["natgateway"],
        token,
    )
    (view,) = [view for view in verbs.listing(call.caller, call.core) if view.nat.uuid == nat.uuid]
    return {"NatGateway": _nat(view) | {"State": "pending"}, "ClientToken": token or None}


@action("DeleteNatGateway")
def delete(call: Call) -> dict[str, Any]:
    """Delete a NAT gateway: routes to it lead nowhere, and its address stays allocated."""
    ident = call.args["NatGatewayId"]
    verbs.delete(call.caller, call.core, uuid_of(call, NatGateway, ident))
    return {"NatGatewayId": ident}


@action("DescribeNatGateways")
def describe(call: Call) -> dict[str, Any]:
    """List NAT gateways, by id or all; for a while those too that are deleted."""
    views = find.named_items(
        NatGateway,
        {view.nat.ec2_id: view for view in verbs.listing(call.caller, call.core)},
        call.args.get("NatGatewayIds", ()),
    )
    if "Filter" in call.args:
        call = call._replace(args={**call.args, "Filters": call.args["Filter"]})
    return elements.listed(call, "NatGateways", "NatGateway", views, lambda _, view: _nat(view), _FILTERS)


def _nat(view: NatGatewayView) -> dict[str, Any]:
    nat = view.nat
    address = {
        "AllocationId": ec2_id(FloatingIp, nat.wanted.floatingip),
        "AssociationId": nat.wanted.association,
        "NetworkInterfaceId": ec2_id(NatGateway, nat.uuid, "eni"),
        "PrivateIp": nat.assigned.address,
        "PublicIp": view.allocation.assigned.address if view.allocation else None,
        "IsPrimary": True,
        "Status": "succeeded",
    }
    ended = {"DeleteTime": _time(nat.gone)} if nat.gone is not None else {}
    return {
        "NatGatewayId": nat.ec2_id,
        "VpcId": ec2_id(Router, nat.wanted.router),
        "SubnetId": ec2_id(Subnet, nat.wanted.subnet),
        "State": "available" if nat.gone is None else "deleted",
        "ConnectivityType": "public",
        "CreateTime": _time(nat.created),
        **ended,
        "NatGatewayAddresses": [{name: value for name, value in address.items() if value is not None}],
        "Tags": shown(nat.tags),
    }


def _time(at: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(at, dt.UTC)


_FILTERS = filters.of_members("NatGatewayId", "State", "SubnetId", "VpcId")
