"""Network ACLs, their entries and their associations with subnets."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2 import elements, filters
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.routetable import in_version
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import InvalidValue
from pileus.model.networkacl import ICMP, ICMPV6, TCP, UDP, AclEntry, NetworkAcl
from pileus.model.router import Router
from pileus.model.subnet import Subnet
from pileus.rules import find
from pileus.verbs import networkacl as verbs
from pileus.verbs.networkacl import NetworkAclView

_LAST_ENTRIES = (("CidrBlock", "0.0.0.0/0", 32767), ("Ipv6CidrBlock", "::/0", 32768))
"""The ranges and numbers by which Amazon shows the denial of what no entry fits; entries have lower numbers."""

_PROTOCOLS = {"all": -1, "icmp": ICMP, "icmpv6": ICMPV6, "tcp": TCP, "udp": UDP}


@action("CreateNetworkAcl")
def create(call: Call) -> dict[str, Any]:
    """Make an ACL for a VPC, which denies everything until it has entries."""
    token = call.args.get("ClientToken", "")
    tags = specified(call.args, "network-acl")["network-acl"]
    acl = verbs.create(call.caller, call.core, uuid_of(call, Router, call.args["VpcId"]), tags, token)
    (view,) = [view for view in verbs.listing(call.caller, call.core) if view.acl.uuid == acl.uuid]
    return {"NetworkAcl": _acl(call, view), "ClientToken": token or None}


@action("DeleteNetworkAcl")
def delete(call: Call) -> dict[str, Any]:
    """Delete an ACL that is no default one and that no subnet is associated with."""
    verbs.delete(call.caller, call.core, _uuid(call))
    return {}


def _uuid(call: Call) -> str:
    return uuid_of(call, NetworkAcl, call.args["NetworkAclId"])


@action("CreateNetworkAclEntry")
def create_entry(call: Call) -> dict[str, Any]:
    """Allow or deny packets that enter, or leave, an ACL's subnets; of entries that fit, the lowest number decides."""
    verbs.add_entry(call.caller, call.core, _uuid(call), _entry(call))
    return {}


@action("ReplaceNetworkAclEntry")
def replace_entry(call: Call) -> dict[str, Any]:
    """Put an entry in the place of the one with its number."""
    verbs.replace_entry(call.caller, call.core, _uuid(call), _entry(call))
    return {}


@action("DeleteNetworkAclEntry")
def delete_entry(call: Call) -> dict[str, Any]:
    """Take an entry away."""
    args = call.args
    verbs.remove_entry(call.caller, call.core, _uuid(call), args["RuleNumber"], egress=args["Egress"])
    return {}


def _entry(call: Call) -> AclEntry:
    args = call.args
    named = [name for name in ("CidrBlock", "Ipv6CidrBlock") if name in args]
    if not named:
        raise missing("cidrBlock")
    if len(named) > 1:
        raise InvalidValue("An entry has a CidrBlock or an Ipv6CidrBlock.", noun=NetworkAcl.KIND, reason="combination")
    cidr = in_version(args[named[0]], named[0])
    ports, icmp = args.get("PortRange", {}), args.get("IcmpTypeCode", {})
    return AclEntry(
        number=args["RuleNumber"],
        egress=args["Egress"],
        action=args["RuleAction"],
        protocol=_protocol(args["Protocol"]),
        cidr=cidr,
        port_min=ports.get("From"),
        port_max=ports.get("To"),
        icmp_type=icmp.get("Type"),
        icmp_code=icmp.get("Code"),
    )


def _protocol(text: str) -> int:
    """The number of a protocol that is given as a number, or by one of Amazon's names."""
    number = text.removeprefix("-")
    if text.lower() in _PROTOCOLS:
        return _PROTOCOLS[text.lower()]
    if not (number.isascii() and number.isdecimal() and len(number) <= 3):
        raise InvalidValue(f"Invalid value '{text[:40]}' for protocol.", noun=NetworkAcl.KIND, reason="protocol")
    return int(text)


@action("ReplaceNetworkAclAssociation")
def replace_association(call: Call) -> dict[str, Any]:
    """Have a subnet go by another ACL of its VPC."""
    association = verbs.replace_association(call.caller, call.core, call.args["AssociationId"], _uuid(call))
    return {"NewAssociationId": association}


@action("DescribeNetworkAcls")
def describe(call: Call) -> dict[str, Any]:
    """List network ACLs, by id or all."""
    views = find.named_items(
        NetworkAcl,
        {view.acl.ec2_id: view for view in verbs.listing(call.caller, call.core)},
        call.args.get("NetworkAclIds", ()),
    )
    return elements.listed(call, "NetworkAcls", "NetworkAcl", views, _acl, _FILTERS)


def _acl(call: Call, view: NetworkAclView) -> dict[str, Any]:
    acl = view.acl
    last = [
        {member: cidr, "Egress": egress, "Protocol": "-1", "RuleAction": "deny", "RuleNumber": number}
        for egress in (True, False)
        for member, cidr, number in _LAST_ENTRIES[: 2 if view.has_ipv6 else 1]
    ]
    entries = [*(_shown(entry) for entry in acl.wanted.entries), *last]
    return {
        "NetworkAclId": acl.ec2_id,
        "VpcId": ec2_id(Router, acl.wanted.router),
        "OwnerId": call.caller.account_id,
        "IsDefault": acl.wanted.default,
        "Associations": [
            {
                "NetworkAclAssociationId": association.id,
                "NetworkAclId": acl.ec2_id,
                "SubnetId": ec2_id(Subnet, association.subnet),
            }
            for association in view.associations
        ],
        "Entries": sorted(entries, key=lambda entry: (not entry["Egress"], entry["RuleNumber"])),
        "Tags": shown(acl.tags),
    }


def _shown(entry: AclEntry) -> dict[str, Any]:
    item: dict[str, Any] = {
        "Ipv6CidrBlock" if ":" in entry.cidr else "CidrBlock": entry.cidr,
        "Egress": entry.egress,
        "Protocol": str(entry.protocol),
        "RuleAction": entry.action,
        "RuleNumber": entry.number,
    }
    if entry.port_min is not None:
        item["PortRange"] = {"From": entry.port_min, "To": entry.port_max}
    if entry.icmp_type is not None:
        item["IcmpTypeCode"] = {"Type": entry.icmp_type, "Code": entry.icmp_code}
    return item


_FILTERS = filters.of_members(
    *("NetworkAclId", "OwnerId", "VpcId"),
    others={
        "association.association-id": "Associations.NetworkAclAssociationId",
        "association.network-acl-id": "Associations.NetworkAclId",
        "association.subnet-id": "Associations.SubnetId",
        "default": "IsDefault",
        "entry.cidr": "Entries.CidrBlock",
        "entry.egress": "Entries.Egress",
        "entry.icmp.code": "Entries.IcmpTypeCode.Code",
        "entry.icmp.type": "Entries.IcmpTypeCode.Type",
        "entry.ipv6-cidr": "Entries.Ipv6CidrBlock",
        "entry.port-range.from": "Entries.PortRange.From",
        "entry.port-range.to": "Entries.PortRange.To",
        "entry.protocol": "Entries.Protocol",
        "entry.rule-action": "Entries.RuleAction",
        "entry.rule-number": "Entries.RuleNumber",
    },
)
