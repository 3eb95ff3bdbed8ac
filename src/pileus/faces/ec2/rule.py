"""Rules of security groups: Amazon's IpPermissions to the core's rules and back, and their actions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action
from pileus.faces.ec2.names import ec2_id
from pileus.faces.ec2.tag import specified
from pileus.model.errors import InvalidValue, NotFound, Unsupported
from pileus.model.ids import is_ec2
from pileus.model.securitygroup import Protocol, Rule, SecurityGroup
from pileus.verbs import find
from pileus.verbs import securitygroup as verbs

Direction = Literal["ingress", "egress"]
Peer = tuple[str, str, str]
"""The other side of a rule: address range or "", group's uuid or "", description."""

Traffic = tuple[Protocol, int | None, int | None, int | None]
"""Protocol, IP protocol number where it has no name here, lowest and highest port (icmp: type and code)."""

_NUMBERS = {1: "icmp", 6: "tcp", 17: "udp"}
_CIDR = re.compile(r"[0-9.]+/[0-9]{1,2}", re.ASCII)
_DESCRIPTION = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*", re.ASCII)
_FLAT = (
    *("IpProtocol", "FromPort", "ToPort", "CidrIp"),
    *("SourceSecurityGroupName", "SourceSecurityGroupOwnerId"),
)


@action("AuthorizeSecurityGroupIngress")
def authorize_ingress(call: Call) -> dict[str, Any]:
    """Add rules for what may come in, all or none."""
    return _authorize(call, "ingress")


@action("AuthorizeSecurityGroupEgress")
def authorize_egress(call: Call) -> dict[str, Any]:
    """Add rules for what may go out, all or none."""
    return _authorize(call, "egress")


@action("RevokeSecurityGroupIngress")
def revoke_ingress(call: Call) -> dict[str, Any]:
    """Take rules for what may come in away, by meaning or by id, all or none."""
    return _revoke(call, "ingress")


@action("RevokeSecurityGroupEgress")
def revoke_egress(call: Call) -> dict[str, Any]:
    """Take rules for what may go out away, by meaning or by id, all or none."""
    return _revoke(call, "egress")


def _authorize(call: Call, direction: Direction) -> dict[str, Any]:
    if any(specified(call.args, "security-group-rule").values()):
        raise Unsupported("This cloud's security group rules have no tags.", noun="securitygrouprule")
    group = target(call)
    rules = parsed(call, group, direction)
    if not rules:
        raise _missing("IpPermissions")
    added = verbs.authorize(call.caller, call.core, rules, group.ec2_id)
    return {"Return": True, "SecurityGroupRules": [rendered(call, group, rule) for rule in added]}


def _revoke(call: Call, direction: Direction) -> dict[str, Any]:
    group = target(call)
    rules = parsed(call, group, direction)
    ids = call.args.get("SecurityGroupRuleIds", [])
    if not rules and not ids:
        raise _missing("IpPermissions or SecurityGroupRuleId")
    held = [rule for rule in group.wanted.rules if rule.direction == direction]
    for ident in ids:
        if ident not in {rule.id for rule in held}:
            raise unknown_rule(ident)
    verbs.revoke(call.caller, call.core, rules, ids, group.ec2_id)
    meant = {rule.match() for rule in rules}
    revoked = [rule for rule in held if rule.id in ids or rule.match() in meant]
    return {"Return": True, "RevokedSecurityGroupRules": [_revoked(group, rule) for rule in revoked]}


def _revoked(group: SecurityGroup, rule: Rule) -> dict[str, Any]:
    found = _said(group, rule)
    if rule.group:
        found["ReferencedGroupId"] = ec2_id(SecurityGroup, rule.group)
    return found


