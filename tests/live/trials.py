"""One kill while an operation goes on, and what came of it: the same for each of the kill matrices."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from tests import kills
from tests.live.cloud import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

BECOMES = {"launch": "running", "stop": "stopped", "start": "running", "terminate": "terminated"}
"""The state that shows a user that an operation was done."""


class Measures(dict[str, T], Generic[T]):
    """What was measured of each operation undisturbed, on this machine and at this time: when it is asked for first."""

    def __init__(self, measure: Callable[[str], T]) -> None:
        super().__init__()
        self._measure = measure

    def __missing__(self, name: str) -> T:
        return self.setdefault(name, self._measure(name))


class Asked(Protocol):
    """An operation."""

    def request(self) -> int:
        """Ask for it; how often it was asked again."""

    def reached(self) -> bool:
        """Whether a user sees it done."""


class Kill(Protocol):
    """Who kills: at `when` (monotonic seconds) it was, if it was at all."""

    when: float

    @property
    def killed(self) -> bool: ...


@dataclass
class Trial:
    """One kill while it goes on; times in seconds, `began` monotonic."""

    cell: kills.Cell
    seed: int
    length: float
    began: float
    killer: Kill
    retries: int = 0
    took: float = 0.0
    reached: bool = False
    wrong: list[str] = field(default_factory=lambda: ["not reached"])
    lost: list[str] = field(default_factory=list)
    silence: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"SEED={self.seed} {self.cell}"

    def keep(self, path: Path) -> None:
        """Add it to the results."""
        moment = max(0.0, self.killer.when - self.began) / self.length
        kills.keep(
            kills.Result(
                seed=self.seed,
                operation=self.cell.operation,
                process=self.cell.process,
                moment=round(min(moment, 1.0), 3),
                length=round(self.length, 2),
                took=round(self.took or time.monotonic() - self.began, 2),
                killed=self.killer.killed,
                reached=self.reached,
                once=not self.wrong,
                retries=self.retries,
                silence=self.silence,
                lost=self.lost,
            ),
            path,
        )


class Striker(threading.Thread):
    """Has `strike` kill something, and start it again, once `at` (monotonic seconds) has come."""

    def __init__(self, strike: Callable[[], None], at: float) -> None:
        super().__init__()
        self._strike, self._at = strike, at
        self.when = 0.0
        self.killed = False

    def run(self) -> None:
        time.sleep(max(0.0, self._at - time.monotonic()))
        self.when = time.monotonic()
        self._strike()
        self.killed = True


def struck(operation: Asked, strike: Callable[[], None], cell: kills.Cell, length: float, seed: int) -> Trial:
    """Ask for an operation, strike at the cell's moment of its `length`, and wait until it is done."""
    began = time.monotonic()
    killer = Striker(strike, began + cell.moment(seed) * length)
    killer.start()
    trial = Trial(cell, seed, length, began, killer)
    trial.retries = operation.request()
    killer.join(240)
    trial.reached = killer.killed and until_so(operation.reached, 180)
    trial.took = time.monotonic() - began
    return trial


def until_so(found: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether it comes to be."""
    try:
        return bool(until("so", found, seconds))
    except AssertionError:
        return False
