"""Network interfaces: the core's ports."""

from __future__ import annotations

import functools
from typing import Any

from pileus.faces.ec2 import elements, filters
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.instance.part import InstanceParts, attachment_id, chosen
from pileus.faces.ec2.names import zone_id
from pileus.faces.ec2.privateaddress import addresses_of
from pileus.faces.ec2.tag import shown, specified
from pileus.model.addresses import shortest
from pileus.model.errors import InvalidValue, NotFound
from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.model.securitygroup import SecurityGroup
from pileus.model.subnet import Subnet
from pileus.rules.port import NewPort
from pileus.verbs import port as verbs
from pileus.verbs.port import PortChange, PortView


@action("CreateNetworkInterface")
def create(call: Call) -> dict[str, Any]:
    """Make a network interface that no instance has, with one private address or several."""
    args, token = call.args, call.args.get("ClientToken", "")
    request = NewPort(
        subnet=uuid_of(call, Subnet, args["SubnetId"]),
        groups=tuple(uuids_of(call, SecurityGroup, args.get("Groups", ()))),
        description=args.get("Description", ""),
        **addresses_of(args),
    )
    tags = specified(args, "network-interface")["network-interface"]
    port = verbs.create(call.caller, call.core, request, tags, token)
    return {"NetworkInterface": _interface(call, _view(call, port.ec2_id)), "ClientToken": token or None}


@action("DeleteNetworkInterface")
def delete(call: Call) -> dict[str, Any]:
    """Delete a network interface that no instance has."""
    verbs.delete(call.caller, call.core, _uuid(call))
    return {}


@action("AttachNetworkInterface")
def attach(call: Call) -> dict[str, Any]:
    """Give a network interface to an instance, which may run; it stays when the instance is terminated."""
    args = call.args
    port = verbs.attach(
        call.caller, call.core, _uuid(call), uuid_of(call, Instance, args["InstanceId"]), args["DeviceIndex"]
    )
    return {"AttachmentId": attachment_id(port), "NetworkCardIndex": 0}


@action("DetachNetworkInterface")
def detach(call: Call) -> dict[str, Any]:
    """Take a network interface, but not the one at device index 0, from its instance, which may run."""
    verbs.detach(call.caller, call.core, _attached(call, call.args["AttachmentId"]))
    return {}


@action("DescribeNetworkInterfaces")
def describe(call: Call) -> dict[str, Any]:
    """List network interfaces, by id or all."""
    views = {view.nic.port.ec2_id: view for view in verbs.listing(call.caller, call.core)}
    ports = chosen(Port, views, call.args.get("NetworkInterfaceIds", ()))
    tags = functools.partial(filters.tags_of, member="TagSet")
    return elements.listed(call, "NetworkInterfaces", "NetworkInterface", ports, _interface, _FILTERS, tags)


@action("DescribeNetworkInterfaceAttribute")
def describe_attribute(call: Call) -> dict[str, Any]:
    """One attribute of one network interface."""
    if "Attribute" not in call.args:
        raise missing("attribute")
    view = _view(call, call.args["NetworkInterfaceId"])
    item, wanted = _interface(call, view), view.nic.port.wanted
    attribute: dict[str, dict[str, Any]] = {
        "attachment": {"Attachment": item["Attachment"]} if "Attachment" in item else {},
        "associatePublicIpAddress": {"AssociatePublicIpAddress": wanted.map_public},
        "description": {"Description": {"Value": wanted.description}},
        "groupSet": {"Groups": item["Groups"]},
        "sourceDestCheck": {"SourceDestCheck": {"Value": not wanted.forwards}},
    }
    return {"NetworkInterfaceId": view.nic.port.ec2_id, **attribute[call.args["Attribute"]]}


@action("ModifyNetworkInterfaceAttribute")
def modify_attribute(call: Call) -> dict[str, Any]:
    """Change one attribute: description, groups, source/dest check, public address, or deletion on termination."""
    args = call.args
    changes: dict[str, Any] = {}
    if "AssociatePublicIpAddress" in args:
        changes["map_public"] = args["AssociatePublicIpAddress"]
    if "Attachment" in args:
        changes["delete_on_termination"] = _on_termination(call, args["Attachment"])
    if "Description" in args:
        changes["description"] = args["Description"].get("Value", "")
    if "Groups" in args:
        changes["groups"] = tuple(uuids_of(call, SecurityGroup, args["Groups"]))
    if "SourceDestCheck" in args:
        changes["forwards"] = not args["SourceDestCheck"].get("Value", True)
    if len(changes) != 1:
        text = "Multiple attributes specified." if changes else "No attributes specified."
        raise InvalidValue(text, noun=Port.KIND, reason="combination")
    verbs.modify(call.caller, call.core, _uuid(call), PortChange(**changes))
    return {}


def _on_termination(call: Call, attachment: dict[str, Any]) -> bool:
    """Whether the interface is to be deleted with its instance; NotFound unless that is how it is attached."""
    for name in ("AttachmentId", "DeleteOnTermination"):
        if name not in attachment:
            raise missing(f"Attachment.{name}")
    if _attached(call, attachment["AttachmentId"]) != _uuid(call):
        raise _no_attachment(attachment["AttachmentId"])
    return bool(attachment["DeleteOnTermination"])


@action("ResetNetworkInterfaceAttribute")
def reset_attribute(call: Call) -> dict[str, Any]:
    """Have the addresses of a network interface's packets checked again."""
    if "SourceDestCheck" not in call.args:
        raise missing("sourceDestCheck")
    verbs.modify(call.caller, call.core, _uuid(call), PortChange(forwards=False))
    return {}


