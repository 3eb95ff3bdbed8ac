"""The journal of a noun does not grow with what is asked of it, however fast, and however long it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model import bounds
from pileus.model.caller import SYSTEM
from pileus.store import journal
from tests.store.clock import flavor

if TYPE_CHECKING:
    import pytest

    from pileus.store.store import Store

KEPT = bounds.JOURNAL.most
OPEN = bounds.OPEN_JOURNAL.most


def test_the_newest_lines_of_a_noun_are_kept(store: Store) -> None:
    with store.write() as tx:
        busy, quiet = tx.add_all([flavor("busy"), flavor("quiet")])
        for number in range(KEPT + 50):
            tx.add_journal_line(SYSTEM, busy, f"verb{number}", outcome="done")
        for _ in range(3):
            tx.add_journal_line(SYSTEM, quiet, "verb", outcome="done")
    assert store.shorten_journal() == 50
    assert store.shorten_journal() == 0
    with store.read() as tx:
        assert [line.verb for line in tx.journal(busy.uuid, limit=None)] == [f"verb{n}" for n in range(50, KEPT + 50)]
        assert len(tx.journal(quiet.uuid)) == 3


def test_one_sweep_keeps_up_with_whatever_was_written_since_the_last(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant that tags in a loop writes more lines between two sweeps than any one page has."""
    monkeypatch.setattr(journal, "PAGE", 30)
    with store.write() as tx:
        nouns = tx.add_all([flavor(f"f{number}") for number in range(3)])
    for _ in range(4):
        with store.write() as tx:
            for _ in range(KEPT):
                tx.add_journal_lines(SYSTEM, nouns, "tag", outcome="done")
        store.shorten_journal()
        with store.read() as tx:
            assert {len(tx.journal(noun.uuid, limit=None)) for noun in nouns} == {KEPT}


def test_a_sweep_ends_in_time_and_the_next_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PAGE", 30)
    monkeypatch.setattr(journal, "LONGEST", 0.0)
    with store.write() as tx:
        noun = tx.add(flavor())
        for _ in range(KEPT + 100):
            tx.add_journal_line(SYSTEM, noun, "old", outcome="done")
    assert [store.shorten_journal() for _ in range(5)] == [30, 30, 30, 10, 0]


def test_a_line_that_is_open_stays_however_much_is_asked_afterwards(store: Store) -> None:
    with store.write() as tx:
        noun = tx.add(flavor())
        tx.add_journal_line(SYSTEM, noun, "waits")
        for _ in range(3 * KEPT):
            tx.add_journal_line(SYSTEM, noun, "done", outcome="done")
    assert store.shorten_journal() == 2 * KEPT
    with store.read() as tx:
        assert [line.verb for line in tx.journal(noun.uuid, limit=None)] == ["waits", *["done"] * KEPT]


def test_of_what_nobody_can_do_the_newest_lines_wait(store: Store) -> None:
    """The reboots of an instance whose host is away all wait for it."""
    with store.write() as tx:
        noun = tx.add(flavor())
        for number in range(OPEN + 50):
            tx.add_journal_line(SYSTEM, noun, "reboot", goal=number)
    assert store.shorten_journal() == 50
    with store.read() as tx:
        assert [line.goal for line in tx.unsettled([noun.uuid])] == list(range(50, OPEN + 50))


def test_times_count_for_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was ahead for a while neither saves lines nor ends the sweep."""
    year = 365 * 24 * 3600
    now = store.now
    with store.write() as tx:
        noun = tx.add(flavor())
    for ahead in (0, year, 0):
        monkeypatch.setattr(store, "now", lambda ahead=ahead: now() + ahead)
        with store.write() as tx:
            for _ in range(KEPT):
                tx.add_journal_line(SYSTEM, noun, "tag", outcome="done")
    assert store.shorten_journal() == 2 * KEPT
