"""Processes that answer requests are counted, on every database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.store.presence import LIVING, beat

if TYPE_CHECKING:
    from pileus.store.store import Store
    from tests.store.clock import Clock


def test_processes_count_while_they_speak(store: Store, clock: Clock) -> None:
    assert [beat(store, "a"), beat(store, "b"), beat(store, "a")] == [1, 2, 2]
    clock.now += LIVING
    assert beat(store, "b") == 2
    clock.now += 1
    assert beat(store, "b") == 1
    # A clock that was set back forgets nobody for long.
    clock.now -= 10_000
    assert beat(store, "c") == 1
    assert beat(store, "b") == 2
