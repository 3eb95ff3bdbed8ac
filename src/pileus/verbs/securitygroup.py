"""Security groups and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses
from pileus.model.errors import Conflict, Duplicate, InvalidValue, NotFound
from pileus.model.ids import new_ec2, new_uuid
from pileus.model.prefixlist import PrefixList
from pileus.model.router import Router
from pileus.model.securitygroup import Rule, SecurityGroup, Wanted
from pileus.rules import find
from pileus.rules.groupreference import (
    is_foreign,
    peerings_of,
    referring_groups,
    stale_rules,
    wake_foreign,
)
from pileus.rules.port import check_network_tags
from pileus.rules.rights import requires
from pileus.rules.securitygroup import absent, anywhere, check_name, default_router, unknown_rule, wake_members

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


@requires("member")
def create(
    caller: Caller,
    core: Core,
    name: str,
    description: str,
    router: str | None = "",
    tags: Mapping[str, str] | None = None,
) -> SecurityGroup:
    """Make a group for the networks of the router with this uuid, or of the project's default one if that is empty.

    With None it is for all networks of the project.
    """
    check_name(name)
    with core.store.write() as tx:
        on = find.living(caller, tx, Router, router) if router else None
        if router == "":
            on = default_router(caller, tx)
        group = SecurityGroup(
            uuid=new_uuid(),
            project=caller.project,
            name=name,
            tags=dict(tags or {}),
            wanted=Wanted(
                router=on.uuid if on else None,
                description=description,
                rules=anywhere(ipv6=bool(on is not None and on.ipv6_cidrs)),
            ),
        )
        try:
            group = tx.add(group)
        except Duplicate as error:
            text = f"The security group '{name}' already exists for {on.label if on else 'the project'}"
            raise Duplicate(text, noun="securitygroup", ident=name, reason="name") from error
        tx.add_journal_line(caller, group, "securitygroup.create", goal=group.generation)
        tx.wake(group)
        return group


@requires("reader")
def listing(caller: Caller, core: Core, uuids: Sequence[str] = (), names: Sequence[str] = ()) -> list[SecurityGroup]:
    """The project's groups, all or those named by uuid or by name (each must exist)."""
    with core.store.read() as tx:
        find.known(caller, tx, SecurityGroup, uuids)
        groups = [g for g in tx.list(SecurityGroup, project=caller.project) if not g.wanted.gone]
    for name in names:
        if name not in {group.name for group in groups}:
            raise absent(name)
    if uuids or names:
        groups = [g for g in groups if g.uuid in uuids or g.name in names]
    return groups


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a group that no port and no other group's rule uses; Conflict otherwise, and for a default group."""
    with core.store.write() as tx:
        group = find.living(caller, tx, SecurityGroup, uuid)
        if group.wanted.default:
            text = f"The {group.label} is a default group, which goes with its router alone."
            raise Conflict(text, noun="securitygroup", ident=group.label, reason="default")
        users = [source for _, source, use in tx.referrers(uuid) if use == "uses" and source != uuid]
        # A group that is deleted itself names this one only until the engine has forgotten it.
        going = {source for source, each in tx.many(SecurityGroup, users).items() if each.wanted.gone}
        if set(users) - going:
            text = f"The {group.label} is in use."
            raise Conflict(text, noun="securitygroup", ident=group.label, reason="in-use")
        tx.want_gone(group)
        tx.add_journal_line(caller, group, "securitygroup.delete")
        tx.wake(group)
        wake_foreign(tx, peerings_of(tx, group.wanted.router))


class GroupReferenceView(msgspec.Struct, frozen=True, kw_only=True):
    """A group that a rule of a peer's group names, with the peer (a router's uuid) and the peering."""

    group: str
    router: str
    peering: str


