"""Elastic IP addresses: the core's floating addresses."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import elements, filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.ids import uuid_of, uuids_of
from pileus.faces.ec2.tag import shown, specified
from pileus.model import addresses
from pileus.model.errors import InvalidValue
from pileus.model.floatingip import FloatingIp
from pileus.model.instance import Instance
from pileus.model.noun import Noun
from pileus.model.port import Port
from pileus.rules import floatingip as floatingip_rules
from pileus.verbs import floatingip as verbs

_POOL, _DOMAIN = "amazon", "vpc"


@action("AllocateAddress")
def allocate(call: Call) -> dict[str, Any]:
    """Keep an address of the outside network for the account."""
    tags = specified(call.args, "elastic-ip")["elastic-ip"]
    floating = verbs.allocate(call.caller, call.core, tags, call.args.get("Address", ""))
    return {
        "PublicIp": floating.assigned.address,
        "AllocationId": floating.ec2_id,
        "PublicIpv4Pool": _POOL,
        "NetworkBorderGroup": call.core.place.region,
        "Domain": _DOMAIN,
    }


@action("AssociateAddress")
def associate(call: Call) -> dict[str, Any]:
    """Give an address to an instance or a network interface; from another one unless AllowReassociation is false."""
    args = call.args
    _either(args, "AllocationId", "PublicIp")
    floating = verbs.associate(
        call.caller,
        call.core,
        _uuid(call, FloatingIp, "AllocationId"),
        args.get("PublicIp", ""),
        instance=_uuid(call, Instance, "InstanceId"),
        port=_uuid(call, Port, "NetworkInterfaceId"),
        private=args.get("PrivateIpAddress", ""),
        reassociate=args.get("AllowReassociation", True),
    )
    return {"AssociationId": floating.wanted.association}


@action("DisassociateAddress")
def disassociate(call: Call) -> dict[str, Any]:
    """Take an address from what has it."""
    _either(call.args, "AssociationId", "PublicIp")
    verbs.disassociate(call.caller, call.core, call.args.get("AssociationId", ""), "", call.args.get("PublicIp", ""))
    return {}


@action("ReleaseAddress")
def release(call: Call) -> dict[str, Any]:
    """Give an address back."""
    _either(call.args, "AllocationId", "PublicIp")
    verbs.release(call.caller, call.core, _uuid(call, FloatingIp, "AllocationId"), call.args.get("PublicIp", ""))
    return {}


@action("DescribeAddresses")
def describe(call: Call) -> dict[str, Any]:
    """List addresses, by allocation, by address, or all."""
    args = call.args
    for address in args.get("PublicIps", ()):
        if not addresses.valid(address):
            text = f"Value ({address[:40]}) for parameter publicIp is invalid: an IPv4 address has four numbers."
            raise InvalidValue(text, ident=address[:40], reason="address")
    uuids = uuids_of(call, FloatingIp, args.get("AllocationIds", ()))
    views = verbs.listing(call.caller, call.core, uuids, args.get("PublicIps", ()))
    return elements.listed(call, "Addresses", "Address", views, _address, _FILTERS)


def _uuid(call: Call, cls: type[Noun], parameter: str) -> str:
    """The uuid of the noun that a parameter names, empty for none. Raises Malformed, NotFound."""
    return uuid_of(call, cls, call.args[parameter]) if call.args.get(parameter) else ""


@action("DescribeAddressesAttribute")
def describe_attribute(call: Call) -> dict[str, Any]:
    """List the addresses that have a domain name of their own: none, as no address can be given one."""
    verbs.listing(call.caller, call.core, uuids_of(call, FloatingIp, call.args.get("AllocationIds", ())), ())
    paging.paged(call.args, [])
    return {"Addresses": []}


def _either(args: dict[str, Any], first: str, second: str) -> None:
    """Raise InvalidValue when a request names an address in both ways."""
    if args.get(first) and args.get(second):
        text = f"You may specify {first} or {second}, but not both in the same call"
        raise InvalidValue(text, reason="combination")


def _address(call: Call, view: floatingip_rules.AddressView) -> dict[str, Any]:
    address_item: dict[str, Any] = {
        "PublicIp": view.floating.assigned.address,
        "AllocationId": view.floating.ec2_id,
        "Domain": _DOMAIN,
        "PublicIpv4Pool": _POOL,
        "NetworkBorderGroup": call.core.place.region,
        "Tags": shown(view.floating.tags),
    }
    if view.port is not None:
        address_item |= {
            "AssociationId": view.floating.wanted.association,
            "NetworkInterfaceId": view.port.ec2_id,
            "NetworkInterfaceOwnerId": call.caller.account_id,
            "PrivateIpAddress": view.floating.private_address(view.port),
        }
    if view.instance is not None:
        address_item["InstanceId"] = view.instance.ec2_id
    return address_item


_FILTERS = filters.of_members(
    *("AllocationId", "AssociationId", "Domain", "InstanceId", "NetworkBorderGroup", "NetworkInterfaceId"),
    *("NetworkInterfaceOwnerId", "PrivateIpAddress", "PublicIp"),
)
