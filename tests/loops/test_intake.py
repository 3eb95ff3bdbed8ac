"""Reports on their way in: together, in order, none lost for another's sake, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from pileus.bus.messages import Report
from pileus.loops import intake as intake_module
from pileus.loops.intake import TOGETHER, Intake
from pileus.model import bounds
from pileus.model.errors import Unavailable
from tests.bus.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence


def said(host: str, sequence: int = 1) -> Report:
    return Report(host=host, epoch=1, sequence=sequence)


def test_hosts_take_turns_and_the_reports_of_each_stay_in_order() -> None:
    batches: list[list[tuple[str, int]]] = []
    intake = Intake(lambda batch: batches.append([(report.host, report.sequence) for report in batch]))
    for host, sequence in [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("a", 3), ("b", 2)]:
        assert intake.put(said(host, sequence))
    intake.start()
    until(lambda: len(batches) == 3)
    intake.stop()
    assert [sorted(batch) for batch in batches] == [
        [("a", 1), ("b", 1), ("c", 1)],
        [("a", 2), ("b", 2)],
        [("a", 3)],
    ]


def test_a_host_that_reports_without_end_drops_its_own_reports_alone() -> None:
    reports: list[Report] = []
    intake = Intake(reports.extend)
    put = [intake.put(said("flooding", number)) for number in range(1000)]
    assert put == [True] * bounds.WAITING_REPORTS.most + [False] * (1000 - bounds.WAITING_REPORTS.most)
    assert intake.put(said("honest"))
    intake.start()
    until(lambda: len(reports) == 1 + bounds.WAITING_REPORTS.most)
    intake.stop()
    assert said("honest") in reports[:2]
    assert [report.sequence for report in reports if report.host == "flooding"][-1] == 999, "the newest is kept"


def test_hosts_that_only_live_wait_for_company(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "QUIET", 60.0)
    batches: list[list[str]] = []
    intake = Intake(lambda batch: batches.append(sorted(report.host for report in batch)))
    intake.start()
    intake.put(said("a"))
    intake.put(said("b"))
    assert batches == []
    intake.put(Report(host="c", epoch=1, sequence=1, full=True))
    until(lambda: bool(batches))
    intake.stop()
    assert batches == [["a", "b", "c"]]


def test_what_waits_is_taken_in_together() -> None:
    batches: list[list[str]] = []
    goes, done = threading.Event(), threading.Event()

    def take(reports: Sequence[Report]) -> None:
        batches.append([report.host for report in reports])
        goes.wait(10)
        if sum(map(len, batches)) == 1 + 2 * TOGETHER:
            done.set()

    intake = Intake(take)
    intake.start()
    intake.put(said("first"))
    while not batches:
        time.sleep(0.001)
    for number in range(2 * TOGETHER):
        intake.put(said(f"h{number}"))
    goes.set()
    assert done.wait(10)
    intake.stop()
    assert [len(batch) for batch in batches] == [1, TOGETHER, TOGETHER]


def test_one_that_cannot_be_taken_in_takes_no_others_with_it() -> None:
    hosts: list[str] = []
    closed, done = threading.Event(), threading.Event()

    def take(reports: Sequence[Report]) -> None:
        if any(report.host == "bad" for report in reports):
            raise ValueError("bad")
        if reports[0].host == "closed":
            closed.set()
            raise Unavailable("not now", noun="store")
        hosts.extend(report.host for report in reports)
        if "last" in hosts:
            done.set()

    intake = Intake(take)
    for name in ("good", "bad", "better"):
        intake.put(said(name))
    intake.start()
    while "better" not in hosts:
        time.sleep(0.001)
    intake.put(said("closed"))
    assert closed.wait(10)
    intake.put(said("last"))
    assert done.wait(10)
    intake.stop()
    assert hosts[:2] == ["good", "better"]
