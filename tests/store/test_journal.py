"""The journal of a noun does not grow with what is asked of it, however fast, and however long it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model import bounds
from pileus.model.caller import SYSTEM
from pileus.store import journal
from tests.store.clock import flavor

if TYPE_CHECKING:
    from pileus.model.flavor import Flavor
    from pileus.store.store import Store
    from tests.store.clock import Clock

KEPT = bounds.JOURNAL.most
OPEN = bounds.OPEN_JOURNAL.most


def _old(name: str = "") -> Flavor:
    """A noun that was made long ago: the lines that a test writes do not tell of its creation."""
    return msgspec.structs.replace(flavor(name), created=5.0)


def test_the_newest_lines_of_a_noun_are_kept(store: Store) -> None:
    with store.write() as tx:
        busy, quiet = tx.add_all([_old("busy"), _old("quiet")])
        for number in range(KEPT + 50):
            tx.add_journal_line(SYSTEM, busy, f"verb{number}", outcome="done")
        for _ in range(3):
            tx.add_journal_line(SYSTEM, quiet, "verb", outcome="done")
    assert store.shorten_journal() == 50
    assert store.shorten_journal() == 0
    with store.read() as tx:
        assert [line.verb for line in tx.journal(busy.uuid, limit=None)] == [f"verb{n}" for n in range(50, KEPT + 50)]
        assert len(tx.journal(quiet.uuid)) == 3


@pytest.mark.parametrize("outcome", ["done", "open"])
def test_the_line_of_the_creation_is_kept(store: Store, clock: Clock, outcome: str) -> None:
    with store.write() as tx:
        noun = tx.add(flavor())
        tx.add_journal_line(SYSTEM, noun, "flavor.create", outcome=outcome)
    clock.now += 1
    for _ in range(2):
        with store.write() as tx:
            for number in range(KEPT + 50):
                tx.add_journal_line(SYSTEM, noun, f"verb{number}", outcome=outcome)
        store.shorten_journal()
        with store.read() as tx:
            verbs = [line.verb for line in tx.journal(noun.uuid, limit=None)]
        assert verbs == ["flavor.create", *(f"verb{number}" for number in range(50, KEPT + 50))]


def test_lines_are_found_by_number_project_and_request(store: Store) -> None:
    callers = [msgspec.structs.replace(SYSTEM, request=f"r{number}") for number in range(2)]
    with store.write() as tx:
        nouns = tx.add_all([flavor(project=project) for project in ("p", "p", "q")])
        for caller in callers:
            for noun in nouns:
                tx.add_journal_line(caller, noun, "verb")
    with store.read() as tx:
        every = tx.journal(limit=None)
        assert [(line.project, line.request) for line in every] == [
            (project, request) for request in ("r0", "r1") for project in ("p", "p", "q")
        ]
        assert tx.journal(project="p") == [line for line in every if line.project == "p"]
        assert tx.journal(project="p", limit=2) == [every[3], every[4]]
        assert tx.journal(project="p", limit=2, before=every[3].id) == every[:2]
        assert tx.journal(request="r1") == every[3:]
        assert tx.journal(request="r1", project="q") == every[5:]
        assert [tx.journal_line(line.id) for line in every] == every
        assert tx.journal_line(every[-1].id + 1) is None


def test_one_sweep_keeps_up_with_whatever_was_written_since_the_last(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant that tags in a loop writes more lines between two sweeps than any one page has."""
    monkeypatch.setattr(journal, "PAGE", 30)
    with store.write() as tx:
        nouns = tx.add_all([_old(f"f{number}") for number in range(3)])
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
        noun = tx.add(_old())
        for _ in range(KEPT + 100):
            tx.add_journal_line(SYSTEM, noun, "old", outcome="done")
    assert [store.shorten_journal() for _ in range(5)] == [30, 30, 30, 10, 0]


def test_a_line_that_is_open_stays_however_much_is_asked_afterwards(store: Store) -> None:
    with store.write() as tx:
        noun = tx.add(_old())
        tx.add_journal_line(SYSTEM, noun, "waits")
        for _ in range(3 * KEPT):
            tx.add_journal_line(SYSTEM, noun, "done", outcome="done")
    assert store.shorten_journal() == 2 * KEPT
    with store.read() as tx:
        assert [line.verb for line in tx.journal(noun.uuid, limit=None)] == ["waits", *["done"] * KEPT]


def test_of_what_nobody_can_do_the_newest_lines_wait(store: Store) -> None:
    """The reboots of an instance whose host is away all wait for it."""
    with store.write() as tx:
        noun = tx.add(_old())
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
        noun = tx.add(_old())
    for ahead in (0, year, 0):
        monkeypatch.setattr(store, "now", lambda ahead=ahead: now() + ahead)
        with store.write() as tx:
            for _ in range(KEPT):
                tx.add_journal_line(SYSTEM, noun, "tag", outcome="done")
    assert store.shorten_journal() == 2 * KEPT
