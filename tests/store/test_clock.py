"""The machine's clock may be set while the cloud runs: nothing is erased before its time, and nothing waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.store.clock import Clock
from pileus.store.migrate import migrate
from pileus.store.store import HASTE, TOMBSTONE, Store
from tests.store.clock import flavor, instance
from tests.store.wakes import lease_wake

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86400.0


class Machine:
    """A machine's two clocks."""

    def __init__(self) -> None:
        self.wall = 1_000_000_000.0
        self.monotonic = 500.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def sweeps(self, store: Store, seconds: float, every: int = 20) -> None:
        """Time passes, with a sweep every twenty seconds, as a process makes them, or fewer."""
        for _ in range(int(seconds / every)):
            self.passes(every)
            store.forget_tombstones()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def timed(machine: Machine) -> Iterator[Store]:
    made = Store("sqlite://", now=Clock(lambda: machine.wall, lambda: machine.monotonic))
    migrate(made.engine)
    made.forget_tombstones()
    yield made
    made.close()


def ended(store: Store) -> str:
    """A noun that ended just now, and a token that was given."""
    with store.write() as tx:
        made = tx.add(flavor())
        tx.make_tombstone(made)
        tx.remember("p", "launch", made.uuid, {}, ["i-1"])
    return made.uuid


def answers(store: Store, uuid: str) -> bool:
    with store.write() as tx:
        there = uuid in tx.many(type(flavor()), [uuid])
        assert (tx.repeated("p", "launch", uuid, {}) is not None) == there
    return there


@pytest.mark.parametrize("days", [-400, -2, 2, 400])
def test_a_jump_of_the_clock_and_back_erases_nothing(timed: Store, machine: Machine, days: int) -> None:
    before = ended(timed)
    machine.sweeps(timed, 60)
    machine.wall += days * DAY
    meanwhile = ended(timed)
    machine.sweeps(timed, 40)
    assert answers(timed, before)
    machine.wall -= days * DAY
    machine.sweeps(timed, 3600)
    assert answers(timed, before)
    assert answers(timed, meanwhile)


@pytest.mark.parametrize("days", [-2, 2])
def test_what_ended_answers_for_half_a_day_wherever_the_clock_is_set(timed: Store, machine: Machine, days: int) -> None:
    one = ended(timed)
    machine.wall += days * DAY
    machine.sweeps(timed, TOMBSTONE / HASTE - 600, every=800)
    assert answers(timed, one)
    machine.sweeps(timed, TOMBSTONE + 2 * DAY, every=800)
    assert not answers(timed, one), "and not for ever"


def test_nothing_waits_for_a_clock_that_was_set_back(timed: Store, machine: Machine) -> None:
    with timed.write() as tx:
        rows = tx.add_all([instance(tx.add(flavor())) for _ in range(3)])
        tx.wake(rows[0])
        tx.wake(rows[1], tx.now + 5)
        tx.wake(rows[2], tx.now - 1)
    leased = lease_wake(timed)
    assert leased is not None
    machine.passes(1)
    machine.wall -= 100
    due = {wake.uuid for wake in timed.lease_wakes(10)}
    assert due == {row.uuid for row in rows}, "the lease that was given before would last longer than any"


def test_a_process_that_begins_after_the_clock_was_set_back_waits_for_nothing(timed: Store, machine: Machine) -> None:
    with timed.write() as tx:
        tx.wake(tx.add(instance(tx.add(flavor()))), tx.now + 30)
    machine.wall -= 3600
    timed.now = Clock(lambda: machine.wall, lambda: machine.monotonic)
    timed.release_wakes()
    assert lease_wake(timed) is not None
