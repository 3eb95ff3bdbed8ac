"""The queue: a wake is leased to one worker, comes back when that worker dies, and is never lost."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pileus.loops.runner import KINDS
from pileus.model.caller import Caller
from pileus.model.errors import Unavailable
from pileus.model.flavor import Flavor
from pileus.store import store as stores
from pileus.store.store import LEASE, Store
from tests.store.clock import Clock, flavor, instance
from tests.store.wakes import finish_wake, lease_wake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.model.instance import Instance


@pytest.fixture
def row(store: Store) -> Instance:
    with store.write() as tx:
        made = tx.add(instance(tx.add(flavor())))
        tx.wake(made)
    return made


def due(store: Store, row: Instance) -> float | None:
    with store.read() as tx:
        return tx.due("instance", row.uuid)


def test_a_wake_is_one_workers(store: Store, row: Instance, clock: Clock) -> None:
    leased = lease_wake(store)
    assert leased is not None
    assert (leased.kind, leased.uuid, leased.until) == ("instance", row.uuid, clock.now + LEASE)
    assert lease_wake(store) is None
    finish_wake(store, leased, None)
    assert lease_wake(store) is None
    assert due(store, row) is None


def test_a_claim_that_was_not_committed_is_no_step(
    store: Store, row: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recovery waits for the steps that are under way."""
    write = store.engine.write

    @contextmanager
    def failing(**how: Any) -> Iterator[Any]:
        with write(**how) as connection:
            yield connection
            raise Unavailable("the disk is full", noun="store", reason="full")

    with monkeypatch.context() as patched:
        patched.setattr(store.engine, "write", failing)
        with pytest.raises(Unavailable):
            lease_wake(store)
        assert not store.has_steps()
    leased = lease_wake(store)
    assert leased is not None
    assert store.has_steps()
    finish_wake(store, leased, None)
    assert not store.has_steps()


def test_a_finished_wake_is_due_when_it_says(store: Store, row: Instance, clock: Clock) -> None:
    leased = lease_wake(store)
    assert leased is not None
    finish_wake(store, leased, clock.now + 5)
    assert lease_wake(store) is None
    clock.now += 5
    assert lease_wake(store) is not None


def test_who_dies_loses_nothing(store: Store, row: Instance, clock: Clock) -> None:
    assert lease_wake(store) is not None
    clock.now += LEASE - 0.1
    assert lease_wake(store) is None
    clock.now += 0.1
    assert lease_wake(store) is not None


def test_a_wake_during_the_work_is_due_at_once(store: Store, row: Instance, clock: Clock) -> None:
    leased = lease_wake(store)
    assert leased is not None
    with store.write() as tx:
        tx.wake(row)
    assert lease_wake(store) is None  # not while the first worker is at it
    finish_wake(store, leased, None)
    again = lease_wake(store)
    assert again is not None
    finish_wake(store, again, None)
    assert due(store, row) is None


def test_who_comes_late_clears_nothing(store: Store, row: Instance, clock: Clock) -> None:
    slow = lease_wake(store)
    clock.now += LEASE
    other = lease_wake(store)
    assert slow is not None
    assert other is not None
    finish_wake(store, slow, None)
    assert due(store, row) == other.until
    assert lease_wake(store) is None
    finish_wake(store, other, None)
    finish_wake(store, slow, clock.now)
    assert due(store, row) is None


def test_the_earlier_due_time_stays(store: Store, row: Instance, clock: Clock) -> None:
    for when, then in ((50, 0), (-5, -5), (20, -5)):
        with store.write() as tx:
            tx.wake(row, clock.now + when)
        assert due(store, row) == clock.now + then


def test_tries_count_failures_until_somebody_wakes(store: Store, row: Instance, clock: Clock) -> None:
    for tries in range(3):
        leased = lease_wake(store)
        assert leased is not None
        assert leased.tries == tries
        finish_wake(store, leased, clock.now, failed=True)
    with store.write() as tx:
        tx.wake(row)
    leased = lease_wake(store)
    assert leased is not None
    assert leased.tries == 0


def test_what_waited_longest_comes_first(store: Store, clock: Clock) -> None:
    with store.write() as tx:
        of = tx.add(flavor())
        rows = tx.add_all([instance(of) for _ in range(3)])
        for wait, one in zip((2, 9, 5), rows, strict=True):
            tx.wake(one, clock.now - wait)
    order = [leased.uuid for leased in iter(lambda: lease_wake(store), None)]
    assert order == [rows[1].uuid, rows[2].uuid, rows[0].uuid]


def test_the_resync_wakes_what_lives_and_has_a_loop(store: Store, row: Instance) -> None:
    with store.write() as tx:
        dead = tx.add(instance(tx.list(Flavor)[0]))
        tx.wake(dead)
        tx.make_tombstone(dead)
    leased = lease_wake(store)
    while leased is not None:
        finish_wake(store, leased, None)
        leased = lease_wake(store)
    store.wake_everything(KINDS)
    assert [leased.uuid for leased in iter(lambda: lease_wake(store), None)] == [row.uuid]


