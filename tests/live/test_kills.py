"""The kill matrix: each process of a cloud is killed at drawn moments of each operation, which still ends as asked.

What is killed and when follows from the seed of pytest-randomly. Each result is kept for `make reliability`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pileus.app.up import running as parts_of
from tests import kills
from tests.live.cloud import PILEUS, until
from tests.live.operations import OPERATIONS, Operation, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.live.cloud import LiveCloud

CARRIES = {"host": {"loopback"}}
"""The sessions that a process carries, which end with it."""

pytestmark = pytest.mark.allow_hosts(["127.0.0.0/8", "198.51.100.0/24"])


@pytest.fixture(scope="module")
def world(cloud: LiveCloud, key: Path) -> Iterator[World]:
    """Guests to do things to; the doctor agrees when all was killed, and in the end nothing is left of them."""
    before, found = cloud.traces(), findings(cloud)
    made = World(cloud, key)
    yield made
    until("the doctor agrees", lambda: findings(cloud) <= found, 60)
    made.end()
    until("the doctor agrees", lambda: findings(cloud) <= found, 60)
    assert _left(made, before) == []


def findings(cloud: LiveCloud) -> set[tuple[str, ...]]:
    """What `pileus doctor` finds amiss, and what it could not see."""
    command = [PILEUS, "doctor", "--json", "--state", str(cloud.state)]
    said = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    found = {(one["code"], one["kind"], one["ident"]) for one in said["findings"]}
    return found | {(what, why) for what, why in said["unchecked"].items()}


def _left(world: World, before: list[str]) -> list[str]:
    # The network, and its port of metadata, belong to the project and stay.
    stays = ("md-", "network ", "router ", "securitygroup ", "port md-")
    new = [trace for trace in world.cloud.traces() if trace not in before]
    left = [trace for trace in new if not trace.removeprefix("ovn ").removeprefix("link ").startswith(stays)]
    return left + world.differences()


@dataclass
class Measured:
    """How long an operation and its request take undisturbed, and when (fractions of that) its guest's QEMU runs."""

    length: float
    request: float
    begins: float
    ends: float


def perform(world: World, operation: Operation) -> Measured:
    """Do an operation undisturbed, and measure it."""
    began = time.monotonic()
    seen: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            guest = operation.guest
            if guest is not None and world.qemu(guest) is not None:
                seen.append(time.monotonic() - began)

    watcher = threading.Thread(target=look)
    watcher.start()
    operation.request()
    request = time.monotonic() - began
    until(type(operation).__name__, operation.reached)
    length = time.monotonic() - began
    over.set()
    watcher.join()
    wrong = operation.once("")
    assert not wrong, wrong
    begins, ends = (seen[0] / length, min(1.0, seen[-1] / length)) if seen else (0.0, 1.0)
    return Measured(length, request, begins, ends)


@pytest.fixture(scope="module")
def measured(world: World) -> Callable[[str], Measured]:
    """Each operation is measured once, when it is first asked for."""
    known: dict[str, Measured] = {}

    def measure(name: str) -> Measured:
        if name not in known:
            known[name] = perform(world, OPERATIONS[name](world))
        return known[name]

    return measure


class Killer(threading.Thread):
    """Kills what `find` finds, once `at` (monotonic seconds) has come and as soon as there is something."""

    def __init__(self, find: Callable[[], int | None], at: float) -> None:
        super().__init__()
        self._find = find
        self._at = at
        self._over = threading.Event()
        self.dead: int | None = None
        self.when = 0.0

    def run(self) -> None:
        self._over.wait(max(0.0, self._at - time.monotonic()))
        while True:
            found = self._find()
            if found is not None:
                os.kill(found, signal.SIGKILL)
                self.dead, self.when = found, time.monotonic()
                return
            if self._over.is_set():
                return
            time.sleep(0.002)

    def finish(self) -> None:
        """Wait until it has killed, but no longer than a moment for something to kill."""
        while self.is_alive() and time.monotonic() < self._at:
            self.join(0.01)
        self._over.set()
        self.join()


def back(world: World, process: str, dead: int) -> None:
    """Wait until a process that was killed runs again; nobody but `pileus up` starts a supervisor."""
    if process == "supervisor":
        world.cloud.pileus("up")
    if process != "qemu":
        until(f"{process} is back", lambda: parts_of(world.state)[process] not in (None, dead), 60)


