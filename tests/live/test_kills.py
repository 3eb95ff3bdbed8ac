"""The kill matrix: each process of a cloud is killed at drawn moments of each operation, which still ends as asked.

What is killed and when follows from the seed of pytest-randomly. Each result is kept for `make reliability`.
"""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pileus.app.up import running as parts_of
from tests import kills
from tests.live.cloud import until
from tests.live.disturbed import Measured, back, findings, measure, tried
from tests.live.operations import OPERATIONS, World
from tests.live.trials import Measures, until_so

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.cloud import LiveCloud

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
    # Addresses that were given back leave the engine after that.
    until_so(lambda: not _left(made, before))
    assert _left(made, before) == []


def _left(world: World, before: list[str]) -> list[str]:
    # The network, and its port of metadata, belong to the project and stay.
    stays = ("md-", "network ", "router ", "securitygroup ", "port md-")
    new = [trace for trace in world.cloud.traces() if trace not in before]
    left = [trace for trace in new if not trace.removeprefix("ovn ").removeprefix("link ").startswith(stays)]
    return left + world.differences()


@pytest.fixture(scope="module")
def measured(world: World) -> Measures[Measured]:
    """Of each operation."""
    return Measures(partial(measure, world))


@pytest.mark.parametrize(
    "cell",
    [
        # A guest takes its time to shut down.
        pytest.param(cell, marks=pytest.mark.cost(18 if cell.operation == "reboot" else 8), id=str(cell))
        for cell in kills.CELLS
    ],
)
def test_a_request_ends_as_asked_whatever_is_killed(
    world: World, measured: Measures[Measured], cell: kills.Cell, request: pytest.FixtureRequest
) -> None:
    """It is done, and done once; and no session into another guest ends that the dead one did not carry."""
    expected = measured[cell.operation]
    tried(world, cell, expected, request.config.getoption("randomly_seed"), kills.RESULTS)


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
        dead = world.cloud.part(name)
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
