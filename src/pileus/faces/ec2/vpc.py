"""VPCs: the core's routers."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import elements, filters
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.dhcpoptions import DEFAULT
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model.dhcpoptionset import DhcpOptionSet
from pileus.model.errors import InvalidValue
from pileus.model.router import Range, Router
from pileus.verbs import network as networks
from pileus.verbs import router as verbs


@action("CreateVpc")
def create(call: Call) -> dict[str, Any]:
    """Make a VPC with a main route table and a default security group, and without a way out."""
    if "CidrBlock" not in call.args:
        raise missing("cidrBlock")
    tags = specified(call.args, "vpc")["vpc"]
    with_ipv6 = call.args.get("AmazonProvidedIpv6CidrBlock", False)
    router = verbs.create(call.caller, call.core, call.args["CidrBlock"], tags, with_ipv6=with_ipv6)
    return {"Vpc": _vpc(call, router) | {"State": "pending"}}


@action("CreateDefaultVpc")
def create_default(call: Call) -> dict[str, Any]:
    """Make the default VPC anew, with its subnet, internet gateway, main route and security group."""
    router = verbs.create_default(call.caller, call.core)
    return {"Vpc": _vpc(call, router) | {"State": "pending"}}


@action("DeleteVpc")
def delete(call: Call) -> dict[str, Any]:
    """Delete a VPC with its main route table and default group, when nothing else is in it."""
    verbs.delete(call.caller, call.core, uuid_of(call, Router, call.args["VpcId"]))
    return {}


@action("DescribeVpcs")
def describe(call: Call) -> dict[str, Any]:
    """List VPCs, by id or all."""
    routers = networks.routers(call.caller, call.core, uuids_of(call, Router, call.args.get("VpcIds", ())))
    return elements.listed(call, "Vpcs", "Vpc", routers, _vpc, _VPC_FILTERS)


def _vpc(call: Call, router: Router) -> dict[str, Any]:
    first = Range(id=ec2_id(Router, router.uuid, "vpc-cidr-assoc"), cidr=router.wanted.cidr)
    chosen = router.wanted.dhcpoptionset
    return {
        "VpcId": router.ec2_id,
        "OwnerId": call.caller.account_id,
        "State": "available",
        "CidrBlock": router.wanted.cidr,
        "CidrBlockAssociationSet": [_range(each, "associated") for each in (first, *router.wanted.ranges)],
        "Ipv6CidrBlockAssociationSet": [_ipv6_range(call, each, "associated") for each in router.wanted.ipv6_ranges],
        "DhcpOptionsId": ec2_id(DhcpOptionSet, chosen) if chosen else DEFAULT,
        "InstanceTenancy": "default",
        "IsDefault": router.wanted.default,
        "Tags": shown(router.tags),
    }


def _range(each: Range, state: str) -> dict[str, Any]:
    return {"AssociationId": each.id, "CidrBlock": each.cidr, "CidrBlockState": {"State": state}}


def _ipv6_range(call: Call, each: Range, state: str) -> dict[str, Any]:
    return {
        "AssociationId": each.id,
        "Ipv6CidrBlock": each.cidr,
        "Ipv6CidrBlockState": {"State": state},
        "NetworkBorderGroup": call.core.place.region,
        "Ipv6Pool": "Amazon",
        "Ipv6AddressAttribute": "private",
        "IpSource": "amazon",
    }


@action("AssociateVpcCidrBlock")
def associate_range(call: Call) -> dict[str, Any]:
    """Give a VPC a further range of addresses, of IPv4 or one of the cloud's of IPv6."""
    ident, with_ipv6 = call.args["VpcId"], call.args.get("AmazonProvidedIpv6CidrBlock", False)
    if with_ipv6 and "CidrBlock" in call.args:
        text = "The parameter amazonProvidedIpv6CidrBlock cannot be used with the parameter cidrBlock"
        raise InvalidValue(text, noun=Router.KIND, reason="combination")
    if with_ipv6:
        ipv6_range = verbs.add_ipv6_range(call.caller, call.core, uuid_of(call, Router, ident))
        return {"VpcId": ident, "Ipv6CidrBlockAssociation": _ipv6_range(call, ipv6_range, "associating")}
    if "CidrBlock" not in call.args:
        raise missing("cidrBlock")
    added = verbs.add_range(call.caller, call.core, uuid_of(call, Router, ident), call.args["CidrBlock"])
    return {"VpcId": ident, "CidrBlockAssociation": _range(added, "associating")}


@action("DisassociateVpcCidrBlock")
def disassociate_range(call: Call) -> dict[str, Any]:
    """Take a further range from a VPC, when no subnet is in it."""
    router, removed = verbs.remove_range(call.caller, call.core, call.args["AssociationId"])
    if ":" in removed.cidr:
        association = _ipv6_range(call, removed, "disassociating")
        return {"VpcId": router.ec2_id, "Ipv6CidrBlockAssociation": association}
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


@action("ModifyVpcTenancy")
def modify_tenancy(call: Call) -> dict[str, Any]:
    """Accept `default`, the tenancy of every VPC."""
    networks.routers(call.caller, call.core, [uuid_of(call, Router, call.args["VpcId"])])
    return {"ReturnValue": True}


_VPC_FILTERS = filters.of_members(
    *("CidrBlock", "DhcpOptionsId", "IsDefault", "OwnerId", "State", "VpcId"),
    others={
        "cidr": "CidrBlock",
        "cidr-block-association.association-id": "CidrBlockAssociationSet.AssociationId",
        "cidr-block-association.cidr-block": "CidrBlockAssociationSet.CidrBlock",
        "cidr-block-association.state": "CidrBlockAssociationSet.CidrBlockState.State",
        "cidrBlock": "CidrBlock",
        "dhcpOptionsId": "DhcpOptionsId",
        "ipv6-cidr-block-association.association-id": "Ipv6CidrBlockAssociationSet.AssociationId",
        "ipv6-cidr-block-association.ipv6-cidr-block": "Ipv6CidrBlockAssociationSet.Ipv6CidrBlock",
        "ipv6-cidr-block-association.ipv6-pool": "Ipv6CidrBlockAssociationSet.Ipv6Pool",
        "ipv6-cidr-block-association.state": "Ipv6CidrBlockAssociationSet.Ipv6CidrBlockState.State",
        "isDefault": "IsDefault",
    },
)
