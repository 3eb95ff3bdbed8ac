"""Amazon's IpPermissions, in both of its forms, to the core's rules and back."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from pileus.faces.ec2.call import Call, missing
from pileus.faces.ec2.ids import uuid_of
from pileus.faces.ec2.names import ec2_id
from pileus.model.errors import InvalidValue
from pileus.model.prefixlist import PrefixList
from pileus.model.securitygroup import Protocol, Rule, SecurityGroup
from pileus.rules import find
from pileus.rules import securitygroup as securitygroup_rules
from pileus.verbs import securitygroup as verbs

Direction = Literal["ingress", "egress"]
Peer = tuple[str, str, str, str]
"""The other side of a rule: address range or "", group's uuid or "", prefix list's uuid or "", description."""

Traffic = tuple[Protocol, int | None, int | None, int | None]
"""Protocol, IP protocol number where it has no name here, lowest and highest port (icmp: type and code)."""

_NUMBERS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
_CIDR = re.compile(r"[0-9.]+/[0-9]{1,2}", re.ASCII)
_CIDR6 = re.compile(r"[0-9a-fA-F:.]+/[0-9]{1,3}", re.ASCII)
DESCRIPTION = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*", re.ASCII)
"""A description of a group or of a rule, but for its length."""

_OTHER_SIDES = {
    "CidrIpv4": ("IpRanges", "CidrIp"),
    "CidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
    "PrefixListId": ("PrefixListIds", "PrefixListId"),
    "ReferencedGroupId": ("UserIdGroupPairs", "GroupId"),
}
"""Members of a SecurityGroupRuleRequest, and where IpPermissions have the same."""

_FLAT = (
    *("IpProtocol", "FromPort", "ToPort", "CidrIp"),
    *("SourceSecurityGroupName", "SourceSecurityGroupOwnerId"),
)


def parsed(call: Call, group: SecurityGroup, direction: Direction) -> list[Rule]:
    """The rules that a request means, in either of its forms; raises InvalidValue, NotFound or Unsupported."""
    args = call.args
    permissions: Sequence[dict[str, Any]] = args.get("IpPermissions", ())
    flat = [name for name in _FLAT if name in args]
    if permissions and flat:
        raise InvalidValue(
            f"The parameter ipPermissions cannot be used with the parameter {flat[0]}", reason="combination"
        )
    if flat:
        permissions = list(_unflattened(args))
    rules: list[Rule] = []
    for permission in permissions:
        rules += _rules(call, group, direction, permission)
    return rules


def _rules(call: Call, group: SecurityGroup, direction: Direction, permission: dict[str, Any]) -> list[Rule]:
    name, number, low, high = _traffic(permission)
    return [
        Rule(
            id="",
            direction=direction,
            protocol=name,
            number=number,
            port_min=low,
            port_max=high,
            cidr=cidr,
            group=peer,
            prefixlist=prefixlist,
            description=description,
        )
        for cidr, peer, prefixlist, description in _peers(call, group, permission)
    ]


def _unflattened(args: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The older form of one rule, as IpPermissions. A group without a protocol means all of tcp, udp and icmp."""
    if name := args.get("SourceSecurityGroupName"):
        pair = {"GroupName": name}
        if owner := args.get("SourceSecurityGroupOwnerId"):
            pair["UserId"] = owner
        if "IpProtocol" not in args:
            for traffic in (("tcp", 0, 65535), ("udp", 0, 65535), ("icmp", -1, -1)):
                yield {
                    **dict(zip(("IpProtocol", "FromPort", "ToPort"), traffic, strict=True)),
                    "UserIdGroupPairs": [pair],
                }
            return
        peer: dict[str, Any] = {"UserIdGroupPairs": [pair]}
    elif "CidrIp" in args:
        peer = {"IpRanges": [{"CidrIp": args["CidrIp"]}]}
    else:
        raise missing("CidrIp")
    yield {name: args[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in args} | peer


def _traffic(permission: dict[str, Any]) -> Traffic:
    text = permission.get("IpProtocol", "").lower()
    if not text:
        raise missing("IpPermissions.IpProtocol")
    low, high = permission.get("FromPort"), permission.get("ToPort")
    if text == "-1":
        return "all", None, None, None
    number = int(text) if re.fullmatch(r"[0-9]{1,3}", text, re.ASCII) else None
    text = _NUMBERS.get(number, text) if number is not None else text
    if text in ("tcp", "udp"):
        if low is None or high is None:
            raise InvalidValue(
                "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.", reason="ports"
            )
        return ("tcp" if text == "tcp" else "udp"), None, low, high
    if text in ("icmp", "icmpv6"):
        kind, code = -1 if low is None else low, -1 if high is None else high
        if kind == -1 and code != -1:
            raise InvalidValue("Invalid value for ICMP: a code needs a type, and -1 means all types.", reason="ports")
        return ("icmp" if text == "icmp" else "icmpv6"), None, kind, code
    if number is None or number > 255:
        raise InvalidValue(f"Invalid value '{text[:40]}' for IP protocol. Unknown protocol.", reason="protocol")
    # Protocols without ports: whatever is said of ports means nothing, as on EC2.
    return "all", number, None, None


def _peers(call: Call, group: SecurityGroup, permission: dict[str, Any]) -> Iterator[Peer]:
    members = ("IpRanges", "Ipv6Ranges", "UserIdGroupPairs", "PrefixListIds")
    ranges, wide, pairs, lists = (permission.get(member, ()) for member in members)
    if not ranges and not wide and not pairs and not lists:
        raise missing("CidrIp, CidrIpv6, GroupId or PrefixListId of the rule's other side")
    for each in ranges:
        yield _range(each.get("CidrIp", ""), _CIDR, ipaddress.IPv4Network), "", "", described(each)
    for each in wide:
        yield _range(each.get("CidrIpv6", ""), _CIDR6, ipaddress.IPv6Network), "", "", described(each)
    for each in pairs:
        yield "", _peer_group(call, group, each).uuid, "", described(each)
    for each in lists:
        yield "", "", uuid_of(call, PrefixList, each.get("PrefixListId", "")), described(each)


def _range(text: str, form: re.Pattern[str], kind: type[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> str:
    """The range with the bits behind its prefix cleared, as EC2 stores it; of IPv6 in its shortest form."""
    if form.fullmatch(text):
        try:
            return str(kind(text, strict=False))
        except ValueError:
            pass
    raise InvalidValue(f"CIDR block {text[:40]} is malformed", ident=text[:40], reason="cidr")


def _peer_group(call: Call, group: SecurityGroup, pair: dict[str, Any]) -> SecurityGroup:
    ident, name = pair.get("GroupId", ""), pair.get("GroupName", "")
    if pair.get("UserId", call.caller.account_id) != call.caller.account_id:
        raise securitygroup_rules.absent(ident or name)
    if ident:
        peer = group_of(call, ident)
    elif name:
        named = verbs.listing(call.caller, call.core, names=[name])
        peer = next((each for each in named if each.wanted.router == group.wanted.router), named[0])
    else:
        raise missing("GroupId or GroupName of the rule's other side")
    return peer


def group_of(call: Call, ident: str) -> SecurityGroup:
    """The group with this EC2 id; Malformed or NotFound."""
    # An administrator may name any group; a list has those of the own project alone.
    groups = verbs.listing(call.caller, call.core, [uuid_of(call, SecurityGroup, ident)])
    if not groups:
        raise find.not_found(SecurityGroup, [ident])
    return groups[0]


def replacement(call: Call, group: SecurityGroup, old: Rule, request: dict[str, Any]) -> Rule:
    """The rule that a SecurityGroupRuleRequest puts in the place of `old`, with its id and direction."""
    permission: dict[str, Any] = {
        name: request[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in request
    }
    text = {"Description": request["Description"]} if "Description" in request else {}
    for name, (member, key) in _OTHER_SIDES.items():
        if name in request:
            permission.setdefault(member, []).append({key: request[name], **text})
    rules = _rules(call, group, old.direction, permission)
    if len(rules) != 1:
        raise InvalidValue("A rule has exactly one of CidrIpv4, CidrIpv6, PrefixListId and ReferencedGroupId.")
    return msgspec.structs.replace(rules[0], id=old.id)


def described(each: dict[str, Any]) -> str:
    """The description that goes with a rule's other side, or with its id."""
    text: str = each.get("Description", "")
    if len(text) > 255 or not DESCRIPTION.fullmatch(text):
        raise InvalidValue(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following"
            " set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
            reason="description",
        )
    return text


def permissions(call: Call, rules: Sequence[Rule], direction: Direction) -> list[dict[str, Any]]:
    """Rules of one direction as IpPermissions, as far as EC2 can express them: those for the same traffic together."""
    by_traffic: dict[Traffic, dict[str, Any]] = {}
    for rule in rules:
        if rule.direction != direction or not rule.is_plain:
            continue
        key: Traffic = (rule.protocol, rule.number, rule.port_min, rule.port_max)
        item = by_traffic.get(key)
        if item is None:
            item = by_traffic[key] = _permission(rule)
        text = {"Description": rule.description} if rule.description else {}
        if ":" in rule.cidr:
            item["Ipv6Ranges"].append({"CidrIpv6": rule.cidr, **text})
        elif rule.cidr:
            item["IpRanges"].append({"CidrIp": rule.cidr, **text})
        elif rule.prefixlist:
            item["PrefixListIds"].append({"PrefixListId": ec2_id(PrefixList, rule.prefixlist), **text})
        else:
            peer = {"GroupId": ec2_id(SecurityGroup, rule.group), "UserId": call.caller.account_id}
            item["UserIdGroupPairs"].append({**peer, **text})
    return list(by_traffic.values())


def _permission(rule: Rule) -> dict[str, Any]:
    item: dict[str, Any] = {"IpProtocol": protocol(rule)}
    if rule.port_min is not None:
        item |= {"FromPort": rule.port_min, "ToPort": rule.port_max}
    return {**item, "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": []}


def protocol(rule: Rule) -> str:
    """Amazon's name of the rule's protocol: a name, a number, or -1 for all."""
    if rule.number is not None:
        return str(rule.number)
    return "-1" if rule.protocol == "all" else rule.protocol
