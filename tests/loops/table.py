"""Prints the table of docs/protocol.md: `python -m tests.loops.table [worlds]`."""

from __future__ import annotations

import logging
import sys
from collections import Counter

import structlog

from tests.loops.clouds import cloud
from tests.loops.lines import LINES
from tests.loops.world import run


def measure(name: str, worlds: int) -> tuple[int | None, Counter[int]]:
    """The first world that a line's absence breaks, and how often which promise broke first."""
    line, first = LINES[name], None
    broken: Counter[int] = Counter()
    cloud()
    with line.off():
        for seed in range(worlds):
            what = run(seed, line.temper)
            if what is not None:
                first = seed if first is None else first
                broken[int(what.partition(":")[0])] += 1
    return first, broken


def row(name: str, worlds: int) -> str:
    """One row, in Markdown."""
    first, broken = measure(name, worlds)
    promises = ", ".join(f"{promise} ({count})" for promise, count in broken.most_common())
    line = LINES[name]
    shown = "–" if first is None else str(first)
    return f"| {line.number} | {name}: {line.says} | {promises or '–'} | {broken.total()} | {shown} |"


def main() -> None:
    """Measure every line."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    sys.stdout.write(f"| line | switched off | promises broken | of {worlds} | first |\n|---|---|---|---|---|\n")
    for name in LINES:
        sys.stdout.write(row(name, worlds) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
