"""The kinds of worlds: each has a temper, the worlds of it that every run of the tests has, and what these must show.

`python -m tests.loops.samples 0:3000` runs other seeds, of all kinds in turn (`make worlds SEEDS=0:3000`).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import msgspec
import structlog

from tests.loops.damage import JOURNAL
from tests.loops.people import DEEDS, PROJECT_DEEDS
from tests.loops.temper import Temper
from tests.loops.world import World, run


class Sample(msgspec.Struct, frozen=True):
    """A kind of worlds: its temper, the seeds that every run of the tests has, and the events that these show together.

    `weight`: how many of all worlds are of this kind when others' seeds are run.
    """

    temper: Temper
    seeds: Sequence[int]
    shows: frozenset[str] = frozenset()
    weight: int = 1


OPERATORS = frozenset({"drained", "maintenance", "active", "remove", "forget", "admit"})
DAMAGED = frozenset({"instance", "port", "volume", "image", "securitygroup", "subnet", "floatingip", JOURNAL})
CAPTURES = frozenset({"pending", "available", "deregistered"})
LAYOUTS = frozenset({"router made", "attach", "add route", "filter", "peering made", "routetable deleted"})
PEOPLE = frozenset({*DEEDS, *PROJECT_DEEDS})
PORTS = frozenset({"attached", "detached", "deleted"})

SAMPLES = {
    "plain": Sample(Temper(), range(24), weight=4),
    "copy": Sample(Temper(restored="copy"), range(8), weight=2),
    "gone": Sample(Temper(restored="gone"), range(8), weight=2),
    "again": Sample(Temper(restored="again"), range(8), weight=2),
    "operators": Sample(Temper(operators=True), range(9), OPERATORS, weight=2),
    "people": Sample(Temper(people=True), range(5), PEOPLE),
    "people-copy": Sample(Temper(people=True, restored="copy"), range(5), frozenset({"confirm"})),
    "people-gone": Sample(Temper(people=True, restored="gone"), range(3)),
    "people-replaced": Sample(Temper(people=True, replaced="copy"), range(4), frozenset({"confirm"})),
    "people-log": Sample(Temper(people=True, replaced="log"), range(3)),
    "clock": Sample(Temper(clock=True), range(6)),
    "captures": Sample(Temper(captures=True), range(6), CAPTURES),
    "captures-copy": Sample(Temper(captures=True, restored="copy"), range(4)),
    "captures-gone": Sample(Temper(captures=True, restored="gone"), range(4)),
    "ports": Sample(Temper(ports=True), range(8), PORTS),
    "ports-copy": Sample(Temper(ports=True, restored="copy"), range(4)),
    "ports-gone": Sample(Temper(ports=True, restored="gone"), range(4)),
    "layouts": Sample(Temper(layouts=True), range(8), LAYOUTS),
    "layouts-copy": Sample(Temper(layouts=True, restored="copy"), range(4)),
    "layouts-gone": Sample(Temper(layouts=True, restored="gone"), range(4)),
    "silent-copy": Sample(Temper(silent=True, restored="copy"), range(4)),
    "silent-gone": Sample(Temper(silent=True, restored="gone"), range(4)),
    "mute": Sample(Temper(mute="mute", restored="copy"), range(4)),
    "full": Sample(Temper(mute="full", restored="gone"), range(4)),
    "old": Sample(Temper(old=True), range(5)),
    "history-copy": Sample(Temper(history=True, restored="copy"), range(3), frozenset({"many pages"})),
    "history-gone": Sample(Temper(history=True, restored="gone"), range(3), frozenset({"many pages"})),
    "descriptors": Sample(Temper(descriptors=True), range(6), frozenset({"lack of descriptors"})),
    "damaged": Sample(Temper(damaged=True), range(10), DAMAGED),
    "damaged-captures": Sample(Temper(damaged=True, captures=True), range(3)),
    "damaged-copy": Sample(Temper(damaged=True, restored="copy"), (13, 40, 65, 73)),
    "deleted": Sample(Temper(replaced="deleted"), range(3)),
    "replaced": Sample(Temper(replaced="copy"), range(3)),
    "log": Sample(Temper(replaced="log"), range(3)),
    "forgetful": Sample(Temper(forgetful=True), range(3)),
    "forgetful-copy": Sample(Temper(forgetful=True, restored="copy"), range(4)),
    "forgetful-gone": Sample(Temper(forgetful=True, restored="gone"), range(4)),
    "forgetful-captures": Sample(Temper(forgetful=True, captures=True), range(3)),
    "forgetful-operators": Sample(Temper(forgetful=True, operators=True), range(3)),
}

_TURNS = [name for name, sample in SAMPLES.items() for _ in range(sample.weight)]


def broken_in(sample: Sample) -> tuple[dict[int, str], set[str]]:
    """Run a sample's own seeds: the promises that were broken, by seed; and all events that its worlds showed."""
    broken, shown = dict[int, str](), set[str]()
    for seed in sample.seeds:
        world = World(seed, sample.temper)
        violation = world.run()
        if violation is not None:
            broken[seed] = violation
        shown |= world.shown
    return broken, shown


def in_turn(seed: int) -> str | None:
    """Run a seed of the kind whose turn it is: None, or one line with the kind, the seed and the broken promise."""
    name = _TURNS[seed % len(_TURNS)]
    violation = run(seed, SAMPLES[name].temper)
    return None if violation is None else f"{name} {seed}: {violation}"


def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def main() -> None:
    """Run the seeds `first:end` on all processors; the status is 1 when a promise was broken."""
    first, _, end = sys.argv[1].partition(":")
    with ProcessPoolExecutor(os.cpu_count(), initializer=_quiet) as pool:
        violations = [line for line in pool.map(in_turn, range(int(first), int(end)), chunksize=4) if line is not None]
    sys.stdout.write("".join(f"{line}\n" for line in violations))
    sys.stdout.write(f"{int(end) - int(first)} worlds of {len(SAMPLES)} kinds: {len(violations)} broke a promise\n")
    sys.exit(bool(violations))


if __name__ == "__main__":
    main()
