"""Prefix lists: made, given and deprived of entries, set back to an earlier version, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from pileus.model import bounds, sizes
from pileus.model.errors import Conflict, InvalidValue, NotFound
from pileus.model.ids import new_uuid
from pileus.model.prefixlist import PrefixList, PrefixListEntry, PrefixListVersion, Wanted, cleared
from pileus.model.router import Router
from pileus.model.sizes import Idents, Name
from pileus.rules import find
from pileus.rules.prefixlist import entries_of, users_of, wake_users
from pileus.rules.rights import requires
from pileus.rules.routetable import check_destination
from pileus.rules.token import once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.model.noun import Noun
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


class PrefixListChange(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of a list: None and empty ones leave it as it is. `current` is the version that is expected."""

    name: Name | None = None
    max_entries: int | None = None
    add: Annotated[tuple[PrefixListEntry, ...], Meta(max_length=bounds.LISTED.most)] = ()
    remove: Idents = ()
    current: int | None = None


@requires("member")
def create(
    caller: Caller,
    core: Core,
    name: str,
    max_entries: int,
    entries: Sequence[PrefixListEntry] = (),
    tags: Mapping[str, str] | None = None,
    token: str = "",
) -> PrefixList:
    """Make a list of IPv4 ranges."""
    _check_name(name)
    wanted = Wanted(max_entries=max_entries, entries=_cleared(entries))
    with core.store.write() as tx:

        def make() -> PrefixList:
            row = PrefixList(uuid=new_uuid(), project=caller.project, name=name, tags=dict(tags or {}), wanted=wanted)
            prefixlist = tx.add(row)
            tx.add_journal_line(caller, prefixlist, "prefixlist.create", outcome="done")
            return prefixlist

        parameters = [name, msgspec.to_builtins(wanted), dict(tags or {})]
        return once(caller, tx, PrefixList, token, parameters, make)


@requires("member")
def modify(caller: Caller, core: Core, uuid: str, change: PrefixListChange) -> PrefixList:
    """Change a list: its name, its size, or its entries, which raises its version.

    An entry that the list has gets the new description. Raises Conflict for another current version, QuotaExceeded
    where a group or a table has no room for the new size.
    """
    if change.name is not None:
        _check_name(change.name)
    if change.max_entries is not None and (change.add or change.remove):
        text = "The size of a prefix list cannot be changed together with its entries."
        raise InvalidValue(text, noun=PrefixList.KIND, ident=uuid, reason="combination")
    sizes.check(change)
    with core.store.write() as tx:
        prefixlist = find.living(caller, tx, PrefixList, uuid)
        if change.add or change.remove:
            if change.current is None:
                text = "The current version of the prefix list is needed where its entries change."
                raise InvalidValue(text, noun=PrefixList.KIND, ident=uuid, reason="missing")
            _check_version(prefixlist, change.current)
            entries = _changed_entries(prefixlist, change)
            return _replaced(caller, tx, prefixlist, entries, "prefixlist.modify", name=change.name)
        if change.current is not None:
            _check_version(prefixlist, change.current)
        wanted = prefixlist.wanted
        if change.max_entries is not None:
            wanted = msgspec.structs.replace(wanted, max_entries=change.max_entries)
        prefixlist = tx.want(prefixlist, wanted, name=prefixlist.name if change.name is None else change.name)
        if change.max_entries is not None:
            _recount(tx, prefixlist)
        tx.add_journal_line(caller, prefixlist, "prefixlist.modify", outcome="done")
        return prefixlist


@requires("member")
def restore(caller: Caller, core: Core, uuid: str, previous: int, current: int) -> PrefixList:
    """Give a list the entries of an earlier version, as a new version. Raises Conflict, NotFound."""
    with core.store.write() as tx:
        prefixlist = find.living(caller, tx, PrefixList, uuid)
        _check_version(prefixlist, current)
        earlier = entries_of(prefixlist, previous)
        return _replaced(caller, tx, prefixlist, earlier, "prefixlist.restore")


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> PrefixList:
    """Delete a list. Raises Conflict while a rule or a route names it."""
    with core.store.write() as tx:
        prefixlist = find.living(caller, tx, PrefixList, uuid)
        tx.lock(prefixlist)
        groups, tables = users_of(tx, uuid)
        if groups or tables:
            text = f"The {prefixlist.label} is in use by {(*groups, *tables)[0].label}."
            raise Conflict(text, noun=PrefixList.KIND, ident=uuid, reason="in-use")
        deleted = tx.want(prefixlist, msgspec.structs.replace(prefixlist.wanted, gone=True))
        tx.add_journal_line(caller, deleted, "prefixlist.delete", outcome="done")
        tx.make_tombstone(deleted)
        return deleted


