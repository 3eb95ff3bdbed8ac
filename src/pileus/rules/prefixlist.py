"""Prefix lists: the ranges that rules and routes mean by them, and the nouns whose orders have these ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import addresses
from pileus.model.errors import NotFound
from pileus.model.prefixlist import PrefixList
from pileus.model.router import Router
from pileus.model.routetable import RouteTable
from pileus.model.securitygroup import SecurityGroup
from pileus.rules import securitygroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pileus.model.prefixlist import PrefixListEntry
    from pileus.model.routetable import NetworkRoute
    from pileus.model.securitygroup import Rule
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


def lists_of(tx: Reader, nouns: Iterable[SecurityGroup | RouteTable]) -> dict[str, PrefixList]:
    """The prefix lists, by uuid, that the rules and routes of these nouns name."""
    return tx.many(PrefixList, {uuid for noun in nouns for uuid in noun.wanted.prefixlists})


def entries_of(prefixlist: PrefixList, version: int | None = None) -> tuple[PrefixListEntry, ...]:
    """The entries of a version; None: of the present one. Raises NotFound for one that is not, or no more, known."""
    wanted = prefixlist.wanted
    versions = {wanted.version: wanted.entries, **{each.number: each.entries for each in wanted.earlier}}
    number = wanted.version if version is None else version
    if number not in versions:
        text = f"The version {number} of the {prefixlist.label} does not exist."
        raise NotFound(text, noun=PrefixList.KIND, ident=prefixlist.uuid, reason="version")
    return versions[number]


def expanded_rules(rules: Iterable[Rule], lists: Mapping[str, PrefixList]) -> Iterator[Rule]:
    """Yield the rules with ranges alone: a rule with a prefix list is one rule for each entry."""
    for rule in rules:
        if not rule.prefixlist:
            yield rule
        elif rule.prefixlist in lists:
            for entry in lists[rule.prefixlist].wanted.entries:
                yield msgspec.structs.replace(rule, cidr=entry.cidr, prefixlist="", max_entries=0)


def expanded_routes(
    routes: Iterable[NetworkRoute], lists: Mapping[str, PrefixList], own_ranges: Sequence[str]
) -> list[NetworkRoute]:
    """The routes with ranges alone, one to each range: those of the table itself win, then those of the first list.

    Entries inside `own_ranges` of the router are left out: its networks are connected.
    """
    ordered = sorted(routes, key=lambda route: bool(route.prefixlist))
    by_range: dict[str, NetworkRoute] = {}
    for route in ordered:
        if not route.prefixlist:
            by_range.setdefault(route.cidr, route)
        elif route.prefixlist in lists:
            for entry in lists[route.prefixlist].wanted.entries:
                if any(addresses.inside(entry.cidr, own) for own in own_ranges):
                    continue
                single_route = msgspec.structs.replace(route, cidr=entry.cidr, prefixlist="", max_entries=0)
                by_range.setdefault(entry.cidr, single_route)
    return list(by_range.values())


def users_of(tx: Reader, uuid: str) -> tuple[list[SecurityGroup], list[RouteTable]]:
    """The groups and the route tables that name a prefix list (by uuid) and that are not to go."""
    groups = [group for group in tx.referring(SecurityGroup, [uuid]) if not group.wanted.gone]
    tables = [table for table in tx.referring(RouteTable, [uuid]) if not table.wanted.gone]
    return groups, tables


def wake_users(tx: Writer, uuid: str) -> None:
    """Wake the nouns whose orders have the entries of a prefix list (by uuid): groups, their members, and routers."""
    groups, tables = users_of(tx, uuid)
    tx.wake_all(SecurityGroup.KIND, [group.uuid for group in groups])
    securitygroup.wake_members(tx, [group.uuid for group in groups])
    tx.wake_all(Router.KIND, {table.wanted.router for table in tables})
