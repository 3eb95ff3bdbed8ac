"""RunInstances to the first answer over ssh, against the same QEMU started by hand on a ready port: goal ≤ 1.10.

Both sides are asked in the same way, in turns; a line's ratio is the median of the rounds' own. The peer has the same
command line, network, metadata and CPU share (see `byhand`), and is reached straight from its network's namespace;
ours by its loopback address. Boot by restore is compared with our own boot: goals ≤ 0.55 (tiny) and ≤ 0.25 (debian-12).
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench import cloud, idle
from bench.answer import SshEndpoint, arrivals
from bench.byhand import Twin, started
from bench.idle import pss
from pileus.providers.local.machine.restore.template import ABOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BUDGET = 480.0
"""Seconds after which nothing further is begun."""

TEMPLATE = 150.0
"""Seconds within which a cloud that has to restore guests makes what they are copied from."""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.boot", description=__doc__)
    parser.add_argument("--images", nargs="*", default=list(cloud.FLAVORS), choices=list(cloud.FLAVORS))
    parser.add_argument("--rounds", type=int, default=4, help="rounds of each side, taken in turn; of debian-12, half")
    parser.add_argument("--together", type=int, default=10, help="how many tiny ones are launched at once; 0: none")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--no-restore", action="store_true", help="leave boot by restore out")
    kinds.add_argument("--restore-only", action="store_true", help="leave all else out")
    given = parser.parse_args()
    end = time.monotonic() + BUDGET
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaves no cloud behind
    with cloud.running() as ours:
        parts: list[Callable[[], None]] = []
        rounds = {image: given.rounds if image == "tiny" else given.rounds // 2 for image in given.images}
        if not given.restore_only:
            parts = [partial(idle.run, ours), *(partial(cold, ours, image, 1, rounds[image], end) for image in rounds)]
            if "tiny" in rounds and given.together:
                # All that so many boots cost is one round's; the machine is at its limit in it for a minute.
                parts.insert(2, partial(cold, ours, "tiny", given.together, 1, end))
        if not given.no_restore:
            parts += [partial(restore, ours, image, rounds[image], end) for image in rounds]
        done = [tried(part, end) for part in parts]
    if not all(done):
        sys.exit(1)


def tried(part: Callable[[], None], end: float) -> bool:
    """Whether `part` printed its lines: it was begun in time, and went well."""
    if time.monotonic() > end:
        print("left out for want of time: one line or more", file=sys.stderr)
        return False
    try:
        part()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return False
    return True


def cold(ours: cloud.LocalCloud, image: str, count: int, rounds: int, end: float) -> None:
    """Compare `count` launches at once with QEMU alone."""
    with by_hand(ours, image, count) as peer:
        name = f"boot-cold-{image}" + (f"-{count}" if count > 1 else "")
        compare(name, lambda: launched(ours, image, count), peer, rounds, end, many=count > 1)


def restore(booting: cloud.LocalCloud, image: str, rounds: int, end: float) -> None:
    """Compare a cloud that restores with one that boots. Raises RuntimeError where guests are not restored in time."""
    with cloud.running({"PILEUS_BOOT_RESTORE": "true"}) as ours:
        if not restores(ours, image):
            template_made(ours)
            if not restores(ours, image):
                raise RuntimeError(f"boot-restore-{image}: guests boot as ever")
        compare(f"boot-restore-{image}", lambda: launched(ours, image), lambda: launched(booting, image), rounds, end)


def template_made(ours: cloud.LocalCloud) -> None:
    """Wait for what guests are copied from, which is made while nothing starts. Raises RuntimeError."""
    before = time.time()
    while not any(path.stat().st_mtime > before for path in ours.layout.templates.glob(f"[!.]*/{ABOUT}")):
        if time.time() - before > TEMPLATE:
            raise RuntimeError(f"no template was made within {TEMPLATE:.0f} s")
        time.sleep(1)


def restores(ours: cloud.LocalCloud, image: str) -> bool:
    """Whether a guest that is launched now comes out of a file of memory."""
    with launching(ours, image) as [(ident, endpoint)]:
        ours.answered([(ident, endpoint)])
        return b"memory-backend-file" in Path(f"/proc/{ours.qemu(ident)}/cmdline").read_bytes()


class Sample(NamedTuple):
    """One launch: seconds until the last that came answered, megabytes of each QEMU, how many did not come in time."""

    seconds: float
    memory: float
    late: int


def launched(ours: cloud.LocalCloud, image: str, count: int = 1) -> Sample:
    """Ask for `count` instances at once. Raises RuntimeError if none answers."""
    begun = time.monotonic()
    with launching(ours, image, count) as made:
        found = ours.arrivals(made)
        return sample(begun, found, [ours.qemu(ident) for ident, _ in made])


def sample(begun: float, found: Sequence[float | None], processes: list[int]) -> Sample:
    """What was measured, of those that came. Raises RuntimeError if none did."""
    came = [moment - begun for moment in found if moment is not None]
    if not came:
        raise RuntimeError("nobody answers")
    return Sample(max(came), pss(processes) / len(processes), len(found) - len(came))


@contextlib.contextmanager
def launching(ours: cloud.LocalCloud, image: str, count: int = 1) -> Iterator[list[tuple[str, SshEndpoint]]]:
    """`count` instances, asked for at once, and terminated at the end."""
    made = ours.launch(image, count)
    try:
        yield made
    finally:
        ours.end("TerminateInstances", [ident for ident, _ in made], "terminated")


@contextlib.contextmanager
def by_hand(ours: cloud.LocalCloud, image: str, count: int) -> Iterator[Callable[[], Sample]]:
    """The same as `launched` by QEMU alone, in the places of instances that were started once and are stopped."""
    with launching(ours, image, count) as made, tempfile.TemporaryDirectory(prefix="pileus-bench-") as folder:
        ours.cut([ident for ident, _ in made])
        twins = [Twin(ours.layout, ours.uuid(ident), ours.key, Path(folder)) for ident, _ in made]
        yield lambda: _started(twins)


def _started(twins: Sequence[Twin]) -> Sample:
    with started(twins) as begun:
        found = arrivals([twin.endpoint for twin in twins], {})
        for twin, moment in zip(twins, found, strict=True):
            if moment is None:
                print("late by hand:", twin.said(), file=sys.stderr)
        return sample(begun, found, [twin.pid for twin in twins])


def compare(
    name: str, ours: Callable[[], Sample], peer: Callable[[], Sample], rounds: int, end: float, *, many: bool = False
) -> None:
    """Print the line of the times, and that of the memory of one guest; one round at least.

    Where `many` are launched at once these are of those that came, and a third line says how many did not in time.
    """
    pairs: list[tuple[Sample, Sample]] = []
    for _ in range(max(1, rounds)):
        if pairs and time.monotonic() > end:
            break
        pairs.append((ours(), peer()))
    show(name, "s", [(mine.seconds, other.seconds) for mine, other in pairs])
    show(f"{name}-memory", "MB", [(mine.memory, other.memory) for mine, other in pairs])
    if many:
        late = [sum(one.late for one in side) for side in zip(*pairs, strict=True)]
        print(f"{name}-late ours={late[0]} peer={late[1]}", flush=True)


def show(name: str, unit: str, pairs: list[tuple[float, float]]) -> None:
    """Print a line: the median of the ratios, and of both sides."""
    ratio = statistics.median(mine / other for mine, other in pairs)
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"{name} ratio={ratio:.2f} ours={mine:.2f}{unit} peer={other:.2f}{unit} rounds={len(pairs)}", flush=True)


if __name__ == "__main__":
    main()
