"""Rules of security groups: their actions."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from pileus.faces.ec2 import filters, paging
from pileus.faces.ec2.call import Call, action, missing
from pileus.faces.ec2.names import check_id, ec2_id
from pileus.faces.ec2.permission import Direction, described, group_of, parsed, protocol, replacement
from pileus.faces.ec2.tag import shown, specified
from pileus.model.errors import InvalidValue
from pileus.model.prefixlist import PrefixList
from pileus.model.securitygroup import Rule, SecurityGroup
from pileus.rules import securitygroup as securitygroup_rules
from pileus.verbs import securitygroup as verbs


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
    tags = specified(call.args, "security-group-rule")["security-group-rule"]
    group = target(call)
    rules = parsed(call, group, direction)
    if not rules:
        raise missing("IpPermissions")
    added = verbs.authorize(call.caller, call.core, rules, group.uuid, tags=tags)
    return {"Return": True, "SecurityGroupRules": [rendered(call, group, rule) for rule in added]}


def _revoke(call: Call, direction: Direction) -> dict[str, Any]:
    group = target(call)
    rules = parsed(call, group, direction)
    ids = call.args.get("SecurityGroupRuleIds", [])
    if not rules and not ids:
        raise missing("IpPermissions or SecurityGroupRuleId")
    group_rules = [rule for rule in group.wanted.rules if rule.direction == direction]
    _check_rules(ids, {rule.id for rule in group_rules})
    verbs.revoke(call.caller, call.core, rules, ids, uuid=group.uuid)
    meant = {rule.match() for rule in rules}
    revoked = [rule for rule in group_rules if rule.id in ids or rule.match() in meant]
    return {"Return": True, "RevokedSecurityGroupRules": [_revoked(group, rule) for rule in revoked]}


@action("ModifySecurityGroupRules")
def modify(call: Call) -> dict[str, Any]:
    """Put other rules in the place of those with these ids, all or none."""
    group = group_of(call, call.args["GroupId"])
    rules_by_id = {rule.id: rule for rule in group.wanted.rules}
    changed: dict[str, Rule] = {}
    for update in call.args["SecurityGroupRules"]:
        ident = update.get("SecurityGroupRuleId", "")
        _check_rules([ident], rules_by_id)
        if ident in changed:
            raise InvalidValue(f"The rule '{ident}' must not appear multiple times", ident=ident, reason="rule")
        changed[ident] = replacement(call, group, rules_by_id[ident], update.get("SecurityGroupRule", {}))
    verbs.modify(call.caller, call.core, list(changed.values()), group.uuid)
    return {"Return": True}


@action("UpdateSecurityGroupRuleDescriptionsIngress")
def describe_ingress(call: Call) -> dict[str, Any]:
    """Give rules for what may come in other descriptions, all or none."""
    return _redescribe(call, "ingress")


@action("UpdateSecurityGroupRuleDescriptionsEgress")
def describe_egress(call: Call) -> dict[str, Any]:
    """Give rules for what may go out other descriptions, all or none."""
    return _redescribe(call, "egress")


def _redescribe(call: Call, direction: Direction) -> dict[str, Any]:
    group = target(call)
    rules, texts = parsed(call, group, direction), call.args.get("SecurityGroupRuleDescriptions", ())
    if bool(rules) == bool(texts):
        raise missing("IpPermissions or SecurityGroupRuleDescription, and only one of them")
    rule_ids = {rule.id for rule in group.wanted.rules if rule.direction == direction}
    by_id: dict[str, str] = {}
    for each in texts:
        ident = each.get("SecurityGroupRuleId", "")
        _check_rules([ident], rule_ids)
        by_id[ident] = described(each)
    verbs.describe(call.caller, call.core, rules, by_id, uuid=group.uuid)
    return {"Return": True}


def _revoked(group: SecurityGroup, rule: Rule) -> dict[str, Any]:
    rule_item = _said(group, rule)
    if rule.group:
        rule_item["ReferencedGroupId"] = ec2_id(SecurityGroup, rule.group)
    return rule_item


@action("DescribeSecurityGroupRules")
def describe(call: Call) -> dict[str, Any]:
    """List rules, by id or all."""
    ids = call.args.get("SecurityGroupRuleIds", ())
    paging.alone(call.args, "SecurityGroupRuleIds", "SecurityGroupRuleId")
    groups = [group for group in verbs.listing(call.caller, call.core) if group.wanted.router]
    rule_items = [rendered(call, group, rule) for group in groups for rule in group.wanted.rules if rule.is_plain]
    if ids:
        _check_rules(ids, {item["SecurityGroupRuleId"] for item in rule_items})
        rule_items = [item for item in rule_items if item["SecurityGroupRuleId"] in ids]
    return paging.listed(call.args, "SecurityGroupRules", rule_items, _FILTERS)


def _check_rules(ids: Iterable[str], known_ids: Container[str]) -> None:
    """Raise Malformed or NotFound for the first id of a rule that is not among `known_ids`."""
    for ident in ids:
        if ident not in known_ids:
            check_id("sgr", "securitygrouprule", ident)
            raise securitygroup_rules.unknown_rule(ident)


def rendered(call: Call, group: SecurityGroup, rule: Rule) -> dict[str, Any]:
    """A rule as a member of an answer."""
    rule_item = _said(group, rule)
    rule_item |= {"GroupOwnerId": call.caller.account_id, "Tags": shown(rule.tags)}
    if rule.group:
        peer = {"GroupId": ec2_id(SecurityGroup, rule.group), "UserId": call.caller.account_id}
        rule_item["ReferencedGroupInfo"] = peer
    return rule_item


def _said(group: SecurityGroup, rule: Rule) -> dict[str, Any]:
    return {
        "SecurityGroupRuleId": rule.id,
        "GroupId": group.ec2_id,
        "IsEgress": rule.direction == "egress",
        "IpProtocol": protocol(rule),
        "FromPort": -1 if rule.port_min is None else rule.port_min,
        "ToPort": -1 if rule.port_max is None else rule.port_max,
        "PrefixListId": ec2_id(PrefixList, rule.prefixlist) if rule.prefixlist else None,
        "CidrIpv6" if ":" in rule.cidr else "CidrIpv4": rule.cidr or None,
        "Description": rule.description or None,
    }


def target(call: Call) -> SecurityGroup:
    """The group that the request is about, by id or by name; raises InvalidValue, Malformed or NotFound."""
    ident, name = call.args.get("GroupId", ""), call.args.get("GroupName", "")
    if not ident and not name:
        raise missing("GroupName or GroupId")
    if ident:
        return group_of(call, ident)
    return verbs.listing(call.caller, call.core, names=[name])[0]


_FILTERS = filters.of_members("GroupId", "SecurityGroupRuleId")
