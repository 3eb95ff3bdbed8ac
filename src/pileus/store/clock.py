"""The wall clock of one process, and the steps in it: somebody, or NTP, may set it while the process runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 1.0
"""Seconds that the wall clock has to go back, beside the monotonic one, to count as set back."""


class Clock:
    """Called, it returns seconds since the epoch. `monotonic` is the monotonic clock, which nobody can set."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self.monotonic = monotonic
        self._ahead = wall() - monotonic()

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self._wall()

    def was_set_back(self) -> bool:
        """Whether the wall clock was set back since this was asked last."""
        before, self._ahead = self._ahead, self._wall() - self.monotonic()
        return self._ahead < before - STEP