def test_nothing_is_woken_by_what_was_rolled_back(store: Store, row: Instance) -> None:
    told: list[tuple[bool, set[str]]] = []
    store.listen(lambda woken, touched: told.append((woken, touched)))
    with pytest.raises(ZeroDivisionError), store.write() as tx:  # noqa: PT012  (it is the whole that is undone)
        tx.wake(row)
        raise ZeroDivisionError
    assert told == []
    with store.write() as tx:
        tx.want(row, tags={"a": "b"})
        assert told == []
    assert told == [(False, {"instance"})]


def test_many_workers_share_the_work(filed: Store) -> None:
    with filed.write() as tx:
        of = tx.add(flavor())
        rows = tx.add_all([instance(of) for _ in range(40)])
        tx.wake_all("instance", [one.uuid for one in rows])
    taken: list[str] = []

    def work() -> None:
        while (leased := lease_wake(filed)) is not None:
            taken.append(leased.uuid)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(one.uuid for one in rows)


def test_giving_one_back_takes_the_next(store: Store, row: Instance) -> None:
    with store.write() as tx:
        other = tx.add(flavor("other"))
        tx.wake(other)
    leased = lease_wake(store)
    assert leased is not None
    following = finish_wake(store, leased, None, lease=True)
    assert following is not None
    assert {leased.uuid, following.uuid} == {row.uuid, other.uuid}
    assert finish_wake(store, following, None, lease=True) is None
    assert lease_wake(store) is None


def test_a_wake_names_the_last_request_that_asked_for_it(store: Store, row: Instance) -> None:
    caller = Caller(user="u", user_name="ann", project="p", request="first")
    with store.write() as tx:
        tx.add_journal_line(caller, row, "instance.stop")
        tx.wake(row)
    with store.write() as tx:
        tx.wake(row)  # as a report does, for nobody's sake
    leased = lease_wake(store)
    assert leased is not None
    assert leased.request == "first"


@pytest.mark.parametrize("hours", [-25, -1, 1, 25])
def test_a_clock_that_jumps_delays_nothing_beyond_the_next_resync(
    store: Store, row: Instance, clock: Clock, hours: int
) -> None:
    """Neither what is due later, nor what a worker leased that died before the jump."""
    with store.write() as tx:
        other = tx.add(instance(tx.add(flavor("other"))))
        tx.wake(other, clock.now + 5)
    assert lease_wake(store) is not None
    clock.now += hours * 3600
    store.wake_everything(KINDS)
    found = {leased.uuid for leased in (lease_wake(store), lease_wake(store)) if leased is not None}
    assert found == {row.uuid, other.uuid}


def test_a_lease_that_is_good_is_nobody_elses_after_a_resync(store: Store, row: Instance, clock: Clock) -> None:
    assert lease_wake(store) is not None
    clock.now -= 1  # as clocks are set by the second every day
    store.wake_everything(KINDS)
    clock.now += 1
    assert lease_wake(store) is None


def test_a_resync_looks_at_some_and_the_next_one_at_others(
    store: Store, row: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "RESYNCED", 2)
    with store.write() as tx:
        of = tx.add(flavor())
        rows = [row, *tx.add_all([instance(of) for _ in range(4)])]
    store._resynced.clear()
    done(store)
    seen: list[str] = []
    for _ in range(3):
        store.wake_everything(["instance"])
        seen += done(store)
    assert sorted(seen) == sorted(one.uuid for one in rows)
    store.wake_everything(["instance"])
    assert len(done(store)) == 2, "and so on, from the beginning"


def done(store: Store) -> list[str]:
    """What was due, given back."""
    found = store.lease_wakes(100)
    if found:
        store.finish_wakes([(leased, None, False) for leased in found])
    return [leased.uuid for leased in found]


def test_several_are_taken_and_given_back_together(store: Store, row: Instance, clock: Clock) -> None:
    with store.write() as tx:
        of = tx.add(flavor())
        others = tx.add_all([instance(of) for _ in range(3)])
        tx.wake_all("instance", [one.uuid for one in others])
    leased = store.lease_wakes(3)
    assert len(leased) == 3
    left = store.lease_wakes(3)
    assert len(left) == 1, "a leased wake is not leased again"
    with store.write() as tx:
        tx.wake_all("instance", [leased[0].uuid])
    following = store.finish_wakes(
        [(leased[0], None, False), (leased[1], clock.now + 5, True), (leased[2], None, False)]
    )
    assert following == []
    assert [one.uuid for one in store.lease_wakes(3)] == [leased[0].uuid], "it was woken while it was leased"
    clock.now += 6
    again = store.lease_wakes(3)
    assert [(one.uuid, one.tries) for one in again] == [(leased[1].uuid, 1)]
