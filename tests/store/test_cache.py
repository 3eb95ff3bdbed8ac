"""Cached kinds, seen from transactions: their own writes at once, those of others once they are committed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.model.flavor import Flavor
from pileus.model.ids import new_uuid
from pileus.model.instance import Instance
from pileus.store import cache, tables
from pileus.store.migrate import migrate
from pileus.store.store import TOMBSTONE, Store
from tests.statements import executed
from tests.store.clock import Clock, flavor, instance
from tests.store.wakes import lease_wake

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pileus.store.writer import Writer


class _Abandoned(Exception):
    """Ends a transaction that is to leave nothing."""


def memory(store: Store, uuid: str) -> int:
    """The flavor's memory, as a snapshot and a transaction see it: the same."""
    with store.read() as tx:
        seen = tx.need(Flavor, uuid).wanted.memory
    with store.write() as tx:
        assert tx.need(Flavor, uuid).wanted.memory == seen
    return seen


def raised(row: Flavor, memory: int) -> Any:
    """What is wanted of the flavor, with another memory."""
    return msgspec.structs.replace(row.wanted, memory=memory)


def test_a_transaction_sees_what_it_wrote(filed: Store) -> None:
    with filed.write() as tx:
        row = tx.add(flavor())
        assert tx.need(Flavor, row.uuid) == row
        changed = tx.want(row, raised(row, 7777))
        assert tx.need(Flavor, row.uuid) == changed
    assert memory(filed, row.uuid) == 7777


def test_what_was_rolled_back_is_not_kept(filed: Store) -> None:
    with filed.write() as tx:
        row = tx.add(flavor())
    before = memory(filed, row.uuid)
    with contextlib.suppress(_Abandoned), filed.write() as tx:
        tx.want(tx.need(Flavor, row.uuid), raised(row, 7777))
        assert tx.need(Flavor, row.uuid).wanted.memory == 7777
        raise _Abandoned
    assert memory(filed, row.uuid) == before


def test_two_processes_agree(url: Callable[[str], str]) -> None:
    stores = [Store(url("store"), now=Clock()) for _ in range(2)]
    migrate(stores[0].engine)

    @settings(max_examples=20, deadline=None)
    @given(steps=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9), st.booleans()), max_size=12))
    def agree(steps: list[tuple[int, int, bool]]) -> None:
        _agree(stores, steps)

    agree()
    for store in stores:
        store.close()


def _agree(stores: list[Store], steps: list[tuple[int, int, bool]]) -> None:
    with stores[0].write() as tx:
        row = tx.add(flavor())
    expected = row.wanted.memory
    for who, wanted, kept in steps:
        try:
            with stores[who].write() as tx:
                flavor_row = tx.need(Flavor, row.uuid)
                assert flavor_row.wanted.memory == expected
                tx.want(flavor_row, raised(flavor_row, wanted))
                if not kept:
                    raise _Abandoned
            expected = wanted
        except _Abandoned:
            pass
        assert [memory(store, row.uuid) for store in stores] == [expected, expected]


def listed(store: Store, project: str) -> list[str]:
    """The states of a project's instances, cached by the process: they equal those that are read anew."""
    with store.read() as tx:
        lists = tx.lists(project)
        rows = tx.list(Instance, project=project, dead=True)
    assert lists is not None
    fresh = [f"{row.uuid} {row.wanted.power.n} {row.seen.running} {row.gone is None}" for row in rows]
    cached = lists.lists.setdefault("states", fresh)
    assert cached == fresh
    return cached


def test_lists_of_a_project_follow_every_change_of_either_process(url: Callable[[str], str]) -> None:
    stores = [Store(url("store"), now=Clock()) for _ in range(2)]
    migrate(stores[0].engine)
    with stores[0].write() as tx:
        of = tx.add(flavor())

    @settings(max_examples=20, deadline=None)
    @given(steps=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(CHANGES), st.booleans()), max_size=12))
    def follow(steps: list[tuple[int, str, bool]]) -> None:
        project = new_uuid()
        for who, change, kept in steps:
            with contextlib.suppress(_Abandoned), stores[who].write() as tx:
                _change(tx, of, project, change)
                if not kept:
                    raise _Abandoned
            for store in stores:
                listed(store, project)

    follow()
    for store in stores:
        store.close()


