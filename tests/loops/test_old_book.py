"""A host whose book is an old copy: it is believed from its first answer on, and holds nothing that was terminated."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from pileus.host.agent import Agent
from pileus.model.host import Host
from pileus.model.instance import State, state
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests.loops.test_recover import Process

if TYPE_CHECKING:
    from pileus.bus.messages import Ask, Order
    from pileus.host.book import Book
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site


def kept(book: Book) -> Book:
    """A copy of a book."""
    aside = copy.copy(book)
    aside.entries, aside.removed = dict(book.entries), dict(book.removed)
    return aside


def restart(site: Site, book: Book) -> Agent:
    """Start the host's agent again, over `book` and the bodies that there are."""
    old = site.agents["h1"]
    site.agents["h1"] = Agent("h1", old.provider, book, zone="us-east-1a", now=lambda: site.now)
    return site.agents["h1"]


def answering(site: Site) -> None:
    """Have the host heed what it is asked without a call."""
    send = site.send

    def both(host: str, message: Order | Ask) -> None:
        send(host, message)
        if not hasattr(message, "uuid"):
            site.agents[host].heed(message)

    site.send = both  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("lost", [1, 5])
def test_the_first_answer_of_a_host_that_lost_starts_is_taken_in(site: Site, lost: int) -> None:
    old = kept(site.agents["h1"].book)
    for _ in range(lost):
        restart(site, site.agents["h1"].book)
        site.hear("h1")
    restart(site, old)
    process = Process(site)
    last_heard = host(site)
    process.opened()
    assert host(site) > last_heard


def test_a_host_that_lost_starts_while_the_cloud_runs_is_told_how_far_it_had_counted(site: Site) -> None:
    answering(site)
    old = kept(site.agents["h1"].book)
    for _ in range(3):
        restart(site, site.agents["h1"].book)
        site.hear("h1")
    agent, last_heard = restart(site, old), host(site)
    site.hear("h1")
    site.hear("h1")
    assert host(site) > last_heard
    assert agent.book.start.epoch == last_heard[0] + 1


def test_reports_that_come_late_begin_no_epoch(site: Site) -> None:
    answering(site)
    agent = site.agents["h1"]
    epoch, late = agent.book.start.epoch, agent.report()
    site.hear("h1")
    from_before = host(site)
    agent.report = lambda **_: late  # type: ignore[method-assign]
    site.hear("h1")
    assert (agent.book.start.epoch, host(site)) == (epoch, from_before)


def test_what_was_terminated_is_removed_from_a_host_that_holds_its_order_again(
    site: Site, ann: Caller, tiny: Image
) -> None:
    answering(site)
    lives, goes = site.launch(ann, Launch(image=tiny.uuid, least=2, most=2))
    site.settle()
    old = kept(site.agents["h1"].book)
    power.terminate(ann, site.core, [goes.uuid])
    site.settle()
    comes = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    agent = restart(site, old)
    for uuid in list(agent.book.entries):
        agent.step(uuid)
    bodies = agent.provider.bodies.keys()  # type: ignore[attr-defined]
    site.settle()
    assert {uuid for kind, uuid in bodies if kind == "instance"} == {lives.uuid, comes.uuid}
    assert agent.book.removed.keys() >= {goes.uuid}
    assert [state(site.row(row.uuid)) for row in (lives, comes)] == [State.RUNNING, State.RUNNING]


def test_what_a_guest_ended_stays_down_though_its_host_forgot(site: Site, ann: Caller, tiny: Image) -> None:
    answering(site)
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    power.reboot(ann, site.core, [row.uuid])
    site.settle()
    old = kept(site.agents["h1"].book)
    power.reboot(ann, site.core, [row.uuid])
    site.settle()
    site.agents["h1"].provider.end_guest(row.uuid)  # type: ignore[attr-defined]
    site.settle()
    assert state(site.row(row.uuid)) is State.STOPPED
    restart(site, old)
    site.settle()
    assert state(site.row(row.uuid)) is State.STOPPED


def host(site: Site) -> tuple[int, int]:
    """Epoch and sequence of the last report that was taken in."""
    with site.store.read() as tx:
        (uuid,) = tx.holders("host", ["h1"]).values()
        seen = tx.need(Host, uuid).seen
    return seen.epoch, seen.sequence
