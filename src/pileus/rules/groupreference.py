"""Rules that name a security group of another router: they hold while the two routers are peers and the group lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.peering import Peering
from pileus.model.securitygroup import SecurityGroup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.securitygroup import Rule
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


def is_foreign(group: SecurityGroup, named: SecurityGroup) -> bool:
    """Whether the two groups are of different routers; a group without a router is for all networks of its project."""
    routers = {group.wanted.router, named.wanted.router}
    return len(routers) > 1 and None not in routers


def peerings_of(tx: Reader, router: str | None) -> dict[str, Peering]:
    """The active peerings of a router (by uuid), by the uuids of the routers at the other ends."""
    links = [peering for peering in tx.referring(Peering, [router] if router else []) if peering.is_active]
    return {each.wanted.peer if each.wanted.router == router else each.wanted.router: each for each in links}


def foreign_groups(group: SecurityGroup) -> set[str]:
    """The uuids of groups of other routers that rules of the group name."""
    return {rule.group for rule in group.wanted.rules if rule.group} - {group.uuid, *group.wanted.selectors}


def stale_rules(tx: Reader, group: SecurityGroup) -> list[Rule]:
    """The rules of a group that name a group of another router which is gone, or whose router is no peer any more."""
    foreign = foreign_groups(group)
    if not foreign:
        return []
    named, routers = tx.many(SecurityGroup, foreign), peerings_of(tx, group.wanted.router)
    living = {uuid for uuid, each in named.items() if each.gone is None and not each.wanted.gone}
    in_force = {uuid for uuid in living if named[uuid].wanted.router in routers}
    return [rule for rule in group.wanted.rules if rule.group in foreign - in_force]


def rules_in_force(tx: Reader, group: SecurityGroup) -> list[Rule]:
    """The rules of a group without the stale ones."""
    stale = {rule.id for rule in stale_rules(tx, group)}
    return [rule for rule in group.wanted.rules if rule.id not in stale]


def referring_groups(tx: Reader, uuids: Iterable[str], routers: Iterable[str]) -> list[SecurityGroup]:
    """The living groups of routers (by uuid) that name one of the groups `uuids`, which are of other routers."""
    named = set(uuids)
    groups = tx.referring(SecurityGroup, routers)
    return [group for group in groups if not group.wanted.gone and not named.isdisjoint(foreign_groups(group))]


def wake_foreign(tx: Writer, routers: Iterable[str]) -> None:
    """Wake the groups of routers whose rules name groups of other routers: a peering begins or ends."""
    groups = [group for group in tx.referring(SecurityGroup, routers) if foreign_groups(group)]
    tx.wake_all(SecurityGroup.KIND, [group.uuid for group in groups])
