"""Subnets, each on a network of its own, and the addresses in them that nobody has yet."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import elements, filters
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.names import zone_id
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import InvalidValue
from pileus.model.router import Router
from pileus.model.subnet import Ipv6Block, Subnet
from pileus.verbs import network as networks
from pileus.verbs import subnet as verbs
from pileus.verbs.network import SubnetView


@action("CreateSubnet")
def create(call: Call) -> dict[str, Any]:
    """Make a subnet in a range of a VPC; what is launched in it has no public address unless the launch says so."""
    args = call.args
    if "CidrBlock" not in args:
        raise missing("cidrBlock")
    tags = specified(args, "subnet")["subnet"]
    router = uuid_of(call, Router, args["VpcId"])
    ipv6_cidr = args.get("Ipv6CidrBlock", "")
    subnet = verbs.create(call.caller, call.core, router, args["CidrBlock"], _zone(call), tags, ipv6_cidr=ipv6_cidr)
    return {"Subnet": _made(call, subnet)}


@action("CreateDefaultSubnet")
def create_default(call: Call) -> dict[str, Any]:
    """Make the default subnet of the default VPC anew."""
    return {"Subnet": _made(call, verbs.create_default(call.caller, call.core, _zone(call)))}


def _zone(call: Call) -> str:
    """The name of the zone that is named, or whose id is; empty for none."""
    name, ident = call.args.get("AvailabilityZone", ""), call.args.get("AvailabilityZoneId", "")
    if ident and ident != zone_id(call.core.place.zone):
        raise InvalidValue(f"Invalid availability zone: [{ident[:40]}]", ident=ident[:40], reason="zone")
    return name or (call.core.place.zone if ident else "")


def _made(call: Call, subnet: Subnet) -> dict[str, Any]:
    (view,) = networks.subnets(call.caller, call.core, [subnet.uuid])
    return _subnet(call, view)


@action("DeleteSubnet")
def delete(call: Call) -> dict[str, Any]:
    """Delete a subnet when nothing is in it."""
    verbs.delete(call.caller, call.core, uuid_of(call, Subnet, call.args["SubnetId"]))
    return {}


@action("AssociateSubnetCidrBlock")
def associate_range(call: Call) -> dict[str, Any]:
    """Give a subnet a range of IPv6, a /64 of its VPC's."""
    if "Ipv6CidrBlock" not in call.args:
        raise missing("ipv6CidrBlock")
    ident = call.args["SubnetId"]
    block = verbs.add_ipv6(call.caller, call.core, uuid_of(call, Subnet, ident), call.args["Ipv6CidrBlock"])
    return {"SubnetId": ident, "Ipv6CidrBlockAssociation": _block(block, "associating")}


@action("DisassociateSubnetCidrBlock")
def disassociate_range(call: Call) -> dict[str, Any]:
    """Take the range of IPv6 from a subnet, when no network interface has an address of it."""
    subnet, block = verbs.remove_ipv6(call.caller, call.core, call.args["AssociationId"])
    return {"SubnetId": subnet.ec2_id, "Ipv6CidrBlockAssociation": _block(block, "disassociating")}


def _block(block: Ipv6Block, state: str) -> dict[str, Any]:
    return {
        "AssociationId": block.id,
        "Ipv6CidrBlock": block.cidr,
        "Ipv6CidrBlockState": {"State": state},
        "Ipv6AddressAttribute": "private",
        "IpSource": "amazon",
    }


@action("ModifySubnetAttribute")
def modify_attribute(call: Call) -> dict[str, Any]:
    """Say whether later launches in a subnet have public addresses, and new network interfaces addresses of IPv6."""
    uuid = uuid_of(call, Subnet, call.args["SubnetId"])
    map_public = call.args.get("MapPublicIpOnLaunch", {}).get("Value")
    assign_ipv6 = call.args.get("AssignIpv6AddressOnCreation", {}).get("Value")
    if map_public is not None or assign_ipv6 is not None:
        verbs.modify(call.caller, call.core, uuid, map_public=map_public, assign_ipv6=assign_ipv6)
    return {}


@action("DescribeSubnets")
def describe(call: Call) -> dict[str, Any]:
    """List subnets, by id or all."""
    views = networks.subnets(call.caller, call.core, uuids_of(call, Subnet, call.args.get("SubnetIds", ())))
    routed = [view for view in views if view.router is not None]
    return elements.listed(call, "Subnets", "Subnet", routed, _subnet, _SUBNET_FILTERS)


@action("GetSubnetCidrReservations")
def reservations(call: Call) -> dict[str, Any]:
    """List no reservations: none can be made of a part of a subnet."""
    networks.subnets(call.caller, call.core, [uuid_of(call, Subnet, call.args["SubnetId"])])
    return {"SubnetIpv4CidrReservations": [], "SubnetIpv6CidrReservations": []}


def _subnet(call: Call, view: SubnetView) -> dict[str, Any]:
    subnet, account = view.subnet, call.caller.account_id
    zone = subnet.wanted.zone or call.core.place.zone
    return {
        "SubnetId": subnet.ec2_id,
        "SubnetArn": f"arn:aws:ec2:{call.core.place.region}:{account}:subnet/{subnet.ec2_id}",
        "OwnerId": account,
        "State": "available",
        "VpcId": view.router.ec2_id if view.router is not None else None,
        "CidrBlock": subnet.wanted.cidr,
        "AvailableIpAddressCount": view.free,
        "AvailabilityZone": zone,
        "AvailabilityZoneId": zone_id(zone),
        "DefaultForAz": subnet.wanted.default,
        "MapPublicIpOnLaunch": subnet.wanted.map_public,
        "AssignIpv6AddressOnCreation": subnet.wanted.assign_ipv6,
        "Ipv6CidrBlockAssociationSet": [_block(subnet.wanted.ipv6, "associated")] if subnet.wanted.ipv6 else [],
        "Ipv6Native": False,
        "EnableDns64": False,
        "MapCustomerOwnedIpOnLaunch": False,
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": "ip-name",
            "EnableResourceNameDnsARecord": False,
            "EnableResourceNameDnsAAAARecord": False,
        },
        "Tags": shown(subnet.tags),
    }


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
        "ipv6-cidr-block-association.association-id": "Ipv6CidrBlockAssociationSet.AssociationId",
        "ipv6-cidr-block-association.ipv6-cidr-block": "Ipv6CidrBlockAssociationSet.Ipv6CidrBlock",
        "ipv6-cidr-block-association.state": "Ipv6CidrBlockAssociationSet.Ipv6CidrBlockState.State",
        **{
            f"private-dns-name-options-on-launch.{name}": f"PrivateDnsNameOptionsOnLaunch.{member}"
            for name, member in (
                ("enable-resource-name-dns-a-record", "EnableResourceNameDnsARecord"),
                ("enable-resource-name-dns-aaaa-record", "EnableResourceNameDnsAAAARecord"),
                ("hostname-type", "HostnameType"),
            )
        },
    },
    absent=("customer-owned-ipv4-pool", "enable-lni-at-device-index", "outpost-arn"),
)
