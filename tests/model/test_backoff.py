"""Waits between tries are spread, and bounded."""

from __future__ import annotations

from pileus.model.backoff import LONGEST, backoff


def test_tries_are_spread_and_bounded() -> None:
    for tries in range(200):
        assert 0.3 <= backoff(tries) <= LONGEST * 1.3
    assert len({backoff(3) for _ in range(20)}) > 1


def test_the_wait_doubles_from_the_shortest() -> None:
    for tries in range(6):
        wait = backoff(tries, 0.2, 100.0)
        assert 0.7 <= wait / (0.2 * 2**tries) <= 1.3
