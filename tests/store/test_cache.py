"""Cached kinds, seen from transactions: their own writes at once, those of others once they are committed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.model.flavor import Flavor
from pileus.store.migrate import migrate
from pileus.store.store import TOMBSTONE, Store
from tests.statements import executed
from tests.store.clock import Clock, flavor, instance
from tests.store.wakes import lease_wake

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


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
