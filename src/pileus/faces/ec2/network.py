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
    keep = filters.compiled(call.args.get("Filters"), _VPC_FILTERS, filters.tags_of)
    vpc_items = [_vpc(router, call.caller.account_id) for router in routers]
    page, more = paging.paged(call.args, [item for item in vpc_items if keep is None or keep(item)])
    return {"Vpcs": page, **more}


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
    keep = filters.compiled(call.args.get("Filters"), _SUBNET_FILTERS, filters.tags_of)
    subnet_items = [_subnet(call, view) for view in views]
    page, more = paging.paged(call.args, [item for item in subnet_items if keep is None or keep(item)])
    return {"Subnets": page, **more}


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


_VPC_FILTERS = {
    **filters.of_members(
        cidr="CidrBlock",
        cidr_block="CidrBlock",
        cidrBlock="CidrBlock",
        dhcpOptionsId="DhcpOptionsId",
        dhcp_options_id="DhcpOptionsId",
        is_default="IsDefault",
        owner_id="OwnerId",
        state="State",
        vpc_id="VpcId",
    ),
    **filters.of_members(isDefault="IsDefault"),
    "cidr-block-association.association-id": filters.member("CidrBlockAssociationSet.AssociationId"),
    "cidr-block-association.cidr-block": filters.member("CidrBlockAssociationSet.CidrBlock"),
    "cidr-block-association.state": filters.member("CidrBlockAssociationSet.CidrBlockState.State"),
    "ipv6-cidr-block-association.association-id": filters.none,
    "ipv6-cidr-block-association.ipv6-cidr-block": filters.none,
    "ipv6-cidr-block-association.ipv6-pool": filters.none,
    "ipv6-cidr-block-association.state": filters.none,
}
_SUBNET_FILTERS = {
    **filters.of_members(
        availability_zone="AvailabilityZone",
        availabilityZone="AvailabilityZone",
        availability_zone_id="AvailabilityZoneId",
        availabilityZoneId="AvailabilityZoneId",
        available_ip_address_count="AvailableIpAddressCount",
        cidr_block="CidrBlock",
        cidr="CidrBlock",
        cidrBlock="CidrBlock",
        default_for_az="DefaultForAz",
        defaultForAz="DefaultForAz",
        enable_dns64="EnableDns64",
        ipv6_native="Ipv6Native",
        map_customer_owned_ip_on_launch="MapCustomerOwnedIpOnLaunch",
        map_public_ip_on_launch="MapPublicIpOnLaunch",
        owner_id="OwnerId",
        state="State",
        subnet_arn="SubnetArn",
        subnet_id="SubnetId",
        vpc_id="VpcId",
    ),
    "customer-owned-ipv4-pool": filters.none,
    "ipv6-cidr-block-association.association-id": filters.none,
    "ipv6-cidr-block-association.ipv6-cidr-block": filters.none,
    "ipv6-cidr-block-association.state": filters.none,
    "outpost-arn": filters.none,
}
