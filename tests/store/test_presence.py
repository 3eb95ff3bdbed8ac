"""Processes that answer requests are counted, on every database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.store.presence import LIVING, Heartbeats
from tests.store.clock import Clock

if TYPE_CHECKING:
    from pileus.store.store import Store


def test_processes_count_while_they_speak(store: Store) -> None:
    monotonic = Clock()
    first, second = Heartbeats(store, "a", monotonic), Heartbeats(store, "b", monotonic)
    assert [first.send(), second.send(), first.send()] == [1, 2, 2]
    monotonic.now += LIVING
    assert second.send() == 2, "it sees the first one's second heartbeat"
    monotonic.now += LIVING
    assert second.send() == 2
    monotonic.now += 1
    assert second.send() == 1
    assert first.send() == 2, "it was stopped for a while"


def test_processes_whose_clocks_differ_count_each_other(store: Store, clock: Clock) -> None:
    early, late = Clock(), Clock()
    late.now += 10_000
    first, second = Heartbeats(store, "a", early), Heartbeats(store, "b", late)
    first.send()
    for _ in range(10):
        # Both write by their own wall clock, which is wrong by an hour in one of them.
        clock.now += 3600
        assert second.send() == 2
        clock.now -= 3600
        assert first.send() == 2
        for passing in (clock, early, late):
            passing.now += 10


def test_what_a_process_left_that_died_before_this_one_began_is_forgotten(store: Store, clock: Clock) -> None:
    Heartbeats(store, "dead").send()
    clock.now -= 10_000
    monotonic = Clock()
    living = Heartbeats(store, "living", monotonic)
    assert living.send() == 2, "it may live"
    monotonic.now += LIVING + 1
    assert [living.send(), living.send()] == [1, 1]