@action("AssignPrivateIpAddresses")
def assign(call: Call) -> dict[str, Any]:
    """Give a network interface further private addresses: those named, or as many free ones as asked."""
    args = call.args
    addresses = verbs.assign(
        call.caller,
        call.core,
        _uuid(call),
        args.get("PrivateIpAddresses", ()),
        args.get("SecondaryPrivateIpAddressCount", 0),
        move=args.get("AllowReassignment", False),
    )
    return {
        "NetworkInterfaceId": args["NetworkInterfaceId"],
        "AssignedPrivateIpAddresses": [{"PrivateIpAddress": address} for address in addresses],
    }


@action("UnassignPrivateIpAddresses")
def unassign(call: Call) -> dict[str, Any]:
    """Take secondary private addresses from a network interface."""
    if "PrivateIpAddresses" not in call.args:
        raise missing("privateIpAddress")
    verbs.unassign(call.caller, call.core, _uuid(call), call.args["PrivateIpAddresses"])
    return {}


@action("AssignIpv6Addresses")
def assign_ipv6(call: Call) -> dict[str, Any]:
    """Give a network interface further addresses of IPv6: those named, or as many free ones as asked."""
    args = call.args
    addresses = verbs.assign_ipv6(
        call.caller,
        call.core,
        _uuid(call),
        [shortest(address) for address in args.get("Ipv6Addresses", ())],
        args.get("Ipv6AddressCount", 0),
    )
    return {"NetworkInterfaceId": args["NetworkInterfaceId"], "AssignedIpv6Addresses": addresses}


@action("UnassignIpv6Addresses")
def unassign_ipv6(call: Call) -> dict[str, Any]:
    """Take addresses of IPv6 from a network interface."""
    if "Ipv6Addresses" not in call.args:
        raise missing("ipv6Addresses")
    addresses = [shortest(address) for address in call.args["Ipv6Addresses"]]
    verbs.unassign_ipv6(call.caller, call.core, _uuid(call), addresses)
    return {"NetworkInterfaceId": call.args["NetworkInterfaceId"], "UnassignedIpv6Addresses": addresses}


def _uuid(call: Call) -> str:
    return uuid_of(call, Port, call.args["NetworkInterfaceId"])


def _view(call: Call, ident: str) -> PortView:
    views = {view.nic.port.ec2_id: view for view in verbs.listing(call.caller, call.core)}
    return chosen(Port, views, [ident])[0]


def _attached(call: Call, ident: str) -> str:
    """The uuid of the port that is attached so. Raises NotFound."""
    for view in verbs.listing(call.caller, call.core):
        if view.instance is not None and attachment_id(view.nic.port) == ident:
            return view.nic.port.uuid
    raise _no_attachment(ident)


def _no_attachment(ident: str) -> NotFound:
    text = f"The attachment '{ident[:40]}' does not exist."
    return NotFound(text, noun=Port.KIND, ident=ident[:40], reason="attachment")


def _interface(call: Call, view: PortView) -> dict[str, Any]:
    nic, instance, account = view.nic, view.instance, call.caller.account_id
    item = InstanceParts(call.core.place).interface(instance, nic, account)
    if instance is not None:
        of_instance = {"InstanceId": instance.instance.ec2_id, "InstanceOwnerId": item["OwnerId"]}
        item["Attachment"] = {**item["Attachment"], **of_instance}
    if nic.floating is not None:
        ids = {"AllocationId": nic.floating.ec2_id, "AssociationId": nic.floating.wanted.association}
        item["Association"] = {**item["Association"], **ids}
        item["PrivateIpAddresses"][0]["Association"] = item["Association"]
    for floating in nic.secondary_floating:
        ids = {"AllocationId": floating.ec2_id, "AssociationId": floating.wanted.association}
        for address_item in item["PrivateIpAddresses"][1:]:
            if address_item["PrivateIpAddress"] == floating.wanted.private:
                address_item["Association"] = {**address_item["Association"], **ids}
    return {
        **item,
        "AvailabilityZone": nic.subnet.wanted.zone or call.core.place.zone,
        "RequesterManaged": False,
        "TagSet": shown(nic.port.tags),
    }


_FILTERS = filters.of_members(
    *("Association.AllocationId", "Association.AssociationId", "Association.IpOwnerId", "Association.PublicDnsName"),
    *("Association.PublicIp", "Attachment.AttachTime", "Attachment.AttachmentId"),
    *("Attachment.DeleteOnTermination", "Attachment.DeviceIndex", "Attachment.InstanceId"),
    *("Attachment.InstanceOwnerId", "Attachment.Status", "AvailabilityZone", "Description", "InterfaceType"),
    *("MacAddress", "NetworkInterfaceId", "OwnerId", "PrivateDnsName", "PrivateIpAddress", "RequesterManaged"),
    *("SourceDestCheck", "Status", "SubnetId", "VpcId"),
    others={
        "addresses.association.owner-id": "PrivateIpAddresses.Association.IpOwnerId",
        "addresses.association.public-ip": "PrivateIpAddresses.Association.PublicIp",
        "addresses.primary": "PrivateIpAddresses.Primary",
        "addresses.private-ip-address": "PrivateIpAddresses.PrivateIpAddress",
        "group-id": "Groups.GroupId",
        "group-name": "Groups.GroupName",
        "ipv6-addresses.ipv6-address": "Ipv6Addresses.Ipv6Address",
    },
    absent=("operator.managed", "operator.principal", "requester-id"),
) | {"availability-zone-id": lambda item: (zone_id(item["AvailabilityZone"]),)}