@action("DescribeSecurityGroupRules")
def describe(call: Call) -> dict[str, Any]:
    """List rules, by id or all."""
    ids = call.args.get("SecurityGroupRuleIds", ())
    paging.alone(call.args, "SecurityGroupRuleIds", "SecurityGroupRuleId")
    groups = verbs.listing(call.caller, call.core)
    found = [rendered(call, group, rule) for group in groups for rule in group.wanted.rules]
    if ids:
        known = {item["SecurityGroupRuleId"] for item in found}
        for ident in ids:
            if ident not in known:
                raise unknown_rule(ident)
        found = [item for item in found if item["SecurityGroupRuleId"] in ids]
    keep = filters.compiled(call.args.get("Filters"), _FILTERS, filters.tags_of)
    page, more = paging.paged(call.args, [item for item in found if keep is None or keep(item)])
    return {"SecurityGroupRules": page, **more}


def unknown_rule(ident: str) -> Exception:
    """The error for a rule id that names nothing here."""
    if not is_ec2("sgr", ident):
        return InvalidValue(f'Invalid id: "{ident}" (expecting "sgr-...")', ident=ident, reason="rule-id")
    return NotFound(f"The security group rule ID '{ident}' does not exist", noun="securitygrouprule", ident=ident)


def rendered(call: Call, group: SecurityGroup, rule: Rule) -> dict[str, Any]:
    """A rule as a member of an answer."""
    found = _said(group, rule)
    found |= {"GroupOwnerId": call.caller.account_id, "Tags": []}
    if rule.group:
        peer = {"GroupId": ec2_id(SecurityGroup, rule.group), "UserId": call.caller.account_id}
        found["ReferencedGroupInfo"] = peer
    return found


def _said(group: SecurityGroup, rule: Rule) -> dict[str, Any]:
    return {
        "SecurityGroupRuleId": rule.id,
        "GroupId": group.ec2_id,
        "IsEgress": rule.direction == "egress",
        "IpProtocol": protocol(rule),
        "FromPort": -1 if rule.port_min is None else rule.port_min,
        "ToPort": -1 if rule.port_max is None else rule.port_max,
        "CidrIpv4": rule.cidr or None,
        "Description": rule.description or None,
    }


def protocol(rule: Rule) -> str:
    """Amazon's name of the rule's protocol: a name, a number, or -1 for all."""
    if rule.number is not None:
        return str(rule.number)
    return "-1" if rule.protocol == "all" else rule.protocol


def target(call: Call) -> SecurityGroup:
    """The group that the request is about, by id or by name; raises InvalidValue, Malformed or NotFound."""
    ident, name = call.args.get("GroupId", ""), call.args.get("GroupName", "")
    if not ident and not name:
        raise _missing("GroupName or GroupId")
    if ident:
        return _group(call, ident)
    return verbs.listing(call.caller, call.core, names=[name])[0]


