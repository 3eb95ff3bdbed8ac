"""Reports on their way into the store: what waits is taken in together, for each transaction waits its turn."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING

import structlog

from pileus.model.errors import Unavailable
from pileus.model.threads import Thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pileus.bus.messages import Report

TOGETHER = 200
"""Reports of one transaction at most."""

APART = 0.02
"""Seconds from the beginning of one such transaction to that of the next at least: one report alone never waits."""

WAITING = 2000
"""Reports that wait here; the bus keeps the others meanwhile."""

log = structlog.get_logger()


class Intake:
    """A thread that gives what is `put` to `take`, many at a time, at most one of each host."""

    def __init__(self, take: Callable[[Sequence[Report]], None]) -> None:
        self._take = take
        self._queue: queue.Queue[Report | None] = queue.Queue(WAITING)
        self._ending = threading.Event()
        self._thread = Thread("reports", self._take_in, self._ending)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is being taken in; hosts will repeat what waits."""
        self._ending.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(timeout=10)

    def put(self, report: Report) -> None:
        """Have a report taken in; waits while too many do. Never raises."""
        while not self._ending.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(report, timeout=1.0)
                return

    def _take_in(self) -> None:
        first = self._queue.get()
        if first is not None:
            began = time.monotonic()
            for batch in batches([first, *self._waiting()]):
                self._give(batch)
            time.sleep(max(0.0, began + APART - time.monotonic()))

    def _waiting(self) -> list[Report]:
        found: list[Report] = []
        while len(found) < TOGETHER - 1:
            try:
                report = self._queue.get_nowait()
            except queue.Empty:
                break
            if report is None:
                break
            found.append(report)
        return found

    def _give(self, batch: Sequence[Report]) -> None:
        try:
            self._take(batch)
        except Unavailable as error:
            log.warning("reports not taken in", hosts=len(batch), reason=error.message)
        except Exception:
            if len(batch) == 1:
                # The host will say it again: a report that cannot be taken in must not end the intake.
                log.exception("report not taken in", host=batch[0].host)
                return
            # One that cannot be taken in takes no others with it.
            for report in batch:
                self._give([report])


def batches(reports: Sequence[Report]) -> list[list[Report]]:
    """The reports in as few lists as have each host once at most; those of one host stay in order."""
    found: list[list[Report]] = []
    times: dict[str, int] = {}
    for report in reports:
        number = times[report.host] = times.get(report.host, -1) + 1
        if number == len(found):
            found.append([])
        found[number].append(report)
    return found
