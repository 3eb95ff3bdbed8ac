"""Waiting for what other threads do: a condition is polled, and there is a bound only for when it never comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def until(condition: Callable[[], object], bound: float = 20.0) -> None:
    """Return once `condition` holds; AssertionError when it does not within `bound` seconds."""
    end = time.monotonic() + bound
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)