@requires("reader")
def references(caller: Caller, core: Core, uuids: Sequence[str]) -> list[GroupReferenceView]:
    """The groups among these (by uuid) that rules on other routers name. Raises NotFound."""
    with core.store.read() as tx:
        views: dict[tuple[str, str], GroupReferenceView] = {}
        for group in find.known(caller, tx, SecurityGroup, uuids):
            peerings = peerings_of(tx, group.wanted.router)
            for user in referring_groups(tx, [group.uuid], peerings):
                router = user.wanted.router or ""
                view = GroupReferenceView(group=group.uuid, router=router, peering=peerings[router].uuid)
                views[group.uuid, router] = view
        return list(views.values())


class StaleGroupView(msgspec.Struct, frozen=True, kw_only=True):
    """A group with those of its rules that are stale, and the groups that these name, as far as they are known."""

    group: SecurityGroup
    rules: tuple[Rule, ...]
    named: dict[str, SecurityGroup]


@requires("reader")
def stale(caller: Caller, core: Core, router: str) -> list[StaleGroupView]:
    """The groups of a router (by uuid) with stale rules. Raises NotFound."""
    with core.store.read() as tx:
        find.living(caller, tx, Router, router)
        views = []
        for group in tx.referring(SecurityGroup, [router]):
            rules = tuple(stale_rules(tx, group)) if not group.wanted.gone else ()
            if rules:
                named = tx.many(SecurityGroup, {rule.group for rule in rules})
                views.append(StaleGroupView(group=group, rules=rules, named=named))
        return views


@requires("member")
def authorize(
    caller: Caller,
    core: Core,
    rules: Sequence[Rule],
    uuid: str,
    tags: Mapping[str, str] | None = None,
) -> list[Rule]:
    """Add rules (their ids are made here), with `tags`; Duplicate when one is there already: then none is added."""
    _once(rules)
    with core.store.write() as tx:
        group = find.living(caller, tx, SecurityGroup, uuid)
        have = {rule.match() for rule in group.wanted.rules}
        added = []
        for rule in rules:
            fitting = _fits(caller, tx, group, rule, have)
            added.append(msgspec.structs.replace(fitting, id=new_ec2("sgr"), tags=dict(tags or {})))
        after = (*group.wanted.rules, *added)
        _replace(caller, tx, group, after, "securitygroup.authorize")
        return added


@requires("member")
def revoke(
    caller: Caller,
    core: Core,
    rules: Sequence[Rule] = (),
    rule_ids: Sequence[str] = (),
    *,
    uuid: str,
) -> None:
    """Take rules away, by meaning or by id; NotFound when one is not there, and then none is taken."""
    _once(rules)
    with core.store.write() as tx:
        group = find.living(caller, tx, SecurityGroup, uuid)
        rules_by_id = {rule.id: rule for rule in group.wanted.rules}
        for rule_id in _meant(group, rules, rule_ids):
            rules_by_id.pop(rule_id, None)
        _replace(caller, tx, group, tuple(rules_by_id.values()), "securitygroup.revoke")


@requires("member")
def modify(caller: Caller, core: Core, rules: Sequence[Rule], uuid: str) -> None:
    """Put these rules in the place of those with their ids and directions, all or none; tags stay."""
    with core.store.write() as tx:
        group = find.living(caller, tx, SecurityGroup, uuid)
        rules_by_id = {rule.id: rule for rule in group.wanted.rules}
        for rule in rules:
            if rule.id not in rules_by_id or rules_by_id[rule.id].direction != rule.direction:
                raise unknown_rule(rule.id)
        changed = {rule.id for rule in rules}
        have = {rule.match() for rule in rules_by_id.values() if rule.id not in changed}
        for rule in rules:
            fitting = _fits(caller, tx, group, rule, have)
            rules_by_id[rule.id] = msgspec.structs.replace(fitting, tags=rules_by_id[rule.id].tags)
        _replace(caller, tx, group, tuple(rules_by_id.values()), "securitygroup.modify")


