"""Security groups that rules of peered VPCs refer to, and rules that refer to what is gone."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.permission import Direction, permissions
from pileus.model.peering import Peering
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.verbs import securitygroup as verbs


@action("DescribeSecurityGroupReferences")
def references(call: Call) -> dict[str, Any]:
    """List the peered VPCs whose rules refer to groups."""
    views = verbs.references(call.caller, call.core, uuids_of(call, SecurityGroup, call.args["GroupId"]))
    items = [
        {
            "GroupId": ec2_id(SecurityGroup, view.group),
            "ReferencingVpcId": ec2_id(Router, view.router),
            "VpcPeeringConnectionId": ec2_id(Peering, view.peering),
        }
        for view in views
    ]
    return {"SecurityGroupReferenceSet": items}


@action("DescribeStaleSecurityGroups")
def stale(call: Call) -> dict[str, Any]:
    """List a VPC's groups with rules that refer to a group of a VPC which is no peer any more, or to a deleted one."""
    views = verbs.stale(call.caller, call.core, uuid_of(call, Router, call.args["VpcId"]))
    page, more = paging.paged(call.args, [_stale(call, view) for view in views])
    return {"StaleSecurityGroupSet": page, **more}


def _stale(call: Call, view: verbs.StaleGroupView) -> dict[str, Any]:
    group = view.group
    return {
        "GroupId": group.ec2_id,
        "GroupName": group.name,
        "Description": group.wanted.description,
        "VpcId": ec2_id(Router, group.wanted.router or ""),
        "StaleIpPermissions": _stale_permissions(call, view, "ingress"),
        "StaleIpPermissionsEgress": _stale_permissions(call, view, "egress"),
    }


def _stale_permissions(call: Call, view: verbs.StaleGroupView, direction: Direction) -> list[dict[str, Any]]:
    """The stale rules of one direction, each with the VPC of the group that it refers to, if that is known."""
    vpcs = {each.ec2_id: ec2_id(Router, each.wanted.router or "") for each in view.named.values()}
    items = permissions(call, view.rules, direction)
    for item in items:
        del item["Ipv6Ranges"]
        pairs = item["UserIdGroupPairs"]
        item["UserIdGroupPairs"] = [
            {**pair, "VpcId": vpcs[pair["GroupId"]]} if pair["GroupId"] in vpcs else pair for pair in pairs
        ]
    return items
