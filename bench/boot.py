"""RunInstances to the first answer over ssh, against the same QEMU started by hand on a ready port: goal ≤ 1.10.

Both sides are asked in the same way, in turns; a line's ratio is the median of the rounds' own. The peer has the same
command line, network, metadata and CPU share (see `byhand`), and is reached straight from its network's namespace;
ours by its loopback address.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from bench import cloud, idle
from bench.answer import answered
from bench.byhand import Twin, started
from bench.idle import pss

BUDGET = 540.0
"""Seconds after which no further round begins."""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.boot", description=__doc__)
    parser.add_argument("--images", nargs="*", default=list(cloud.FLAVORS), choices=list(cloud.FLAVORS))
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each side, taken in turn; of debian-12, half")
    parser.add_argument("--together", type=int, default=10, help="how many are launched at once; 0: none")
    given = parser.parse_args()
    end = time.monotonic() + BUDGET
    with cloud.running() as ours, tempfile.TemporaryDirectory(prefix="pileus-bench-") as folder:
        idle.run(ours)
        for image in given.images:
            rounds = given.rounds if image == "tiny" else (given.rounds + 1) // 2
            Comparison(ours, image, 1, Path(folder)).run(f"boot-cold-{image}", rounds, end)
        if given.together and "tiny" in given.images:
            name = f"boot-cold-tiny-{given.together}"
            Comparison(ours, "tiny", given.together, Path(folder)).run(name, 2, end)


class Comparison:
    """`count` instances of `image` at once: of ours, and by hand; the first launch lends its ports to those."""

    def __init__(self, ours: cloud.LocalCloud, image: str, count: int, folder: Path) -> None:
        self._ours = ours
        self._image = image
        self._count = count
        made = ours.launch(image, count)
        answered([door for _, door in made])
        self._lenders = [ident for ident, _ in made]
        ours.end("StopInstances", self._lenders, "stopped")
        self._twins = [Twin(ours.layout, ours.uuid(ident), ours.key, folder) for ident in self._lenders]

    def run(self, name: str, rounds: int, end: float) -> None:
        """Print the line of the times (of the last to answer), and that of the memory of one guest."""
        pairs: list[tuple[float, float]] = []
        memory: list[tuple[float, float]] = []
        for _ in range(rounds):
            if pairs and time.monotonic() > end:
                break
            mine, other = self._mine(), self._other()
            pairs.append((mine[0], other[0]))
            memory.append((mine[1], other[1]))
        self._ours.end("TerminateInstances", self._lenders, "terminated")
        show(name, "s", pairs)
        show(f"{name}-memory", "MB", memory)

    def _mine(self) -> tuple[float, float]:
        """Seconds, and megabytes of each QEMU."""
        begun = time.monotonic()
        made = self._ours.launch(self._image, self._count)
        last = max(answered([door for _, door in made]))
        ids = [ident for ident, _ in made]
        memory = pss([self._ours.qemu(ident) for ident in ids]) / len(ids)
        self._ours.end("TerminateInstances", ids, "terminated")
        return last - begun, memory

    def _other(self) -> tuple[float, float]:
        with started(self._twins) as begun:
            last = max(answered([twin.door for twin in self._twins]))
            return last - begun, pss([twin.pid for twin in self._twins]) / len(self._twins)


def show(name: str, unit: str, pairs: list[tuple[float, float]]) -> None:
    """Print a line: the median of the ratios, and of both sides."""
    ratio = statistics.median(mine / other for mine, other in pairs)
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"{name} ratio={ratio:.2f} ours={mine:.2f}{unit} peer={other:.2f}{unit} rounds={len(pairs)}", flush=True)


if __name__ == "__main__":
    main()