@requires("member")
def describe(
    caller: Caller,
    core: Core,
    rules: Sequence[Rule] = (),
    descriptions: Mapping[str, str] | None = None,
    *,
    uuid: str,
) -> None:
    """Give rules the descriptions that these have, found by meaning, or those that go with their ids; all or none."""
    _once(rules)
    with core.store.write() as tx:
        group = find.living(caller, tx, SecurityGroup, uuid)
        texts = dict(descriptions or {})
        _meant(group, (), tuple(texts))
        texts |= {_meant(group, [rule], ())[0]: rule.description for rule in rules}
        after = tuple(
            msgspec.structs.replace(rule, description=texts.get(rule.id, rule.description))
            for rule in group.wanted.rules
        )
        _replace(caller, tx, group, after, "securitygroup.describe")


def _meant(group: SecurityGroup, rules: Sequence[Rule], rule_ids: Sequence[str]) -> list[str]:
    """The ids of the group's rules that are meant, by meaning or by id; NotFound when one is not there."""
    id_by_match = {rule.match(): rule.id for rule in group.wanted.rules}
    for rule_id in rule_ids:
        if rule_id not in id_by_match.values():
            raise unknown_rule(rule_id)
    for rule in rules:
        if rule.match() not in id_by_match:
            text = "The specified rule does not exist in this security group."
            raise NotFound(text, noun="securitygrouprule", ident=group.uuid, reason="rule")
    return [id_by_match[rule.match()] for rule in rules] + list(rule_ids)


def _once(rules: Sequence[Rule]) -> None:
    if len({rule.match() for rule in rules}) < len(rules):
        raise InvalidValue("The same rule must not appear multiple times.", reason="rule-twice")


def _fits(caller: Caller, tx: Reader, group: SecurityGroup, rule: Rule, have: set[tuple[object, ...]]) -> Rule:
    """The rule, if it may be the group's beside those that it has by their meanings, to which it is added."""
    _check(rule)
    _check_tags(group, rule)
    if rule.group:
        # Looked at again in this transaction: it may have been deleted since the caller named it.
        peer = tx.need(SecurityGroup, rule.group)
        if peer.wanted.gone or not find.visible(caller, peer):
            raise find.absent(SecurityGroup, [peer.uuid])
        if is_foreign(group, peer):
            _check_peer(tx, group, peer)
    if rule.prefixlist:
        rule = _of_list(caller, tx, rule)
    if rule.match() in have:
        peer_words = rule.cidr or rule.tag or f"{SecurityGroup.KIND} {rule.group or rule.prefixlist}"
        rule_words = f"peer: {peer_words}, {rule.protocol}, from port: {rule.port_min}, to port: {rule.port_max}"
        text = f"The {group.label} has such a rule already ({rule_words})."
        raise Duplicate(text, noun="securitygroup", ident=rule_words, reason="rule")
    have.add(rule.match())
    return rule


def _check_peer(tx: Reader, group: SecurityGroup, peer: SecurityGroup) -> None:
    """Whether rules of a group may name a group of another router: of the same project, and a peer. Raises NotFound."""
    if peer.project != group.project or peer.wanted.router not in peerings_of(tx, group.wanted.router):
        text = f"The {group.label} and {peer.label} belong to different networks."
        raise NotFound(text, noun="securitygroup", ident=peer.uuid, reason="other-router")


def _of_list(caller: Caller, tx: Reader, rule: Rule) -> Rule:
    """The rule, counted as its prefix list may have entries."""
    prefixlist = find.living(caller, tx, PrefixList, rule.prefixlist)
    if rule.protocol == "icmpv6":
        raise InvalidValue(f"icmpv6 does not go with the {prefixlist.label}, whose ranges are of IPv4.", reason="cidr")
    return msgspec.structs.replace(rule, max_entries=prefixlist.wanted.max_entries)


