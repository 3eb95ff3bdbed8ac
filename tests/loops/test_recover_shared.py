"""A store that several processes look after: one that compared it keeps it open for all, and closes it for all."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.loops import recover, standing
from pileus.loops.report import absorb_all
from pileus.model.errors import Unavailable
from pileus.verbs.instance.launch import Launch
from tests.loops.test_recover import Process, empty, replaced

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site


class Shared(Process):
    """One of several."""

    def __init__(self, site: Site, silent: tuple[str, ...] = ()) -> None:
        # Whether it is closed is each process's own to know.
        site.core = dataclasses.replace(site.core, store=copy.copy(site.store))
        super().__init__(site, silent)
        self.recovery = recover.Recovery(self.core, self.gate, site.engine, shared=True)


def meta(site: Site, name: str) -> int:
    with site.store.read() as tx:
        return tx.meta(name)


def ahead(site: Site) -> None:
    """The host reports what this store never gave."""
    agent = site.agents["h1"]
    report = agent.report(full=True)
    newer = msgspec.structs.replace(report, highest=(1, 10_000), sequence=report.sequence + 1)
    agent.report = lambda **_: newer  # type: ignore[method-assign]


def test_who_starts_alone_compares_and_who_comes_while_another_keeps_it_open_need_not(site: Site) -> None:
    first = Shared(site)
    assert first.recovery.missing()
    first.opened()
    second = Shared(site)
    second.recovery.tick()
    assert second.recovery.opened
    assert not second.orders
    # What it sends a host waits until it has compared that one itself.
    assert not second.gate.admitted
    second.hear("h1")
    assert second.gate.admitted == {"h1"}
    # What the first one's loops have decided goes on to be taken.
    opening = meta(site, "opening")
    assert site.agents["h1"].book.start.opening == opening
    site.now += standing.STANDING + 1
    late = Shared(site, silent=("h1",))
    late.recovery.tick()
    assert not late.recovery.opened


def test_a_process_keeps_it_open_for_as_long_as_it_lives(site: Site) -> None:
    first = Shared(site).opened()
    for _ in range(10):
        site.now += standing.STANDING / 3
        first.recovery.tick()
        with site.store.read() as tx:
            assert standing.stands(tx, site.now)
    site.now -= 1_000_000  # a clock that is set back: what was written is no promise any more
    with site.store.read() as tx:
        assert not standing.stands(tx, site.now)
    first.recovery.tick()
    with site.store.read() as tx:
        assert standing.stands(tx, site.now)


def test_without_loops_nothing_is_taken_until_somebody_compared_and_all_is_from_then_on(site: Site) -> None:
    core = dataclasses.replace(site.core, store=copy.copy(site.store))
    awaited = standing.Awaited(core)
    assert "loops" in awaited.missing()
    with pytest.raises(Unavailable), core.store.write():
        pass
    Shared(site).opened()
    assert awaited.missing() == {}
    # Nobody needs loops to be heard: what is acknowledged waits in the store.
    site.now += 10 * standing.STANDING
    assert awaited.missing() == {}
    with core.store.write():
        pass


def test_what_one_process_finds_behind_is_closed_for_all_at_once(site: Site, ann: Caller, tiny: Image) -> None:
    site.launch(ann, Launch(image=tiny.uuid))
    site.settle()
    first, second = Shared(site).opened(), Shared(site)
    second.recovery.tick()
    assert second.recovery.opened
    incarnation = meta(site, "incarnation")
    real = site.agents["h1"].report
    ahead(site)
    second.silent = first.silent = {"h1"}  # answers take their time
    second.hear("h1")
    assert meta(site, "incarnation") == incarnation + 1
    # The first has not noticed, and yet none of its transactions is taken.
    assert not first.core.store.closed
    with pytest.raises(Unavailable), first.core.store.write():
        pass
    first.recovery.tick()
    assert first.recovery.missing()
    assert not first.gate.admitted
    site.agents["h1"].report = real  # type: ignore[method-assign]
    # Both ask, both are answered, and it is recovered once.
    for process in (first, second):
        process.silent = set()
    second.recovery.tick()
    assert second.recovery.opened
    assert second.recovery.outcome is not None
    first.recovery.tick()
    assert first.recovery.opened
    assert first.recovery.outcome is None
    assert meta(site, "incarnation") == incarnation + 1
    for process in (first, second):
        with process.core.store.write():
            pass


def test_two_that_find_it_behind_at_the_same_moment_begin_one_recovery(site: Site) -> None:
    first, second = Shared(site).opened(), Shared(site)
    second.recovery.tick()
    incarnation = meta(site, "incarnation")
    first.silent = second.silent = {"h1"}
    second.recovery._close((incarnation, meta(site, "counter")))
    first.recovery._close((incarnation, meta(site, "counter")))
    assert meta(site, "incarnation") == incarnation + 1


def test_a_store_without_hosts_is_opened_for_the_first_to_join_and_closed_if_there_were_some(site: Site) -> None:
    replaced(site, empty())
    first = Shared(site, silent=("h1",))
    first.recovery.tick()
    assert first.recovery.missing()
    site.now += recover.NOBODY
    first.recovery.tick()
    assert first.recovery.opened
    # The database was gone, and its host said nothing because the broker was away.
    incarnation = meta(site, "incarnation")
    ahead(site)
    first.hear("h1")
    assert first.recovery.missing()
    assert meta(site, "incarnation") > incarnation


def test_a_report_that_was_taken_in_by_one_process_is_old_for_the_other(site: Site) -> None:
    first, second = Shared(site).opened(), Shared(site)
    second.opened()
    report = site.agents["h1"].report(full=True)
    absorb_all(first.core, [report])
    before = meta(site, "counter")
    second.recovery.heard(report)
    assert meta(site, "counter") == before