@requires("reader")
def one(caller: Caller, core: Core, uuid: str) -> PrefixList:
    """The list with this uuid."""
    with core.store.read() as tx:
        return find.living(caller, tx, PrefixList, uuid)


@requires("reader")
def users(caller: Caller, core: Core, uuid: str) -> list[Noun]:
    """The security groups and the route tables that name a list."""
    with core.store.read() as tx:
        groups, tables = users_of(tx, find.living(caller, tx, PrefixList, uuid).uuid)
        return [*groups, *tables]


@requires("reader")
def listing(caller: Caller, core: Core) -> list[PrefixList]:
    """The project's lists."""
    with core.store.read() as tx:
        return tx.list(PrefixList, project=caller.project)


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= bounds.NAME.most or name.startswith("com.amazonaws"):
        text = f"A prefix list's name has from 1 to {bounds.NAME.most} characters, not beginning with com.amazonaws."
        raise InvalidValue(text, noun=PrefixList.KIND, ident=name[:40], reason="name")


def _check_version(prefixlist: PrefixList, current: int) -> None:
    if current != prefixlist.wanted.version:
        text = f"The prefix list has the version {prefixlist.wanted.version}, not {current}."
        raise Conflict(text, noun=PrefixList.KIND, ident=prefixlist.uuid, reason="version")


def _cleared(entries: Sequence[PrefixListEntry]) -> tuple[PrefixListEntry, ...]:
    return tuple(msgspec.structs.replace(entry, cidr=cleared(entry.cidr)) for entry in entries)


def _changed_entries(prefixlist: PrefixList, change: PrefixListChange) -> tuple[PrefixListEntry, ...]:
    """The entries after a change. Raises NotFound, InvalidValue."""
    by_cidr = {entry.cidr: entry for entry in prefixlist.wanted.entries}
    added = _cleared(change.add)
    for cidr in change.remove:
        if cleared(cidr) not in by_cidr:
            text = f"The {prefixlist.label} has no entry {cidr[:40]}."
            raise NotFound(text, noun=PrefixList.KIND, ident=cidr[:40], reason="entry")
    removed = {cleared(cidr) for cidr in change.remove}
    if len({entry.cidr for entry in added} | removed) < len(added) + len(change.remove):
        text = "An entry must not appear more than once in a request."
        raise InvalidValue(text, noun=PrefixList.KIND, reason="entry")
    left = {cidr: entry for cidr, entry in by_cidr.items() if cidr not in removed}
    return tuple((left | {entry.cidr: entry for entry in added}).values())


def _replaced(
    caller: Caller,
    tx: Writer,
    prefixlist: PrefixList,
    entries: tuple[PrefixListEntry, ...],
    verb: str,
    *,
    name: str | None = None,
) -> PrefixList:
    """The list with these entries as its next version; the nouns whose orders have them are woken."""
    _check_routes(tx, prefixlist, entries)
    wanted = prefixlist.wanted
    former = PrefixListVersion(number=wanted.version, entries=wanted.entries)
    earlier = (*wanted.earlier, former)[-bounds.PREFIX_LIST_VERSIONS.most :]
    wanted = msgspec.structs.replace(wanted, version=wanted.version + 1, entries=entries, earlier=earlier)
    prefixlist = tx.want(prefixlist, wanted, name=prefixlist.name if name is None else name)
    tx.add_journal_line(caller, prefixlist, verb, outcome="done")
    wake_users(tx, prefixlist.uuid)
    return prefixlist


def _check_routes(tx: Reader, prefixlist: PrefixList, entries: Sequence[PrefixListEntry]) -> None:
    """Whether the route tables that name the list may have routes to these entries. Raises InvalidValue."""
    _, tables = users_of(tx, prefixlist.uuid)
    for router in tx.many(Router, [table.wanted.router for table in tables]).values():
        for entry in entries:
            check_destination(router, entry.cidr)


def _recount(tx: Writer, prefixlist: PrefixList) -> None:
    """Count the rules and routes that name the list anew. Raises QuotaExceeded where they have become too many."""
    most = prefixlist.wanted.max_entries
    groups, tables = users_of(tx, prefixlist.uuid)
    for group in groups:
        rules = tuple(
            msgspec.structs.replace(rule, max_entries=most) if rule.prefixlist == prefixlist.uuid else rule
            for rule in group.wanted.rules
        )
        tx.wake(tx.want(group, msgspec.structs.replace(group.wanted, rules=rules)))
    for table in tables:
        routes = tuple(
            msgspec.structs.replace(route, max_entries=most) if route.prefixlist == prefixlist.uuid else route
            for route in table.wanted.routes
        )
        tx.want(table, msgspec.structs.replace(table.wanted, routes=routes))
    wake_users(tx, prefixlist.uuid)
