"""Reports on their way in: together, in order, none lost for another's sake, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pileus.bus.messages import Report
from pileus.loops.intake import TOGETHER, Intake
from pileus.model import bounds
from pileus.model.errors import Unavailable
from tests.bus.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence


def said(host: str, sequence: int = 1) -> Report:
    return Report(host=host, epoch=1, sequence=sequence)


def test_hosts_take_turns_and_the_reports_of_each_stay_in_order() -> None:
    taken: list[list[tuple[str, int]]] = []
    intake = Intake(lambda batch: taken.append([(one.host, one.sequence) for one in batch]))
    for host, sequence in [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("a", 3), ("b", 2)]:
        assert intake.put(said(host, sequence))
    intake.start()
    until(lambda: len(taken) == 3)
    intake.stop()
    assert [sorted(batch) for batch in taken] == [
        [("a", 1), ("b", 1), ("c", 1)],
        [("a", 2), ("b", 2)],
        [("a", 3)],
    ]


def test_a_host_that_reports_without_end_drops_its_own_reports_alone() -> None:
    taken: list[Report] = []
    intake = Intake(taken.extend)
    put = [intake.put(said("flooding", number)) for number in range(1000)]
    assert put == [True] * bounds.WAITING_REPORTS.most + [False] * (1000 - bounds.WAITING_REPORTS.most)
    assert intake.put(said("honest"))
    intake.start()
    until(lambda: len(taken) == 1 + bounds.WAITING_REPORTS.most)
    intake.stop()
    assert said("honest") in taken[:2]
    assert [one.sequence for one in taken if one.host == "flooding"][-1] == 999, "the newest is kept"


def test_what_waits_is_taken_in_together() -> None:
    taken: list[list[str]] = []
    goes, done = threading.Event(), threading.Event()

    def take(told: Sequence[Report]) -> None:
        taken.append([one.host for one in told])
        goes.wait(10)
        if sum(map(len, taken)) == 1 + 2 * TOGETHER:
            done.set()

    intake = Intake(take)
    intake.start()
    intake.put(said("first"))
    while not taken:
        time.sleep(0.001)
    for number in range(2 * TOGETHER):
        intake.put(said(f"h{number}"))
    goes.set()
    assert done.wait(10)
    intake.stop()
    assert [len(batch) for batch in taken] == [1, TOGETHER, TOGETHER]


def test_one_that_cannot_be_taken_in_takes_no_others_with_it() -> None:
    taken: list[str] = []
    closed, done = threading.Event(), threading.Event()

    def take(told: Sequence[Report]) -> None:
        if any(one.host == "bad" for one in told):
            raise ValueError("bad")
        if told[0].host == "closed":
            closed.set()
            raise Unavailable("not now", noun="store")
        taken.extend(one.host for one in told)
        if "last" in taken:
            done.set()

    intake = Intake(take)
    for name in ("good", "bad", "better"):
        intake.put(said(name))
    intake.start()
    while "better" not in taken:
        time.sleep(0.001)
    intake.put(said("closed"))
    assert closed.wait(10)
    intake.put(said("last"))
    assert done.wait(10)
    intake.stop()
    assert taken[:2] == ["good", "better"]
