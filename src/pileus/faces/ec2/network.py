"""VPCs (the core's routers), subnets, and the addresses that nobody has yet."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.names import ec2_id, zone_id
from pileus.faces.ec2.tag import shown
from pileus.model.router import Router
from pileus.verbs import network as verbs
from pileus.verbs.network import SubnetView


@action("DescribeVpcs")
def describe_vpcs(call: Call) -> dict[str, Any]:
    """List VPCs, by id or all."""
    routers = verbs.routers(call.caller, call.core, call.args.get("VpcIds", ()))
    return paging.listed(call.args, "Vpcs", [_vpc(router, call.caller.account_id) for router in routers], _VPC_FILTERS)


def _vpc(router: Router, account: str) -> dict[str, Any]:
    cidr = router.wanted.cidr
    association = {
        "AssociationId": ec2_id(Router, router.uuid, "vpc-cidr-assoc"),
        "CidrBlock": cidr,
        "CidrBlockState": {"State": "associated"},
    }
    return {
        "VpcId": router.ec2_id,
        "OwnerId": account,
        "State": "available",
        "CidrBlock": cidr,
        "CidrBlockAssociationSet": [association],
        "DhcpOptionsId": "default",
        "InstanceTenancy": "default",
        "IsDefault": router.wanted.default,
        "Tags": shown(router.tags),
    }


@action("DescribeVpcAttribute")
def describe_vpc_attribute(call: Call) -> dict[str, Any]:
    """One attribute of one VPC: every network has a resolver, and its instances have names."""
    (router,) = verbs.routers(call.caller, call.core, [call.args["VpcId"]])
    member, value = {
        "enableDnsSupport": ("EnableDnsSupport", True),
        "enableDnsHostnames": ("EnableDnsHostnames", True),
        "enableNetworkAddressUsageMetrics": ("EnableNetworkAddressUsageMetrics", False),
    }[call.args["Attribute"]]
    return {"VpcId": router.ec2_id, member: {"Value": value}}


@action("DescribeSubnets")
def describe_subnets(call: Call) -> dict[str, Any]:
    """List subnets, by id or all."""
    views = verbs.subnets(call.caller, call.core, call.args.get("SubnetIds", ()))
    return paging.listed(call.args, "Subnets", [_subnet(call, view) for view in views], _SUBNET_FILTERS)


def _subnet(call: Call, view: SubnetView) -> dict[str, Any]:
    subnet, account = view.subnet, call.caller.account_id
    zone = subnet.wanted.zone or call.core.place.zone
    return {
        "SubnetId": subnet.ec2_id,
        "SubnetArn": f"arn:aws:ec2:{call.core.place.region}:{account}:subnet/{subnet.ec2_id}",
        "OwnerId": account,
        "State": "available",
        "VpcId": view.router.ec2_id,
        "CidrBlock": subnet.wanted.cidr,
        "AvailableIpAddressCount": view.free,
        "AvailabilityZone": zone,
        "AvailabilityZoneId": zone_id(zone),
        "DefaultForAz": subnet.wanted.default,
        "MapPublicIpOnLaunch": True,
        "AssignIpv6AddressOnCreation": False,
        "Ipv6CidrBlockAssociationSet": [],
        "Ipv6Native": False,
        "EnableDns64": False,
        "MapCustomerOwnedIpOnLaunch": False,
        "Tags": shown(subnet.tags),
    }


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
_SUBNET_FILTERS = filters.of_members(
    *("AvailabilityZone", "AvailabilityZoneId", "AvailableIpAddressCount", "CidrBlock", "DefaultForAz"),
    *("EnableDns64", "Ipv6Native", "MapCustomerOwnedIpOnLaunch", "MapPublicIpOnLaunch", "OwnerId", "State"),
    *("SubnetArn", "SubnetId", "VpcId"),
    others={
        "availabilityZone": "AvailabilityZone",
        "availabilityZoneId": "AvailabilityZoneId",
        "cidr": "CidrBlock",
        "cidrBlock": "CidrBlock",
        "defaultForAz": "DefaultForAz",
    },
    absent=(
        *("customer-owned-ipv4-pool", "ipv6-cidr-block-association.association-id"),
        *("ipv6-cidr-block-association.ipv6-cidr-block", "ipv6-cidr-block-association.state", "outpost-arn"),
    ),
)
