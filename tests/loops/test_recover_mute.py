"""A host that reports and cannot answer, and one that says nothing at all, keep a cloud closed for 30 s at most."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from pileus.bus.messages import Ask
from pileus.loops.recover import GRACE
from pileus.model.errors import Unavailable
from pileus.model.host import LOST_AFTER
from pileus.model.instance import State, state
from pileus.rules import doctor
from pileus.store.clock import Clock
from pileus.verbs import host as hosts
from pileus.verbs import tag
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests.loops.test_recover import Process, copied, empty, moved_to, replaced

if TYPE_CHECKING:
    from pileus.bus.messages import Order
    from pileus.host.book import Start
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.instance import Instance
    from tests import databases
    from tests.site import Site

TICK = 5.0


def tagged_since(site: Site, ann: Caller, tiny: Image, host: str) -> tuple[Instance, databases.Image]:
    """A new instance on `host`, and a copy of the database from before it was tagged."""
    with moved_to(site, host):
        (instance,) = site.launch(ann, Launch(image=tiny.uuid))
        site.settle()
        old = copied(site)
        tag.put(ann, site.core, [("instance", instance.uuid)], {"colour": "red"})
        site.settle()
    return instance, old


class Slow(Process):
    """A cloud's process with a host h2 that works at one question at a time, `delay` seconds long."""

    def __init__(self, site: Site, delay: float) -> None:
        self.delay = delay
        self.asked: list[Ask] = []
        self.ready = 0.0
        super().__init__(site)

    def send(self, host: str, message: Order | Ask) -> None:
        """Carry a message to an agent; a question to h2 waits in line."""
        if host != "h2" or not isinstance(message, Ask):
            super().send(host, message)
        elif message.call not in {question.call for question in self.asked}:
            self.ready = self.ready if self.asked else self.site.now + self.delay
            self.asked.append(message)

    def deliver(self) -> None:
        """Have h2 answer what it has worked at for long enough."""
        while self.asked and self.ready <= self.site.now:
            pages = self.site.agents["h2"].answer(self.asked.pop(0))
            self.ready = self.site.now + self.delay
            for page in pages:
                self.recovery.heard(page)


def fill(site: Site, host: str) -> None:
    """The host's disk takes nothing more: its book can be read, and not written."""

    def full(start: Start) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(start.epoch))

    site.agents[host].book._write_start = full  # type: ignore[method-assign]


def make_room(site: Site, host: str) -> None:
    """The host's disk has room again."""
    del site.agents[host].book._write_start


def waited(process: Process, *reporting: str) -> float:
    """Seconds until the store is open, in which these hosts report every five."""
    began = process.site.now
    while not process.recovery.opened:
        process.recovery.tick()
        for host in reporting:
            process.hear(host)
        process.site.now += TICK
        assert process.site.now - began < 4 * LOST_AFTER, process.recovery.missing()
    return process.site.now - began - TICK


def test_a_host_whose_disk_is_full_does_not_keep_the_cloud_closed(site: Site, ann: Caller, tiny: Image) -> None:
    """Its instances wait for it; the others are looked after, and it is recovered once it can write."""
    site.host("h2")
    here = site.launch(ann, Launch(image=tiny.uuid))[0]
    away, old = tagged_since(site, ann, tiny, "h2")
    fill(site, "h2")
    replaced(site, old)
    process = Process(site)
    assert waited(process, "h1", "h2") <= LOST_AFTER + TICK
    assert process.gate.admitted == {"h1"}
    assert site.row(away.uuid).assigned.unheard is not None
    why = process.recovery.unanswered()
    assert list(why) == ["host h2"]
    assert "No space left on device" in why["host h2"]
    with site.store.read() as tx:
        assert ("HostUnheard", "h2") in {(each.code, each.ident) for each in doctor.view(tx, site.now).findings}
    power.stop(ann, process.core, [here.uuid])
    agent = site.agents.pop("h2")
    site.settle()
    assert state(site.row(here.uuid)) is State.STOPPED
    site.agents["h2"] = agent
    make_room(site, "h2")
    process.hear("h2")
    waited(process, "h1", "h2")
    assert process.recovery.unanswered() == {}
    site.settle()
    assert process.gate.admitted == {"h1", "h2"}
    assert site.row(away.uuid).assigned.unheard is None
    assert site.row(away.uuid).tags == {"colour": "red"}
    assert state(site.row(away.uuid)) is State.RUNNING


