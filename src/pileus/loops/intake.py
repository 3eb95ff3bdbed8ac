"""Reports on their way into the store: what waits is taken in together, for each transaction waits its turn."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import structlog

from pileus.model import bounds
from pileus.model.errors import Unavailable
from pileus.model.threads import Thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pileus.bus.messages import Report

TOGETHER = 200
"""Reports of one transaction at most."""

QUIET = 0.25
"""Seconds for which reports without news wait for others, and so share a transaction."""

APART = 0.02
"""Seconds from the beginning of one such transaction to that of the next at least: one report alone never waits."""

log = structlog.get_logger()


class Intake:
    """A thread that gives what is `put` to `take`, many at a time, at most one of each host.

    Hosts take turns, and few reports of each wait: one that reports without end delays and drops its own alone.
    """

    def __init__(self, take: Callable[[Sequence[Report]], None]) -> None:
        self._take = take
        self._waiting: dict[str, deque[Report]] = {}
        self._has_news = False
        """Whether a report that waits is more than a repetition."""
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._thread = Thread("reports", self._take_in, self._ending)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is being taken in; hosts will repeat what waits."""
        self._ending.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(timeout=10)

    def put(self, report: Report) -> bool:
        """Have a report taken in; False when the oldest of its host had to make room. Never waits, never raises."""
        with self._changed:
            has_news = not _is_quiet(report) or len(self._waiting) >= TOGETHER
            if has_news or not self._waiting:
                self._changed.notify()
            self._has_news = self._has_news or has_news
            reports = self._waiting.setdefault(report.host, deque())
            room = len(reports) < bounds.WAITING_REPORTS.most
            if not room:
                reports.popleft()
            reports.append(report)
        return room

    def _take_in(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending.is_set())
            self._changed.wait_for(lambda: self._has_news or self._ending.is_set(), QUIET)
            self._has_news = False
        began, report_count = time.monotonic(), 0
        while report_count < TOGETHER and not self._ending.is_set() and (batch := self._next()):
            self._give(batch)
            report_count += len(batch)
        with self._changed:
            self._has_news = self._has_news or bool(self._waiting)
        time.sleep(max(0.0, began + APART - time.monotonic()))

    def _next(self) -> list[Report]:
        """One report of each host, of those that have waited for their turn longest."""
        with self._changed:
            batch: list[Report] = []
            for host in [*self._waiting][:TOGETHER]:
                reports = self._waiting.pop(host)
                batch.append(reports.popleft())
                if reports:
                    self._waiting[host] = reports  # behind all others
            return batch

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


def _is_quiet(report: Report) -> bool:
    """Whether a report says no more than that its host lives, or repeats all, which is not its first."""
    if report.answer or report.fault is not None or report.removals or report.pages > 1:
        return False
    named = report.bodies or report.removed or report.unknown
    return report.sequence > 1 if report.full else not named
