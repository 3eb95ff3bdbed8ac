"""Egress-only internet gateways."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model.egressgateway import EgressGateway
from pileus.model.router import Router
from pileus.rules import find
from pileus.verbs import egressgateway as verbs

_TYPE = "egress-only-internet-gateway"


@action("CreateEgressOnlyInternetGateway")
def create(call: Call) -> dict[str, Any]:
    """Make a gateway for a VPC, by which guests open connections of IPv6 to the outside and nobody to them."""
    args, token = call.args, call.args.get("ClientToken", "")
    router = uuid_of(call, Router, args["VpcId"])
    gateway = verbs.create(call.caller, call.core, router, specified(args, _TYPE)[_TYPE], token)
    return {"EgressOnlyInternetGateway": _gateway(gateway), "ClientToken": token or None}


@action("DeleteEgressOnlyInternetGateway")
def delete(call: Call) -> dict[str, Any]:
    """Delete a gateway: routes to it lead nowhere."""
    verbs.delete(call.caller, call.core, uuid_of(call, EgressGateway, call.args["EgressOnlyInternetGatewayId"]))
    return {"ReturnCode": True}


@action("DescribeEgressOnlyInternetGateways")
def describe(call: Call) -> dict[str, Any]:
    """List egress-only internet gateways, by id or all."""
    gateways = find.named_items(
        EgressGateway,
        {gateway.ec2_id: gateway for gateway in verbs.listing(call.caller, call.core)},
        call.args.get("EgressOnlyInternetGatewayIds", ()),
    )
    return paging.listed(call.args, "EgressOnlyInternetGateways", [_gateway(each) for each in gateways], {})


def _gateway(gateway: EgressGateway) -> dict[str, Any]:
    return {
        "EgressOnlyInternetGatewayId": gateway.ec2_id,
        "Attachments": [{"VpcId": ec2_id(Router, gateway.wanted.router), "State": "attached"}],
        "Tags": shown(gateway.tags),
    }