CHANGES = ("add", "want", "see", "see all", "end")


def _change(tx: Writer, of: Flavor, project: str, change: str) -> None:
    """Change the project's instances in one of the ways of a writer."""
    assert tx.lists(project) is None
    rows = tx.list(Instance, project=project)
    if change == "add" or not rows:
        tx.add(msgspec.structs.replace(instance(of), project=project))
    elif change == "want":
        power = msgspec.structs.replace(rows[0].wanted.power, n=rows[0].wanted.power.n + 1)
        tx.want(rows[0], msgspec.structs.replace(rows[0].wanted, power=power))
    elif change == "end":
        tx.make_tombstone(rows[0])
    else:
        seen = msgspec.structs.replace(rows[-1].seen, running=not rows[-1].seen.running)
        if change == "see":
            tx.see(rows[-1], seen)
        else:
            tx.see_all([(rows[-1], seen)])


def test_an_erased_tombstone_is_in_no_list(filed: Store, clock: Clock) -> None:
    project = new_uuid()
    with filed.write() as tx:
        row = tx.add(msgspec.structs.replace(instance(tx.add(flavor())), project=project))
        tx.make_tombstone(row)
    assert len(listed(filed, project)) == 1
    clock.now += TOMBSTONE + 1
    filed.forget_tombstones()
    assert listed(filed, project) == []


def test_lists_of_all_projects_are_bounded(filed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 2 * (cache._EMPTY + 1))
    projects = [new_uuid() for _ in range(4)]
    with filed.write() as tx:
        of = tx.add(flavor())
    for project in projects:
        with filed.write() as tx:
            tx.add(msgspec.structs.replace(instance(of), project=project))
        listed(filed, project)
    with filed.read() as tx:
        cached_projects = [each for each in reversed(projects) if (lists := tx.lists(each)) and lists.lists]
    assert cached_projects == [projects[3], projects[2]]


def test_the_name_of_a_version_fits_its_column() -> None:
    names = [cache.project_version(new_uuid()), *map(cache.version_name, cache.COUNTED)]
    assert all(len(name) <= getattr(tables.meta.c.name.type, "length", 0) for name in names)


def test_a_tombstone_that_was_erased_is_forgotten(filed: Store, clock: Clock) -> None:
    with filed.write() as tx:
        row = tx.add(flavor())
        tx.make_tombstone(row)
    with filed.read() as tx:
        assert tx.get(Flavor, row.uuid) is not None
    clock.now += TOMBSTONE + 1
    filed.forget_tombstones()
    with filed.read() as tx:
        assert tx.get(Flavor, row.uuid) is None
    with filed.write() as tx:
        assert tx.get(Flavor, row.uuid) is None


def test_transactions_ask_for_what_changes_seldom_once(filed: Store) -> None:
    with filed.write() as tx:
        row = tx.add(flavor())
    with executed(filed) as asked:
        for _ in range(3):
            with filed.write() as tx:
                tx.need(Flavor, row.uuid)
    assert sum("FROM flavor" in statement for statement in asked) == 1


def test_new_nouns_are_woken_and_can_be_woken_again(store: Store, clock: Clock) -> None:
    with store.write() as tx:
        made = tx.add_all([instance(tx.add(flavor())) for _ in range(2)])
        tx.wake_new(made)
        tx.wake(made[0], clock.now - 5)
        tx.wake(made[1], clock.now + 5)
        tx.wake_new([])
        assert tx.woken
    with store.read() as tx:
        assert [tx.due("instance", noun.uuid) for noun in made] == [clock.now - 5, clock.now]
    leased = lease_wake(store)
    assert leased is not None
    assert (leased.uuid, leased.wakes) == (made[0].uuid, 2)
