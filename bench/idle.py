"""What a cloud costs that does nothing: how long it took to serve, its memory, and its CPU time.

Each line compares with its goal in the place of a peer: 5 seconds, 250 MB for all processes together, 1 % of a core.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.server import cpu

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.cloud import LocalCloud

SECONDS = 30.0
"""For how long idle processes are watched."""

_SETTLED = 5.0


def run(cloud: LocalCloud) -> None:
    """Print the three lines, for a cloud that has just come up and has no instances."""
    _show("up-seconds", "s", cloud.up, 5.0)
    pids = cloud.processes()
    time.sleep(_SETTLED)
    before, begun = cpu(pids), time.monotonic()
    time.sleep(SECONDS)
    used = 100 * (cpu(pids) - before) / (time.monotonic() - begun)
    _show("idle-memory-mb", "MB", pss(pids), 250.0)
    _show("idle-cpu-percent", "%", used, 1.0)


def pss(pids: Sequence[int]) -> float:
    """Megabytes of memory that these processes hold, what they share with others divided among its holders."""
    texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(re.findall(r"^Pss: +(\d+) kB$", text, re.MULTILINE)[0]) for text in texts) / 1024


def _show(name: str, unit: str, ours: float, goal: float) -> None:
    print(f"{name} ratio={ours / goal:.2f} ours={ours:.2f}{unit} goal={goal:.2f}{unit}", flush=True)
