"""One host cannot keep the cloud closed, whatever it reports: it alone is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import structlog

from pileus.bus.messages import Ask, Report
from pileus.model.host import LOST_AFTER
from pileus.rules import comparison
from pileus.verbs import tag
from pileus.verbs.instance.launch import Launch
from tests.loops.test_recover import Process, copied, moved_to, replaced
from tests.loops.test_recover_mute import tagged_since

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.bus.messages import Order
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site

TICK = 5.0


def incarnation(site: Site) -> int:
    """The store's incarnation."""
    with site.store.read() as tx:
        return tx.meta("incarnation")


@pytest.mark.parametrize(
    "numbers",
    [
        {"incarnation": 2**63 - 1},
        {"incarnation": comparison.INCARNATIONS},
        {"opening": 2**63 - 1},
        {"highest": (2**40, 1)},
        {"highest": (1, 2**63 - 1)},
        {"forgotten": (2**40, 1)},
        {"forgotten": (-(2**63), 1)},
    ],
    ids=str,
)
def test_a_report_with_numbers_that_no_store_gave_closes_nothing(site: Site, numbers: dict[str, Any]) -> None:
    site.host("evil")
    process = Process(site).opened()
    before = incarnation(site)
    process.recovery.heard(Report(host="evil", epoch=10, sequence=1, **numbers))
    process.recovery.tick()
    process.hear("h1")
    assert process.recovery.opened
    assert incarnation(site) == before
    assert "no store can have given" in process.recovery.unanswered()["host evil"]


def test_a_host_that_is_left_out_is_logged_once(site: Site) -> None:
    process = Process(site).opened()
    with structlog.testing.capture_logs() as lines:
        for sequence in range(1, 6):
            process.recovery.heard(Report(host="evil", epoch=10, sequence=sequence, incarnation=2**63 - 1))
    assert [line["host"] for line in lines] == ["evil"]


def test_a_host_that_is_always_one_incarnation_ahead_and_never_answers_closes_the_store_once(site: Site) -> None:
    process = Process(site).opened()
    before, closed = incarnation(site), 0.0
    for sequence in range(1, 121):
        process.recovery.heard(Report(host="evil", epoch=10, sequence=sequence, incarnation=incarnation(site) + 1))
        process.recovery.tick()
        process.hear("h1")
        closed += 0.0 if process.recovery.opened else TICK
        site.now += TICK
    assert closed <= LOST_AFTER + TICK
    assert incarnation(site) == before + 2
    assert process.gate.admitted == {"h1"}


def test_a_host_that_answers_after_it_closed_the_store_may_close_it_again(site: Site) -> None:
    """A database is put in another's place twice while a process runs."""
    process = Process(site).opened()
    for _ in range(2):
        before = incarnation(site)
        site.agents["h1"].book.enter(before + 1)
        process.opened()
        assert incarnation(site) == before + 2


class Forgetful(Process):
    """A cloud's process with a host h2 that never answers with all that it holds."""

    def send(self, host: str, message: Order | Ask) -> None:
        """Carry a message to an agent, but no such question to h2."""
        if not (host == "h2" and isinstance(message, Ask) and message.orders):
            super().send(host, message)


def test_a_host_that_is_compared_and_does_not_answer_in_the_recovery_closes_the_store_once(
    site: Site, ann: Caller, tiny: Image
) -> None:
    """Its disk is full as soon as it is asked for all that it holds."""
    site.host("h2")
    _, old = tagged_since(site, ann, tiny, "h2")
    replaced(site, old)
    process = Forgetful(site)
    closed = 0.0
    for _ in range(100):
        process.recovery.tick()
        process.hear("h1")
        process.hear("h2")
        closed += 0.0 if process.recovery.opened else TICK
        site.now += TICK
    assert closed <= 2 * (LOST_AFTER + TICK)


class Liar(Process):
    """A cloud's process with a host `evil` that answers as `falsified` says."""

    def __init__(self, site: Site, falsified: Callable[[Report], Report]) -> None:
        self.falsified = falsified
        super().__init__(site)

    def send(self, host: str, message: Order | Ask) -> None:
        """Carry a message to an agent; what `evil` answers is falsified."""
        if host == "evil" and isinstance(message, Ask) and message.orders:
            for page in self.site.agents[host].answer(message):
                self.recovery.heard(self.falsified(page))
        else:
            super().send(host, message)


def _without_bodies(page: Report) -> Report:
    return msgspec.structs.replace(page, bodies={})


def _unmergeable(page: Report) -> Report:
    # A merge that meets it raises, as one with a fault of its own would.
    return msgspec.structs.replace(page, unknown=None)


@pytest.mark.parametrize("falsified", [_without_bodies, _unmergeable])
def test_a_host_whose_answer_cannot_be_merged_is_left_out_and_the_others_are_recovered(
    site: Site, ann: Caller, tiny: Image, falsified: Callable[[Report], Report]
) -> None:
    here = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    site.host("evil")
    with moved_to(site, "evil"):
        site.launch(ann, Launch(image=tiny.uuid))
        site.settle()
    old = copied(site)
    tag.put(ann, site.core, [("instance", here.uuid)], {"colour": "red"})
    site.settle()
    site.agents["evil"].book.forgotten = (1, 1)
    replaced(site, old)
    process = Liar(site, falsified)
    for _ in range(20):
        process.recovery.tick()
        process.hear("h1")
        process.hear("evil")
        site.now += TICK
    assert process.recovery.opened
    assert process.gate.admitted == {"h1"}
    assert site.row(here.uuid).tags == {"colour": "red"}
    assert "host evil" in process.recovery.unanswered()
