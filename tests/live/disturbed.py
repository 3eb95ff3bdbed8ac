"""Operations on the guests of one machine, machines or containers, while one of its processes is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pileus.app.up import running as parts_of
from tests.live.cloud import PILEUS, until
from tests.live.operations import OPERATIONS, Operation, World
from tests.live.trials import Trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests import kills
    from tests.live.cloud import LiveCloud

CARRIES = {"host": {"loopback"}}
"""The sessions that a process carries, which end with it."""


def findings(cloud: LiveCloud) -> set[tuple[str, ...]]:
    """What `pileus doctor` finds amiss, and what it could not see."""
    command = [PILEUS, "doctor", "--json", "--state", str(cloud.state)]
    said = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    found = {(one["code"], one["kind"], one["ident"]) for one in said["findings"]}
    return found | {(what, why) for what, why in said["unchecked"].items()}


@dataclass
class Measured:
    """How long an operation and its request take undisturbed, and when (fractions of that) its guest's QEMU runs."""

    length: float
    request: float
    begins: float
    ends: float


def measure(world: World, name: str) -> Measured:
    """Do an operation undisturbed, and measure it."""
    operation = OPERATIONS[name](world)
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
    until(name, operation.reached)
    length = time.monotonic() - began
    over.set()
    watcher.join()
    wrong = operation.once("")
    assert not wrong, wrong
    begins, ends = (seen[0] / length, min(1.0, seen[-1] / length)) if seen else (0.0, 1.0)
    return Measured(length, request, begins, ends)


class Killer(threading.Thread):
    """Kills what `find` finds, once `at` (monotonic seconds) has come and as soon as there is something."""

    def __init__(self, find: Callable[[], int | None], at: float) -> None:
        super().__init__()
        self._find = find
        self._at = at
        self._over = threading.Event()
        self.dead: int | None = None
        self.when = 0.0

    @property
    def killed(self) -> bool:
        return self.dead is not None

    def run(self) -> None:
        self._over.wait(max(0.0, self._at - time.monotonic()))
        while True:
            found = self._find()
            # It may end by itself just before.
            with contextlib.suppress(ProcessLookupError):
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
        until(f"{process} is back", lambda: parts_of(world.state)[process] not in (None, dead))


def begin(world: World, operation: Operation, cell: kills.Cell, expected: Measured, seed: int) -> tuple[Trial, Killer]:
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
    return Trial(cell, seed, expected.length, began, killer), killer


def tried(world: World, cell: kills.Cell, expected: Measured, seed: int, results: Path | None = None) -> None:
    """Kill in the middle of an operation: it ends as asked, and with it no session that the dead one did not carry.

    What came of it is added to `results`, if there are any.
    """
    operation = OPERATIONS[cell.operation](world)
    trial, killer = begin(world, operation, cell, expected, seed)
    try:
        _ends(world, operation, trial, killer)
    except BaseException as error:
        killer.finish()
        # A run that is ended by its user has shown nothing.
        if isinstance(error, Exception) and results is not None:
            trial.keep(results)
        raise
    if results is not None:
        trial.keep(results)
    for via in trial.lost:
        world.reopen(via)
    assert not trial.wrong
    assert set(trial.lost) <= CARRIES.get(cell.process, set())
    assert all(counter.whole() for counter in world.counters.values())


def _ends(world: World, operation: Operation, trial: Trial, killer: Killer) -> None:
    cell = trial.cell
    trial.retries = operation.request()
    until(str(cell), operation.reached)
    killer.finish()
    if killer.dead is not None:
        back(world, cell.process, killer.dead)
    until(f"{cell} after the kill", operation.reached)
    trial.reached, trial.took = True, time.monotonic() - trial.began
    trial.wrong = operation.once(cell.process if killer.killed else "") + world.differences()
    trial.lost = world.hears(time.monotonic())
    trial.silence = {
        via: round(counter.silence(trial.began), 2) for via, counter in world.counters.items() if via not in trial.lost
    }