def test_a_host_that_says_why_it_does_not_answer_is_named_with_that_while_it_is_waited_for(site: Site) -> None:
    fill(site, "h1")
    process = Process(site)
    process.recovery.tick()
    process.hear("h1")
    process.hear("h1")
    assert "No space left on device" in process.recovery.missing()["host h1"]


@pytest.mark.parametrize("what", ["copy", "gone"])
def test_a_cloud_whose_only_host_hangs_opens_after_30_seconds(site: Site, ann: Caller, tiny: Image, what: str) -> None:
    """Though its database is an old copy, or is gone: the network engine knows that there is a host."""
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    old = copied(site) if what == "copy" else empty()
    tag.put(ann, site.core, [("instance", row.uuid)], {"colour": "red"})
    site.settle()
    replaced(site, old)
    process = Process(site, silent=("h1",))
    assert waited(process) <= LOST_AFTER + TICK
    assert process.gate.admitted == frozenset()
    process.silent.clear()
    process.hear("h1")
    waited(process, "h1")
    site.settle()
    assert site.row(row.uuid).tags == {"colour": "red"}
    assert state(site.row(row.uuid)) is State.RUNNING


def test_a_store_that_no_host_was_ever_known_to_waits_for_the_first(site: Site) -> None:
    replaced(site, empty())
    site.engine.specs.clear()
    site.engine.bodies.clear()
    process = Process(site, silent=("h1",))
    for _ in range(20):
        process.recovery.tick()
        site.now += TICK
    assert not process.recovery.opened
    with pytest.raises(Unavailable):
        tag.put(site.caller(), process.core, [("instance", "none")], {"a": "b"})


def test_a_report_that_shows_more_than_the_store_gave_begins_the_recovery_without_an_answer(
    site: Site, ann: Caller, tiny: Image
) -> None:
    row = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    old = copied(site)
    power.stop(ann, site.core, [row.uuid])
    site.settle()
    fill(site, "h1")
    replaced(site, old)
    process = Process(site)
    process.recovery.tick()
    process.hear("h1")
    process.recovery.tick()
    assert "recovery" in process.recovery.missing()
    site.now += GRACE
    make_room(site, "h1")
    process.hear("h1")
    assert process.recovery.opened
    site.settle()
    assert state(site.row(row.uuid)) is State.STOPPED


@pytest.mark.parametrize("reports", [True, False])
@pytest.mark.parametrize("delay", [35.0, 45.0, 100.0])
def test_a_host_whose_answer_takes_long_is_recovered_at_the_second_one(
    site: Site, ann: Caller, tiny: Image, delay: float, *, reports: bool
) -> None:
    """Whether or not it reports while it works at the question."""
    site.host("h2")
    away, old = tagged_since(site, ann, tiny, "h2")
    replaced(site, old)
    process = Slow(site, delay)
    closed = 0.0
    for _ in range(200):
        process.recovery.tick()
        process.deliver()
        process.hear("h1")
        if reports or not process.asked:
            process.hear("h2")
        closed += 0.0 if process.recovery.opened else TICK
        site.now += TICK
    assert closed <= LOST_AFTER + 2 * delay + 2 * TICK
    assert process.gate.admitted == {"h1", "h2"}
    assert site.row(away.uuid).tags == {"colour": "red"}


@pytest.mark.parametrize("reports", [True, False])
def test_a_clock_that_is_set_back_makes_nobody_wait_longer(site: Site, *, reports: bool) -> None:
    site.host("h2")
    Process(site).opened()
    site.settle()
    fill(site, "h2")
    wall = [site.now]
    site.store.now = Clock(lambda: wall[0], lambda: site.now)
    process = Process(site)
    process.recovery.tick()
    process.hear("h1")
    wall[0] -= 3600
    assert waited(process, "h1", *(["h2"] if reports else [])) <= LOST_AFTER + TICK


def test_a_host_that_was_removed_or_has_died_is_not_named(site: Site) -> None:
    """Its silence is named elsewhere; once it is removed, nobody waits for it."""
    site.host("h2")
    Process(site).opened()
    site.settle()
    fill(site, "h2")
    process = Process(site)
    waited(process, "h1", "h2")
    assert list(process.recovery.unanswered()) == ["host h2"]
    site.now += LOST_AFTER
    process.hear("h1")
    assert process.recovery.unanswered() == {}
    process.hear("h2")
    assert list(process.recovery.unanswered()) == ["host h2"]
    hosts.remove(site.caller("admin", admin=True), process.core, "h2", forget=True)
    assert process.recovery.unanswered() == {}
