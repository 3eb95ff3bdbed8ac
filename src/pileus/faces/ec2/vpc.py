"""VPCs: the core's routers."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.dhcpoptions import DEFAULT
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model.dhcpoptionset import DhcpOptionSet
from pileus.model.router import Range, Router
from pileus.verbs import network as networks
from pileus.verbs import router as verbs


@action("CreateVpc")
def create(call: Call) -> dict[str, Any]:
    """Make a VPC with a main route table and a default security group, and without a way out."""
    if "CidrBlock" not in call.args:
        raise missing("cidrBlock")
    tags = specified(call.args, "vpc")["vpc"]
    router = verbs.create(call.caller, call.core, call.args["CidrBlock"], tags)
    return {"Vpc": _vpc(router, call.caller.account_id) | {"State": "pending"}}


@action("CreateDefaultVpc")
def create_default(call: Call) -> dict[str, Any]:
    """Make the default VPC anew, with its subnet, internet gateway, main route and security group."""
    router = verbs.create_default(call.caller, call.core)
    return {"Vpc": _vpc(router, call.caller.account_id) | {"State": "pending"}}


@action("DeleteVpc")
def delete(call: Call) -> dict[str, Any]:
    """Delete a VPC with its main route table and default group, when nothing else is in it."""
    verbs.delete(call.caller, call.core, uuid_of(call, Router, call.args["VpcId"]))
    return {}


@action("DescribeVpcs")
def describe(call: Call) -> dict[str, Any]:
    """List VPCs, by id or all."""
    routers = networks.routers(call.caller, call.core, uuids_of(call, Router, call.args.get("VpcIds", ())))
    return paging.listed(call.args, "Vpcs", [_vpc(router, call.caller.account_id) for router in routers], _VPC_FILTERS)


def _vpc(router: Router, account: str) -> dict[str, Any]:
    first = Range(id=ec2_id(Router, router.uuid, "vpc-cidr-assoc"), cidr=router.wanted.cidr)
    chosen = router.wanted.dhcpoptionset
    return {
        "VpcId": router.ec2_id,
        "OwnerId": account,
        "State": "available",
        "CidrBlock": router.wanted.cidr,
        "CidrBlockAssociationSet": [_range(each, "associated") for each in (first, *router.wanted.ranges)],
        "DhcpOptionsId": ec2_id(DhcpOptionSet, chosen) if chosen else DEFAULT,
        "InstanceTenancy": "default",
        "IsDefault": router.wanted.default,
        "Tags": shown(router.tags),
    }


def _range(each: Range, state: str) -> dict[str, Any]:
    return {"AssociationId": each.id, "CidrBlock": each.cidr, "CidrBlockState": {"State": state}}


@action("AssociateVpcCidrBlock")
def associate_range(call: Call) -> dict[str, Any]:
    """Give a VPC a further range of addresses."""
    if "CidrBlock" not in call.args:
        raise missing("cidrBlock")
    ident = call.args["VpcId"]
    added = verbs.add_range(call.caller, call.core, uuid_of(call, Router, ident), call.args["CidrBlock"])
    return {"VpcId": ident, "CidrBlockAssociation": _range(added, "associating")}


@action("DisassociateVpcCidrBlock")
def disassociate_range(call: Call) -> dict[str, Any]:
    """Take a further range from a VPC, when no subnet is in it."""
    router, removed = verbs.remove_range(call.caller, call.core, call.args["AssociationId"])
    return {"VpcId": router.ec2_id, "CidrBlockAssociation": _range(removed, "disassociating")}


@action("DescribeVpcAttribute")
def describe_attribute(call: Call) -> dict[str, Any]:
    """One attribute of one VPC."""
    (router,) = networks.routers(call.caller, call.core, [uuid_of(call, Router, call.args["VpcId"])])
    member, value = {
        "enableDnsSupport": ("EnableDnsSupport", router.wanted.dns_support),
        "enableDnsHostnames": ("EnableDnsHostnames", router.wanted.dns_hostnames),
        "enableNetworkAddressUsageMetrics": ("EnableNetworkAddressUsageMetrics", False),
    }[call.args["Attribute"]]
    return {"VpcId": router.ec2_id, member: {"Value": value}}


@action("ModifyVpcAttribute")
def modify_attribute(call: Call) -> dict[str, Any]:
    """Say whether guests are told of the resolver, and whether their public addresses have names."""
    args = call.args
    verbs.modify(
        call.caller,
        call.core,
        uuid_of(call, Router, args["VpcId"]),
        dns_support=args.get("EnableDnsSupport", {}).get("Value"),
        dns_hostnames=args.get("EnableDnsHostnames", {}).get("Value"),
    )
    return {}


_VPC_FILTERS = filters.of_members(
    *("CidrBlock", "DhcpOptionsId", "IsDefault", "OwnerId", "State", "VpcId"),
    others={
        "cidr": "CidrBlock",
        "cidr-block-association.association-id": "CidrBlockAssociationSet.AssociationId",
        "cidr-block-association.cidr-block": "CidrBlockAssociationSet.CidrBlock",
        "cidr-block-association.state": "CidrBlockAssociationSet.CidrBlockState.State",
        "cidrBlock": "CidrBlock",
        "dhcpOptionsId": "DhcpOptionsId",
        "isDefault": "IsDefault",
    },
    absent=(
        *("ipv6-cidr-block-association.association-id", "ipv6-cidr-block-association.ipv6-cidr-block"),
        *("ipv6-cidr-block-association.ipv6-pool", "ipv6-cidr-block-association.state"),
    ),
)