def _replace(caller: Caller, tx: Writer, group: SecurityGroup, rules: tuple[Rule, ...], verb: str) -> None:
    _check_ranks(rules)
    named = tx.many(SecurityGroup, {rule.group for rule in rules if rule.group})
    own = {uuid for uuid, each in named.items() if not is_foreign(group, each)}
    selectors = tuple(dict.fromkeys(rule.group for rule in rules if rule.group in own))
    lists = tuple(dict.fromkeys(rule.prefixlist for rule in rules if rule.prefixlist))
    wanted = msgspec.structs.replace(group.wanted, rules=rules, selectors=selectors, prefixlists=lists)
    changed = tx.want(group, wanted)
    tx.add_journal_line(caller, changed, verb, goal=changed.generation)
    tx.wake(changed)
    wake_members(tx, [group.uuid])


def _check_order(rule: Rule) -> None:
    """Whether a rule has a place among others: one that denies needs a priority. Raises InvalidValue."""
    if rule.priority is None and rule.action == "deny":
        raise InvalidValue("A rule that denies needs a priority.", reason="priority")
    if rule.priority is not None and not 0 <= rule.priority <= 65535:
        raise InvalidValue(f"The priority {rule.priority} of a rule is not in 0 to 65535.", reason="priority")


def _check_ranks(rules: Iterable[Rule]) -> None:
    """Whether the engine can tell the priorities of rules apart where it matters. Raises InvalidValue."""
    by_rank: dict[tuple[str, int], list[Rule]] = {}
    for rule in rules:
        if rule.priority is not None:
            by_rank.setdefault((rule.direction, rule.rank), []).append(rule)
    for near in by_rank.values():
        priorities = sorted({rule.priority or 0 for rule in near})
        if len(priorities) > 1 and len({rule.action for rule in near}) > 1:
            text = f"The priorities {priorities[0]} and {priorities[-1]} are too near for rules of different action."
            raise InvalidValue(text, reason="priority")


def _check_tags(group: SecurityGroup, rule: Rule) -> None:
    """Whether the network tags of a rule can be such, and select ports. Raises InvalidValue."""
    tags = [tag for tag in (rule.tag, *rule.targets) if tag]
    check_network_tags(tags)
    if tags and not group.wanted.router:
        text = f"The {group.label} is of no router: its rules select no network tags."
        raise InvalidValue(text, noun=SecurityGroup.KIND, ident=group.uuid, reason="network-tag")
    if tags and (":" in rule.cidr or rule.protocol == "icmpv6"):
        raise InvalidValue("Rules for IPv6 select no network tags.", reason="network-tag")


def _check(rule: Rule) -> None:
    if len([side for side in (rule.cidr, rule.group, rule.prefixlist, rule.tag) if side]) != 1:
        text = "A rule needs exactly one of an address range, a group, a prefix list and a network tag."
        raise InvalidValue(text, reason="rule")
    _check_order(rule)
    if rule.number is not None and not (rule.protocol == "all" and 0 <= rule.number <= 255):
        raise InvalidValue(f"Invalid number of a protocol ({rule.number})", reason="protocol")
    if rule.cidr:
        try:
            version = addresses.parsed_range(rule.cidr).version
        except ValueError as error:
            raise InvalidValue(f"CIDR block {rule.cidr} is malformed", ident=rule.cidr, reason="cidr") from error
        if {"icmp": 4, "icmpv6": 6}.get(rule.protocol, version) != version:
            raise InvalidValue(f"{rule.protocol} does not go with the range {rule.cidr}.", reason="cidr")
    if rule.protocol in ("tcp", "udp"):
        low, high = rule.port_min, rule.port_max
        if low is None or high is None or not 0 <= low <= high <= 65535:
            raise InvalidValue(f"Invalid TCP/UDP port range ({low}:{high})", reason="ports")
    if rule.protocol in ("icmp", "icmpv6"):
        for number in (rule.port_min, rule.port_max):
            if number is not None and not -1 <= number <= 255:
                raise InvalidValue(f"Invalid ICMP type or code ({number})", reason="ports")
