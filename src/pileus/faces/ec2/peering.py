"""VPC peering connections: the core's peerings, which both accounts see."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pileus.faces.ec2 import elements, filters
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.names import check_id, ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import Unsupported
from pileus.model.peering import Peering
from pileus.model.router import Router
from pileus.rules import find
from pileus.verbs import peering as verbs
from pileus.verbs.peering import PeeringView

_STATES = {
    "pending": ("pending-acceptance", "Pending Acceptance by {account}"),
    "active": ("active", "Active"),
    "rejected": ("rejected", "Rejected"),
    "failed": ("failed", "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range"),
}
"""Amazon's code and message for each status of a peering that was not deleted."""

_EXPIRES = 7 * 86400.0
"""Seconds after which Amazon shows that a request is to expire; here it stays until it is withdrawn."""

_OPTIONS = (
    *("AllowDnsResolutionFromRemoteVpc", "AllowEgressFromLocalClassicLinkToRemoteVpc"),
    "AllowEgressFromLocalVpcToRemoteClassicLink",
)


@action("CreateVpcPeeringConnection")
def create(call: Call) -> dict[str, Any]:
    """Ask to link a VPC with another, of the same account or of `PeerOwnerId`'s, which has to accept."""
    args, caller = call.args, call.caller
    for name in ("VpcId", "PeerVpcId"):
        if name not in args:
            raise missing(name)
    if args.get("PeerRegion", call.core.place.region) != call.core.place.region:
        raise Unsupported("VPCs of one region are peered in this cloud.", noun=Peering.KIND)
    asked, account = args["PeerVpcId"], args.get("PeerOwnerId", caller.account_id)
    check_id(Router.PREFIX, Router.KIND, asked)
    if account == caller.account_id:
        uuid_of(call, Router, asked)
    tags = specified(args, "vpc-peering-connection")["vpc-peering-connection"]
    peering = verbs.create(caller, call.core, uuid_of(call, Router, args["VpcId"]), asked, account, tags)
    return {"VpcPeeringConnection": _shown(call, peering)}


@action("AcceptVpcPeeringConnection")
def accept(call: Call) -> dict[str, Any]:
    """Link the two VPCs: routes that lead to the connection become active."""
    return {"VpcPeeringConnection": _shown(call, verbs.accept(call.caller, call.core, _uuid(call)))}


@action("RejectVpcPeeringConnection")
def reject(call: Call) -> dict[str, Any]:
    """Refuse the link that another account asks for."""
    verbs.reject(call.caller, call.core, _uuid(call))
    return {"Return": True}


@action("DeleteVpcPeeringConnection")
def delete(call: Call) -> dict[str, Any]:
    """End the link: routes that lead to it lead nowhere."""
    verbs.delete(call.caller, call.core, _uuid(call))
    return {"Return": True}


@action("ModifyVpcPeeringConnectionOptions")
def modify(call: Call) -> dict[str, Any]:
    """Answers with the options, none of which this cloud has: names of the other VPC are not resolved."""
    _uuid(call)
    options = dict.fromkeys(_OPTIONS, False)
    sides = ("AccepterPeeringConnectionOptions", "RequesterPeeringConnectionOptions")
    return {side: options for side in sides if side in call.args}


def _uuid(call: Call) -> str:
    if "VpcPeeringConnectionId" not in call.args:
        raise missing("vpcPeeringConnectionId")
    return uuid_of(call, Peering, call.args["VpcPeeringConnectionId"])


@action("DescribeVpcPeeringConnections")
def describe(call: Call) -> dict[str, Any]:
    """List the account's peering connections, by id or all; for a while those too that it asked for and that ended."""
    views = find.named_items(
        Peering,
        {view.peering.ec2_id: view for view in verbs.listing(call.caller, call.core)},
        call.args.get("VpcPeeringConnectionIds", ()),
    )
    return elements.listed(call, "VpcPeeringConnections", "VpcPeeringConnection", views, _item, _FILTERS)


def _shown(call: Call, peering: Peering) -> dict[str, Any]:
    (view,) = [view for view in verbs.listing(call.caller, call.core) if view.peering.uuid == peering.uuid]
    return _item(call, view)


def _item(call: Call, view: PeeringView) -> dict[str, Any]:
    peering, wanted = view.peering, view.peering.wanted
    code, message = _STATES[wanted.status]
    if peering.gone is not None and wanted.status in ("pending", "active"):
        code, message = "deleted", "Deleted"
    pending = {"ExpirationTime": dt.datetime.fromtimestamp(peering.created + _EXPIRES, dt.UTC)}
    # Before it is accepted Amazon does not show the ranges of the other VPC.
    peer = view.peer if wanted.status == "active" else None
    return {
        "VpcPeeringConnectionId": peering.ec2_id,
        "RequesterVpcInfo": _side(call, ec2_id(Router, wanted.router), view.account, view.router),
        "AccepterVpcInfo": _side(call, wanted.asked, view.peer_account, peer),
        "Status": {"Code": code, "Message": message.format(account=view.peer_account)},
        **(pending if code == "pending-acceptance" else {}),
        "Tags": shown(peering.tags) if peering.project == call.caller.project else [],
    }


def _side(call: Call, ident: str, account: str, router: Router | None) -> dict[str, Any]:
    side: dict[str, Any] = {"VpcId": ident, "OwnerId": account, "Region": call.core.place.region}
    if router is not None:
        ranges = [{"CidrBlock": cidr} for cidr in router.cidrs]
        side |= {"CidrBlock": router.wanted.cidr, "CidrBlockSet": ranges}
        side["PeeringOptions"] = dict.fromkeys(_OPTIONS, False)
    return side


_FILTERS = filters.of_members(
    "VpcPeeringConnectionId",
    others={
        "accepter-vpc-info.cidr-block": "AccepterVpcInfo.CidrBlockSet.CidrBlock",
        "accepter-vpc-info.owner-id": "AccepterVpcInfo.OwnerId",
        "accepter-vpc-info.vpc-id": "AccepterVpcInfo.VpcId",
        "expiration-time": "ExpirationTime",
        "requester-vpc-info.cidr-block": "RequesterVpcInfo.CidrBlockSet.CidrBlock",
        "requester-vpc-info.owner-id": "RequesterVpcInfo.OwnerId",
        "requester-vpc-info.vpc-id": "RequesterVpcInfo.VpcId",
        "status-code": "Status.Code",
        "status-message": "Status.Message",
    },
)
