"""Attachments of VPCs to transit gateways."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model.router import Router
from pileus.model.routerattachment import RouterAttachment
from pileus.model.subnet import Subnet
from pileus.model.transitgateway import TransitGateway
from pileus.model.transittable import TransitTable
from pileus.rules import find
from pileus.verbs import routerattachment as verbs
from pileus.verbs import transittable as tables

_TAGGED = "transit-gateway-attachment"
_OPTIONS = ("SecurityGroupReferencingSupport", "Ipv6Support", "ApplianceModeSupport")
"""Options of an attachment that this cloud lacks."""


@action("CreateTransitGatewayVpcAttachment")
def create(call: Call) -> dict[str, Any]:
    """Attach a VPC of the account to a transit gateway, for one subnet of each zone."""
    args = call.args
    attachment = verbs.create(
        call.caller,
        call.core,
        uuid_of(call, TransitGateway, args["TransitGatewayId"]),
        uuid_of(call, Router, args["VpcId"]),
        uuids_of(call, Subnet, args["SubnetIds"]),
        dns_support=args.get("Options", {}).get("DnsSupport", "enable") == "enable",
        tags=specified(args, _TAGGED)[_TAGGED],
    )
    return {"TransitGatewayVpcAttachment": _of_vpc(call, attachment, "pending")}


@action("ModifyTransitGatewayVpcAttachment")
def modify(call: Call) -> dict[str, Any]:
    """Have an attachment stand for other subnets."""
    args, dns_support = call.args, call.args.get("Options", {}).get("DnsSupport")
    attachment = verbs.modify(
        call.caller,
        call.core,
        _uuid(call),
        uuids_of(call, Subnet, args.get("AddSubnetIds", ())),
        uuids_of(call, Subnet, args.get("RemoveSubnetIds", ())),
        dns_support=None if dns_support is None else dns_support == "enable",
    )
    return {"TransitGatewayVpcAttachment": _of_vpc(call, attachment, "modifying")}


@action("AcceptTransitGatewayVpcAttachment")
def accept(call: Call) -> dict[str, Any]:
    """Refused for each attachment: transit gateways are not shared, so that none waits for another account."""
    verbs.accept(call.caller, call.core, _uuid(call))
    return {}


@action("RejectTransitGatewayVpcAttachment")
def reject(call: Call) -> dict[str, Any]:
    """Refused for each attachment: transit gateways are not shared, so that none waits for another account."""
    verbs.accept(call.caller, call.core, _uuid(call))
    return {}


@action("DeleteTransitGatewayVpcAttachment")
def delete(call: Call) -> dict[str, Any]:
    """Detach a VPC: routes to the transit gateway, and from it to the VPC, lead nowhere."""
    attachment = verbs.delete(call.caller, call.core, _uuid(call))
    return {"TransitGatewayVpcAttachment": _of_vpc(call, attachment, "deleting")}


def _uuid(call: Call) -> str:
    return uuid_of(call, RouterAttachment, call.args["TransitGatewayAttachmentId"])


@action("DescribeTransitGatewayVpcAttachments")
def describe_of_vpcs(call: Call) -> dict[str, Any]:
    """List attachments of VPCs, by id or all; for a while those too that are deleted."""
    items = [_of_vpc(call, view.attachment) for view in _named(call)]
    return paging.listed(call.args, "TransitGatewayVpcAttachments", items, _VPC_FILTERS)


@action("DescribeTransitGatewayAttachments")
def describe(call: Call) -> dict[str, Any]:
    """List attachments, which are of VPCs alone, with the route table that each is associated with."""
    items = [_attachment(call, view) for view in _named(call)]
    return paging.listed(call.args, "TransitGatewayAttachments", items, _FILTERS)


def _named(call: Call) -> list[verbs.RouterAttachmentView]:
    views = {view.attachment.ec2_id: view for view in verbs.listing(call.caller, call.core)}
    return find.named_items(RouterAttachment, views, call.args.get("TransitGatewayAttachmentIds", ()))


@action("GetTransitGatewayAttachmentPropagations")
def propagations(call: Call) -> dict[str, Any]:
    """List the route tables to which an attachment propagates the ranges of its VPC."""
    uuid = _uuid(call)
    items = [
        {"TransitGatewayRouteTableId": view.table.ec2_id, "State": "enabled"}
        for view in tables.listing(call.caller, call.core)
        if uuid in view.table.wanted.propagations
    ]
    return paging.listed(call.args, "TransitGatewayAttachmentPropagations", items, _PROPAGATION_FILTERS)


def resource_of(attachment: RouterAttachment) -> dict[str, str]:
    """The members that say to which VPC an attachment leads."""
    return {"ResourceId": ec2_id(Router, attachment.wanted.router), "ResourceType": "vpc"}


def _of_vpc(call: Call, attachment: RouterAttachment, state: str = "") -> dict[str, Any]:
    return {
        "TransitGatewayAttachmentId": attachment.ec2_id,
        "TransitGatewayId": ec2_id(TransitGateway, attachment.wanted.gateway),
        "VpcId": ec2_id(Router, attachment.wanted.router),
        "VpcOwnerId": call.caller.account_id,
        "State": state or _state(attachment),
        "SubnetIds": [ec2_id(Subnet, uuid) for uuid in attachment.wanted.subnets],
        "CreationTime": _created(attachment),
        "Options": {
            "DnsSupport": "enable" if attachment.wanted.dns_support else "disable",
            **dict.fromkeys(_OPTIONS, "disable"),
        },
        "Tags": shown(attachment.tags),
    }


def _attachment(call: Call, view: verbs.RouterAttachmentView) -> dict[str, Any]:
    attachment, association = view.attachment, {}
    if view.table:
        table = ec2_id(TransitTable, view.table)
        association = {"Association": {"TransitGatewayRouteTableId": table, "State": "associated"}}
    return {
        "TransitGatewayAttachmentId": attachment.ec2_id,
        "TransitGatewayId": ec2_id(TransitGateway, attachment.wanted.gateway),
        "TransitGatewayOwnerId": call.caller.account_id,
        "ResourceOwnerId": call.caller.account_id,
        **resource_of(attachment),
        "State": _state(attachment),
        **association,
        "CreationTime": _created(attachment),
        "Tags": shown(attachment.tags),
    }


def _state(attachment: RouterAttachment) -> str:
    return "available" if attachment.gone is None else "deleted"


def _created(attachment: RouterAttachment) -> dt.datetime:
    return dt.datetime.fromtimestamp(attachment.created, dt.UTC)


_VPC_FILTERS = filters.of_members("State", "TransitGatewayAttachmentId", "TransitGatewayId", "VpcId")
_FILTERS = filters.of_members(
    *("ResourceId", "ResourceOwnerId", "ResourceType", "State", "TransitGatewayAttachmentId", "TransitGatewayId"),
    *("TransitGatewayOwnerId", "Association.State"),
    others={"association.transit-gateway-route-table-id": "Association.TransitGatewayRouteTableId"},
)
_PROPAGATION_FILTERS = filters.of_members("TransitGatewayRouteTableId")
