"""Credible reports: which incarnations, openings and revisions a host may say that it has seen.

A recovered store goes above all that hosts have seen: a number that nothing can follow would close it for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.rules.comparison import COUNTER, INCARNATIONS, LEAP

if TYPE_CHECKING:
    from pileus.bus.messages import Report

OPENING_LEAP = 1 << 42
"""Milliseconds by which a host may have seen a later opening than the store and its clock know of: 139 years."""

OPENINGS = 1 << 62
"""The last opening that a host may have seen: the store stores later ones in 63 bits."""


def credible(report: Report, incarnation: int, opening: int) -> bool:
    """Whether a store may have given what a host has seen. `incarnation` and `opening` are the latest ones known."""
    incarnations = (report.incarnation, report.highest[0], report.forgotten[0])
    counters = (report.highest[1], report.forgotten[1])
    return (
        all(0 <= number <= min(incarnation + LEAP, INCARNATIONS) for number in incarnations)
        and all(0 <= number < 1 << COUNTER for number in counters)
        and 0 <= report.opening <= min(opening + OPENING_LEAP, OPENINGS)
    )
