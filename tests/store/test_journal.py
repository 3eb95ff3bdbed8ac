"""The journal of a noun that lives for years does not grow with what is asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model import bounds
from pileus.model.caller import SYSTEM
from pileus.store import journal
from tests.store.clock import Clock, flavor

if TYPE_CHECKING:
    from pileus.store.store import Store

KEPT = bounds.JOURNAL.most


def swept(store: Store) -> int:
    """How many lines two rounds through the journal erase."""
    with store.read() as tx:
        pages = len(tx.journal(limit=None)) // journal.PAGE + 1
    return sum(store.shorten_journal() for _ in range(2 * pages + 2))


def test_the_newest_lines_of_a_noun_are_kept(store: Store, clock: Clock) -> None:
    with store.write() as tx:
        busy, quiet = tx.add_all([flavor("busy"), flavor("quiet")])
        for number in range(KEPT + 50):
            tx.record(SYSTEM, busy, f"verb{number}", outcome="done")
        for _ in range(3):
            tx.record(SYSTEM, quiet, "verb", outcome="done")
    assert swept(store) == 0  # they are of today
    clock.now += journal.AGE + 1
    assert swept(store) == 50
    assert swept(store) == 0
    with store.read() as tx:
        assert [line.verb for line in tx.journal(busy.uuid, limit=None)] == [f"verb{n}" for n in range(50, KEPT + 50)]
        assert len(tx.journal(quiet.uuid)) == 3


def test_open_lines_and_young_ones_stay(store: Store, clock: Clock) -> None:
    with store.write() as tx:
        noun = tx.add(flavor())
        tx.record(SYSTEM, noun, "waits")
        for _ in range(KEPT):
            tx.record(SYSTEM, noun, "old", outcome="done")
    clock.now += journal.AGE + 1
    with store.write() as tx:
        for _ in range(KEPT):
            tx.record(SYSTEM, noun, "young", outcome="done")
    assert swept(store) == KEPT
    with store.read() as tx:
        assert [line.verb for line in tx.journal(noun.uuid, limit=None)] == ["waits", *["young"] * KEPT]


def test_one_sweep_does_a_bounded_part_of_a_long_history(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PAGE", 30)
    monkeypatch.setattr(journal, "_PAGE", journal._PAGE.limit(30))
    with store.write() as tx:
        noun = tx.add(flavor())
        for _ in range(KEPT + 100):
            tx.record(SYSTEM, noun, "old", outcome="done")
    clock.now += journal.AGE + 1
    assert [store.shorten_journal() for _ in range(5)] == [30, 30, 30, 10, 0]


def test_a_line_written_while_the_clock_was_ahead_does_not_end_the_sweep(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PAGE", 30)
    monkeypatch.setattr(journal, "_PAGE", journal._PAGE.limit(30))
    year = 365 * 24 * 3600
    with store.write() as tx:
        noun, quiet = tx.add_all([flavor("busy"), flavor("quiet")])
        for _ in range(29):
            tx.record(SYSTEM, quiet, "kept", outcome="done")
    clock.now += year
    with store.write() as tx:
        tx.record(SYSTEM, quiet, "ahead", outcome="done")
    clock.now -= year
    with store.write() as tx:
        for _ in range(KEPT + 100):
            tx.record(SYSTEM, noun, "old", outcome="done")
    clock.now += journal.AGE + 1
    assert swept(store) == 100
