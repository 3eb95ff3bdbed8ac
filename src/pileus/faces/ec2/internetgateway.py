"""Internet gateways."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import elements, filters
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model.internetgateway import InternetGateway
from pileus.model.router import Router
from pileus.rules import find
from pileus.verbs import internetgateway as verbs


@action("CreateInternetGateway")
def create(call: Call) -> dict[str, Any]:
    """Make a gateway that is attached to no VPC."""
    tags = specified(call.args, "internet-gateway")["internet-gateway"]
    return {"InternetGateway": _gateway(call, verbs.create(call.caller, call.core, tags))}


@action("AttachInternetGateway")
def attach(call: Call) -> dict[str, Any]:
    """Attach a gateway to a VPC, which has one at most."""
    verbs.attach(call.caller, call.core, *_both(call))
    return {}


@action("DetachInternetGateway")
def detach(call: Call) -> dict[str, Any]:
    """Detach a gateway from its VPC, when no public address leads through it."""
    verbs.detach(call.caller, call.core, *_both(call))
    return {}


def _both(call: Call) -> tuple[str, str]:
    gateway = uuid_of(call, InternetGateway, call.args["InternetGatewayId"])
    return gateway, uuid_of(call, Router, call.args["VpcId"])


@action("DeleteInternetGateway")
def delete(call: Call) -> dict[str, Any]:
    """Delete a gateway that is attached to nothing."""
    verbs.delete(call.caller, call.core, uuid_of(call, InternetGateway, call.args["InternetGatewayId"]))
    return {}


@action("DescribeInternetGateways")
def describe(call: Call) -> dict[str, Any]:
    """List internet gateways, by id or all."""
    gateways = find.named_items(
        InternetGateway,
        {gateway.ec2_id: gateway for gateway in verbs.listing(call.caller, call.core)},
        call.args.get("InternetGatewayIds", ()),
    )
    return elements.listed(call, "InternetGateways", "InternetGateway", gateways, _gateway, _FILTERS)


def _gateway(call: Call, gateway: InternetGateway) -> dict[str, Any]:
    router = gateway.wanted.router
    return {
        "InternetGatewayId": gateway.ec2_id,
        "OwnerId": call.caller.account_id,
        "Attachments": [{"VpcId": ec2_id(Router, router), "State": "available"}] if router else [],
        "Tags": shown(gateway.tags),
    }


_FILTERS = filters.of_members(
    *("InternetGatewayId", "OwnerId"),
    others={"attachment.state": "Attachments.State", "attachment.vpc-id": "Attachments.VpcId"},
)
