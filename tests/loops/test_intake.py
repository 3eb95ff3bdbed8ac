"""Reports on their way in: together, in order, none lost for another's sake, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pileus.bus.messages import Report
from pileus.loops.intake import TOGETHER, WAITING, Intake, batches
from pileus.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence


def said(host: str, sequence: int = 1) -> Report:
    return Report(host=host, epoch=1, sequence=sequence)


def test_a_list_has_each_host_once_and_its_reports_stay_in_order() -> None:
    told = [said("a", 1), said("b", 1), said("a", 2), said("c", 1), said("a", 3), said("b", 2)]
    found = batches(told)
    assert [[(one.host, one.sequence) for one in batch] for batch in found] == [
        [("a", 1), ("b", 1), ("c", 1)],
        [("a", 2), ("b", 2)],
        [("a", 3)],
    ]
    assert batches([]) == []


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


def test_who_puts_is_let_go_when_it_ends() -> None:
    intake = Intake(lambda _: None)
    for number in range(WAITING):
        intake.put(said(f"h{number}"))
    waits = threading.Thread(target=intake.put, args=(said("more"),), daemon=True)
    waits.start()
    intake.stop()
    waits.join(10)
    assert not waits.is_alive()
