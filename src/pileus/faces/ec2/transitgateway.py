"""Transit gateways, which connect VPCs of one account."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pileus.faces.ec2 import elements, filters
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model.transitgateway import TransitGateway, Wanted
from pileus.model.transittable import TransitTable
from pileus.rules import find
from pileus.verbs import transitgateway as verbs

_SWITCHES = {
    "DefaultRouteTableAssociation": "associates",
    "DefaultRouteTablePropagation": "propagates",
    "DnsSupport": "dns_support",
    "VpnEcmpSupport": "ecmp_support",
}
"""Amazon's options that are `enable` or `disable`, and the fields for them."""

_TABLES = {"AssociationDefaultRouteTableId": "association", "PropagationDefaultRouteTableId": "propagation"}

_OFF = dict.fromkeys(
    ("AutoAcceptSharedAttachments", "SecurityGroupReferencingSupport", "MulticastSupport"),
    "disable",
)
"""Options that this cloud lacks."""


@action("CreateTransitGateway")
def create(call: Call) -> dict[str, Any]:
    """Make a transit gateway, with a default route table unless the options say otherwise."""
    options = call.args.get("Options", {})
    changes: dict[str, Any] = {_SWITCHES[name]: options[name] == "enable" for name in _SWITCHES if name in options}
    if "AmazonSideAsn" in options:
        changes["asn"] = options["AmazonSideAsn"]
    wanted = Wanted(description=call.args.get("Description", ""), **changes)
    tags = specified(call.args, "transit-gateway")["transit-gateway"]
    return {"TransitGateway": _gateway(call, verbs.create(call.caller, call.core, wanted, tags), "pending")}


@action("ModifyTransitGateway")
def modify(call: Call) -> dict[str, Any]:
    """Change the description, the number for BGP, and the default route tables."""
    options = call.args.get("Options", {})
    changes: dict[str, Any] = {_SWITCHES[name]: options[name] == "enable" for name in _SWITCHES if name in options}
    changes |= {_TABLES[name]: uuid_of(call, TransitTable, options[name]) for name in _TABLES if name in options}
    if "AmazonSideAsn" in options:
        changes["asn"] = options["AmazonSideAsn"]
    if "Description" in call.args:
        changes["description"] = call.args["Description"]
    gateway = verbs.modify(call.caller, call.core, _uuid(call), **changes)
    return {"TransitGateway": _gateway(call, gateway, "modifying")}


@action("DeleteTransitGateway")
def delete(call: Call) -> dict[str, Any]:
    """Delete a transit gateway with its route tables, once nothing is attached."""
    gateway = verbs.delete(call.caller, call.core, _uuid(call))
    return {"TransitGateway": _gateway(call, gateway, "deleting")}


def _uuid(call: Call) -> str:
    return uuid_of(call, TransitGateway, call.args["TransitGatewayId"])


@action("DescribeTransitGateways")
def describe(call: Call) -> dict[str, Any]:
    """List transit gateways, by id or all; for a while those too that are deleted."""
    gateways = find.named_items(
        TransitGateway,
        {gateway.ec2_id: gateway for gateway in verbs.listing(call.caller, call.core)},
        call.args.get("TransitGatewayIds", ()),
    )
    return elements.listed(call, "TransitGateways", "TransitGateway", gateways, _gateway, _FILTERS)


def _gateway(call: Call, gateway: TransitGateway, state: str = "") -> dict[str, Any]:
    wanted, place = gateway.wanted, call.core.place
    if not state:
        state = "deleted" if gateway.gone is not None else "available"
        state = "deleting" if wanted.gone and gateway.gone is None else state
        state = "pending" if state == "available" and not gateway.seen.present else state
    tables = {name: getattr(wanted, field) for name, field in _TABLES.items()}
    return {
        "TransitGatewayId": gateway.ec2_id,
        "TransitGatewayArn": f"arn:aws:ec2:{place.region}:{call.caller.account_id}:transit-gateway/{gateway.ec2_id}",
        "State": state,
        "OwnerId": call.caller.account_id,
        "Description": wanted.description,
        "CreationTime": dt.datetime.fromtimestamp(gateway.created, dt.UTC),
        "Options": {
            "AmazonSideAsn": wanted.asn,
            **{name: "enable" if getattr(wanted, field) else "disable" for name, field in _SWITCHES.items()},
            **{name: ec2_id(TransitTable, uuid) for name, uuid in tables.items() if uuid},
            **_OFF,
        },
        "Tags": shown(gateway.tags),
    }


_FILTERS = filters.of_members(
    *("OwnerId", "State", "TransitGatewayId"),
    others={
        "options.propagation-default-route-table-id": "Options.PropagationDefaultRouteTableId",
        "options.amazon-side-asn": "Options.AmazonSideAsn",
        "options.association-default-route-table-id": "Options.AssociationDefaultRouteTableId",
        "options.auto-accept-shared-attachments": "Options.AutoAcceptSharedAttachments",
        "options.default-route-table-association": "Options.DefaultRouteTableAssociation",
        "options.default-route-table-propagation": "Options.DefaultRouteTablePropagation",
        "options.dns-support": "Options.DnsSupport",
        "options.vpn-ecmp-support": "Options.VpnEcmpSupport",
    },
)