@dataclass
class Trial:
    """One kill while it goes on; times in seconds, `began` monotonic."""

    cell: kills.Cell
    seed: int
    length: float
    began: float
    killer: Killer
    retries: int = 0
    took: float = 0.0
    reached: bool = False
    wrong: list[str] = field(default_factory=lambda: ["not reached"])
    lost: list[str] = field(default_factory=list)
    silence: dict[str, float] = field(default_factory=dict)

    def keep(self) -> None:
        """Add it to the results."""
        moment = max(0.0, self.killer.when - self.began) / self.length
        kills.keep(
            kills.Result(
                seed=self.seed,
                operation=self.cell.operation,
                process=self.cell.process,
                moment=round(min(moment, 1.0), 3),
                length=round(self.length, 2),
                took=round(self.took or time.monotonic() - self.began, 2),
                killed=self.killer.dead is not None,
                reached=self.reached,
                once=not self.wrong,
                retries=self.retries,
                silence=self.silence,
                lost=self.lost,
            )
        )


def begin(world: World, operation: Operation, cell: kills.Cell, expected: Measured, seed: int) -> Trial:
    """Set the killer going."""
    process = parts_of(world.state).get(cell.process)
    moment = cell.moment(seed)
    if cell.process == "qemu":
        # The first half of that: it may be gone much earlier this time.
        moment = expected.begins + 0.5 * moment * (expected.ends - expected.begins)
    elif cell.asked:
        moment *= expected.request / expected.length

    def find() -> int | None:
        guest = operation.guest
        return process if cell.process != "qemu" else world.qemu(guest) if guest is not None else None

    world.hears(time.monotonic())
    began = time.monotonic()
    killer = Killer(find, began + moment * expected.length)
    killer.start()
    return Trial(cell, seed, expected.length, began, killer)


@pytest.mark.parametrize(
    "cell",
    [
        # A guest takes its time to shut down.
        pytest.param(cell, marks=pytest.mark.cost(18 if cell.operation == "reboot" else 8), id=str(cell))
        for cell in kills.CELLS
    ],
)
def test_a_request_ends_as_asked_whatever_is_killed(
    world: World, measured: Callable[[str], Measured], cell: kills.Cell, request: pytest.FixtureRequest
) -> None:
    """It is done, and done once; and no session into another guest ends that the dead one did not carry."""
    expected = measured(cell.operation)
    operation = OPERATIONS[cell.operation](world)
    trial = begin(world, operation, cell, expected, request.config.getoption("randomly_seed"))
    killer = trial.killer
    try:
        trial.retries = operation.request()
        until(str(cell), operation.reached)
        killer.finish()
        if killer.dead is not None:
            back(world, cell.process, killer.dead)
        until(f"{cell} after the kill", operation.reached)
        trial.reached, trial.took = True, time.monotonic() - trial.began
        trial.wrong = operation.once(cell.process if killer.dead is not None else "") + world.differences()
        trial.lost = world.hears(time.monotonic())
        trial.silence = {
            via: round(counter.silence(trial.began), 2)
            for via, counter in world.counters.items()
            if via not in trial.lost
        }
    except BaseException as error:
        killer.finish()
        # A run that is ended by its user has shown nothing.
        if isinstance(error, Exception):
            trial.keep()
        raise
    trial.keep()
    for via in trial.lost:
        world.reopen(via)
    assert not trial.wrong
    assert set(trial.lost) <= CARRIES.get(cell.process, set())
    assert all(counter.whole() for counter in world.counters.values())


@pytest.mark.cost(60)
def test_what_is_killed_again_while_it_starts_comes_up_all_the_same(
    world: World, request: pytest.FixtureRequest
) -> None:
    """Three times each, at drawn moments of its way up; a launch that was asked for meanwhile is made once."""
    draw = random.Random(request.config.getoption("randomly_seed"))
    names = [name for name in kills.PROCESSES if name not in ("supervisor", "qemu")]
    draw.shuffle(names)
    launch = OPERATIONS["launch"](world)
    launch.request()
    for name in names:
        dead = parts_of(world.state)[name] or 0
        os.kill(dead, signal.SIGKILL)
        for _ in range(2):
            dead = until(f"{name} starts", lambda name=name, dead=dead: _another(world, name, dead), 60)  # type: ignore[misc]
            time.sleep(draw.uniform(0.0, 0.3))
            os.kill(dead, signal.SIGKILL)
        back(world, name, dead)
    until("the launch", launch.reached)
    # Any of them may have been killed while QEMU started.
    wrong = launch.once("qemu") + world.differences()
    lost = world.hears(time.monotonic())
    for via in lost:
        world.reopen(via)
    assert not wrong
    assert set(lost) <= {"loopback"}
    assert all(counter.whole() for counter in world.counters.values())


def _another(world: World, name: str, dead: int) -> int:
    found = parts_of(world.state)[name] or 0
    return found if found != dead else 0