def _group(call: Call, ident: str) -> SecurityGroup:
    # An administrator may name any group; a list has those of the own project alone.
    found = verbs.listing(call.caller, call.core, [ident])
    if not found:
        raise find.not_found(SecurityGroup, [ident])
    return found[0]


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
        name, number, low, high = _traffic(permission)
        for cidr, peer, description in _peers(call, group, permission):
            rules.append(
                Rule(
                    id="",
                    direction=direction,
                    protocol=name,
                    number=number,
                    port_min=low,
                    port_max=high,
                    cidr=cidr,
                    group=peer,
                    description=description,
                )
            )
    return rules


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
        raise _missing("CidrIp")
    yield {name: args[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in args} | peer


def _traffic(permission: dict[str, Any]) -> Traffic:
    text = permission.get("IpProtocol", "").lower()
    if not text:
        raise _missing("IpPermissions.IpProtocol")
    low, high = permission.get("FromPort"), permission.get("ToPort")
    if text == "-1":
        return "all", None, None, None
    if text in ("icmpv6", "58"):
        raise Unsupported("This cloud has no IPv6: rules cannot be for icmpv6.", noun="securitygrouprule")
    number = int(text) if re.fullmatch(r"[0-9]{1,3}", text, re.ASCII) else None
    text = _NUMBERS.get(number, text) if number is not None else text
    if text in ("tcp", "udp"):
        if low is None or high is None:
            raise InvalidValue(
                "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.", reason="ports"
            )
        return ("tcp" if text == "tcp" else "udp"), None, low, high
    if text == "icmp":
        return _icmp(-1 if low is None else low, -1 if high is None else high)
    if number is None or number > 255:
        raise InvalidValue(f"Invalid value '{text[:40]}' for IP protocol. Unknown protocol.", reason="protocol")
    # Protocols without ports: whatever is said of ports means nothing, as on EC2.
    return "all", number, None, None


def _icmp(kind: int, code: int) -> Traffic:
    if kind == -1 and code != -1:
        raise InvalidValue("Invalid value for ICMP: a code needs a type, and -1 means all types.", reason="ports")
    return "icmp", None, kind, code


def _peers(call: Call, group: SecurityGroup, permission: dict[str, Any]) -> Iterator[Peer]:
    for member, what in (("Ipv6Ranges", "IPv6 ranges"), ("PrefixListIds", "prefix lists")):
        if permission.get(member):
            raise Unsupported(f"This cloud does not support {what} in rules.", noun="securitygrouprule")
    ranges, pairs = permission.get("IpRanges", ()), permission.get("UserIdGroupPairs", ())
    if not ranges and not pairs:
        raise _missing("CidrIp or GroupId of the rule's other side")
    for each in ranges:
        yield _cidr(each.get("CidrIp", "")), "", _description(each)
    for each in pairs:
        yield "", _peer_group(call, group, each).uuid, _description(each)


def _cidr(text: str) -> str:
    """The range with the bits behind its prefix cleared, as EC2 stores it."""
    if _CIDR.fullmatch(text):
        try:
            return str(ipaddress.IPv4Network(text, strict=False))
        except ValueError:
            pass
    raise InvalidValue(f"CIDR block {text[:40]} is malformed", ident=text[:40], reason="cidr")


def _peer_group(call: Call, group: SecurityGroup, pair: dict[str, Any]) -> SecurityGroup:
    ident, name = pair.get("GroupId", ""), pair.get("GroupName", "")
    if pair.get("UserId", call.caller.account_id) != call.caller.account_id:
        raise verbs.absent(ident or name)
    if ident:
        found = _group(call, ident)
    elif name:
        named = verbs.listing(call.caller, call.core, names=[name])
        found = next((each for each in named if each.wanted.router == group.wanted.router), named[0])
    else:
        raise _missing("GroupId or GroupName of the rule's other side")
    if found.wanted.router != group.wanted.router:
        raise InvalidValue(
            f"The groups '{group.ec2_id}' and '{found.ec2_id}' belong to different networks.", reason="other-vpc"
        )
    return found


def _description(each: dict[str, Any]) -> str:
    text: str = each.get("Description", "")
    if len(text) > 255 or not _DESCRIPTION.fullmatch(text):
        raise InvalidValue(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following"
            " set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
            reason="description",
        )
    return text


def _missing(what: str) -> InvalidValue:
    return InvalidValue(f"The request must contain the parameter {what}", reason="missing")


def permissions(call: Call, rules: Sequence[Rule], direction: Direction) -> list[dict[str, Any]]:
    """Rules of one direction as IpPermissions: those for the same traffic together."""
    found: dict[Traffic, dict[str, Any]] = {}
    for rule in rules:
        if rule.direction != direction:
            continue
        key: Traffic = (rule.protocol, rule.number, rule.port_min, rule.port_max)
        item = found.get(key)
        if item is None:
            item = found[key] = _permission(rule)
        told = {"Description": rule.description} if rule.description else {}
        if rule.cidr:
            item["IpRanges"].append({"CidrIp": rule.cidr, **told})
        else:
            peer = {"GroupId": ec2_id(SecurityGroup, rule.group), "UserId": call.caller.account_id}
            item["UserIdGroupPairs"].append({**peer, **told})
    return list(found.values())


def _permission(rule: Rule) -> dict[str, Any]:
    item: dict[str, Any] = {"IpProtocol": protocol(rule)}
    if rule.port_min is not None:
        item |= {"FromPort": rule.port_min, "ToPort": rule.port_max}
    return {**item, "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": []}


_FILTERS = filters.of_members(group_id="GroupId", security_group_rule_id="SecurityGroupRuleId")
