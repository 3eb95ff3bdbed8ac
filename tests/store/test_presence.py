"""Processes that answer requests are counted, on every database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.store.presence import LIVING, Beats
from tests.store.clock import Clock

if TYPE_CHECKING:
    from pileus.store.store import Store


def test_processes_count_while_they_speak(store: Store) -> None:
    steady = Clock()
    first, second = Beats(store, "a", steady), Beats(store, "b", steady)
    assert [first.beat(), second.beat(), first.beat()] == [1, 2, 2]
    steady.now += LIVING
    assert second.beat() == 2, "it sees the first one's second beat"
    steady.now += LIVING
    assert second.beat() == 2
    steady.now += 1
    assert second.beat() == 1
    assert first.beat() == 2, "it was stopped for a while"


def test_processes_whose_clocks_differ_count_each_other(store: Store, clock: Clock) -> None:
    early, late = Clock(), Clock()
    late.now += 10_000
    first, second = Beats(store, "a", early), Beats(store, "b", late)
    first.beat()
    for _ in range(10):
        # Both write by their own wall clock, which is wrong by an hour in one of them.
        clock.now += 3600
        assert second.beat() == 2
        clock.now -= 3600
        assert first.beat() == 2
        for passing in (clock, early, late):
            passing.now += 10


def test_what_a_process_left_that_died_before_this_one_began_is_forgotten(store: Store, clock: Clock) -> None:
    Beats(store, "dead").beat()
    clock.now -= 10_000
    steady = Clock()
    living = Beats(store, "living", steady)
    assert living.beat() == 2, "it may live"
    steady.now += LIVING + 1
    assert [living.beat(), living.beat()] == [1, 1]
