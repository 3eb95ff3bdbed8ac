"""Waits between tries of a step that fails: doubling, bounded, with jitter."""

from __future__ import annotations

import random

SHORTEST, LONGEST = 0.5, 30.0
"""Seconds between tries of a step for a noun."""

_jitter = random.SystemRandom()


def backoff(tries: int, shortest: float = SHORTEST, longest: float = LONGEST) -> float:
    """Return seconds until the next try: `shortest`, doubled `tries` times, at most `longest`, times 0.7 to 1.3."""
    return min(longest, shortest * 2.0 ** min(tries, 10)) * _jitter.uniform(0.7, 1.3)
