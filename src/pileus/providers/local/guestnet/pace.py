"""A rate for each of many callers: how long a caller's next request has to wait."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Generic, TypeVar

Caller = TypeVar("Caller", bound=Hashable)


class Pace(Generic[Caller]):
    """Each caller may make `rate` requests a second, and `burst` seconds' worth of them at once. Not for threads.

    `clock` gives seconds that never go back.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._gap = 1 / rate
        self._burst = burst
        self._clock = clock
        self._due: dict[Caller, float] = {}

    def delay(self, caller: Caller) -> float:
        """Count a request of `caller`; the seconds that it has to wait, 0 within the rate."""
        now = self._clock()
        due = max(self._due.get(caller, 0.0), now) + self._gap
        self._due[caller] = due
        return max(0.0, due - now - self._burst)

    def keep(self, callers: Collection[Caller]) -> None:
        """Forget all other callers."""
        self._due = {caller: due for caller, due in self._due.items() if caller in callers}
