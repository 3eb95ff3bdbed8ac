"""Security groups."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import elements, filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.permission import DESCRIPTION, permissions
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import InvalidValue
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.rules import find
from pileus.rules import securitygroup as securitygroup_rules
from pileus.verbs import securitygroup as verbs


@action("CreateSecurityGroup")
def create(call: Call) -> dict[str, Any]:
    """Make a group, in the default VPC unless another is named."""
    args = call.args
    text = args["Description"]
    if not 1 <= len(text) <= 255 or not DESCRIPTION.fullmatch(text):
        raise InvalidValue(
            f"Value ({text[:40]}) for parameter GroupDescription is invalid. Expecting 1 to 255 of the characters"
            " a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
            reason="description",
        )
    tags = specified(args, "security-group")["security-group"]
    router = uuid_of(call, Router, args["VpcId"]) if args.get("VpcId") else ""
    group = verbs.create(call.caller, call.core, args["GroupName"], text, router, tags)
    return {"GroupId": group.ec2_id, "Tags": shown(group.tags), "SecurityGroupArn": _arn(call, group)}


@action("DescribeSecurityGroups")
def describe(call: Call) -> dict[str, Any]:
    """List groups with their rules, by id, by name, or all."""
    args = call.args
    ids = args.get("GroupIds", ())
    uuids = uuids_of(call, SecurityGroup, ids)
    groups = verbs.listing(call.caller, call.core, uuids, args.get("GroupNames", ()))
    missing = sorted(set(ids) - {group.ec2_id for group in groups})
    if missing:
        raise find.not_found(SecurityGroup, missing)
    of_vpcs = [group for group in groups if group.wanted.router]
    return elements.listed(call, "SecurityGroups", "SecurityGroup", of_vpcs, _group, _FILTERS)


def _group(call: Call, group: SecurityGroup) -> dict[str, Any]:
    return {
        "GroupId": group.ec2_id,
        "GroupName": group.name,
        "Description": group.wanted.description,
        "OwnerId": call.caller.account_id,
        "VpcId": ec2_id(Router, group.wanted.router or ""),
        "SecurityGroupArn": _arn(call, group),
        "IpPermissions": permissions(call, group.wanted.rules, "ingress"),
        "IpPermissionsEgress": permissions(call, group.wanted.rules, "egress"),
        "Tags": shown(group.tags),
    }


@action("GetSecurityGroupsForVpc")
def of_vpc(call: Call) -> dict[str, Any]:
    """List the groups that interfaces in a VPC may be in."""
    vpc = call.args["VpcId"]
    uuid = uuid_of(call, Router, vpc)
    items = [
        {
            "Description": group.wanted.description,
            "GroupName": group.name,
            "OwnerId": call.caller.account_id,
            "GroupId": group.ec2_id,
            "Tags": shown(group.tags),
            "PrimaryVpcId": vpc,
        }
        for group in verbs.listing(call.caller, call.core)
        if group.wanted.router == uuid
    ]
    return paging.listed(call.args, "SecurityGroupForVpcs", items, _FILTERS_OF_VPC)


def _arn(call: Call, group: SecurityGroup) -> str:
    return f"arn:aws:ec2:{call.core.place.region}:{call.caller.account_id}:security-group/{group.ec2_id}"


@action("DeleteSecurityGroup")
def delete(call: Call) -> dict[str, Any]:
    """Delete a group that nothing uses, by id, or by name in the default VPC."""
    ident, name = call.args.get("GroupId", ""), call.args.get("GroupName", "")
    if not ident and not name:
        raise missing("GroupName or GroupId")
    verbs.delete(call.caller, call.core, uuid_of(call, SecurityGroup, ident) if ident else _uuid_of_name(call, name))
    return {"Return": True}


def _uuid_of_name(call: Call, name: str) -> str:
    """The uuid of the group with this name in the default VPC. Raises NotFound."""
    with call.core.store.read() as tx:
        return securitygroup_rules.named(call.caller, tx, name).uuid


_PERMISSION_MEMBERS = {
    "cidr": "IpRanges.CidrIp",
    "ipv6-cidr": "Ipv6Ranges.CidrIpv6",
    "from-port": "FromPort",
    "group-id": "UserIdGroupPairs.GroupId",
    "prefix-list-id": "PrefixListIds.PrefixListId",
    "protocol": "IpProtocol",
    "to-port": "ToPort",
    "user-id": "UserIdGroupPairs.UserId",
}
_DIRECTIONS = {"ip-permission": "IpPermissions", "egress.ip-permission": "IpPermissionsEgress"}
_FILTERS = filters.of_members(
    *("Description", "GroupId", "GroupName", "OwnerId", "VpcId"),
    others={
        f"{prefix}.{name}": f"{member}.{path}"
        for prefix, member in _DIRECTIONS.items()
        for name, path in _PERMISSION_MEMBERS.items()
    },
    absent=[f"{prefix}.group-name" for prefix in _DIRECTIONS],
)
_FILTERS_OF_VPC = filters.of_members("Description", "GroupId", "GroupName", "OwnerId", "PrimaryVpcId")
