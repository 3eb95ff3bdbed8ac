"""The kill matrix of a cloud of several processes: each role is killed at drawn moments, and all ends as asked, once.

Each result is kept for `make reliability`. Whoever is killed is started again at once, as an init system does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pileus.app.processes import until
from tests import kills
from tests.live import processes
from tests.live.processes import insist, token
from tests.live.trials import BECOMES, Measures, struck

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.processes import Cloud

BOTH = ("api-1", "api-2")
COUNT = 4
"""Instances that each operation is done to."""


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Whose stub hosts take their time, so that there is a middle of things to be killed in."""
    with processes.running(PILEUS_STUB_LATENCY="0.1") as made:
        yield made
        clear(made)
        assert until(lambda: all(map(made.healthy, made.ports)), 120, 0.5), made.why()
        assert made.settles() == []


@dataclass
class Operation:
    """Asked for at both `api` in turn, again until it is acknowledged; `idents` are known from then on."""

    cloud: Cloud
    name: str
    idents: list[str]

    def request(self) -> int:
        """Ask; how often it was asked again."""
        if self.name == "launch":
            this = token()
            self.idents, again = insist([partial(self.cloud.launched, at, COUNT, this) for at in BOTH])
            return again
        return sum(insist([partial(self._one, at, ident) for at in BOTH])[1] for ident in self.idents)

    def _one(self, at: str, ident: str) -> None:
        self.cloud.client(at).post("instances", ident, self.name)

    def reached(self) -> bool:
        """Whether a user sees it done."""
        return self.cloud.all_in(BECOMES[self.name], self.idents) or self.cloud.all_in(
            BECOMES[self.name], self.idents, "api-1"
        )


def prepared(cloud: Cloud, name: str) -> Operation:
    """With instances to do it to."""
    if name == "launch":
        return Operation(cloud, name, [])
    made = cloud.launched("api-1", COUNT)
    assert until(lambda: cloud.all_in("running", made), 120, 0.1)
    if name == "start":
        for ident in made:
            cloud.client("api-1").post("instances", ident, "stop")
        assert until(lambda: cloud.all_in("stopped", made), 120, 0.1)
    return Operation(cloud, name, made)


def length(cloud: Cloud, name: str) -> float:
    """How long an operation takes undisturbed, in seconds."""
    operation = prepared(cloud, name)
    began = time.monotonic()
    operation.request()
    assert until(operation.reached, 120, 0.02)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def lengths(cloud: Cloud) -> Measures[float]:
    """Of each operation."""
    return Measures(partial(length, cloud))


def clear(cloud: Cloud) -> None:
    """Have everything go."""
    rest = [ident for ident, state in cloud.states("api-1").items() if state != "terminated"]
    for ident in rest:
        insist([partial(cloud.client(at).delete, "instances", ident) for at in BOTH])
    assert until(lambda: cloud.all_in("terminated", rest, "api-1"), 120, 0.1)


def strike(cloud: Cloud, role: str) -> None:
    """Kill one, and start it again."""
    if role == "broker":
        cloud.broker.kill()
        cloud.broker.start()
    elif role == "database":
        assert cloud.database is not None
        cloud.database.kill()
        cloud.database.start()
    else:
        name = {"host": "east"}.get(role, f"{role}-1")
        cloud.kill(name)
        cloud.again(name)


def doubled(cloud: Cloud, operation: Operation, role: str) -> list[str]:
    """What was done more than once, or to others."""
    states = cloud.states("api-1")
    others = [ident for ident, state in states.items() if state != "terminated" and ident not in operation.idents]
    found = [f"{ident} is there and nobody asked for it" for ident in others]
    if BECOMES[operation.name] == "running":
        # A stub's bodies end with their host, which starts them again.
        most = 2 if role == "host" or operation.name == "start" else 1
        # What was seen running may have ended with its host since.
        until(lambda: all(cloud.starts(ident) for ident in operation.idents), 60, 0.2)
        counts = {ident: cloud.starts(ident) for ident in operation.idents}
        found += [f"{ident} was started {count} times" for ident, count in counts.items() if not 1 <= count <= most]
    return found + cloud.settles(60)


@pytest.mark.cost(15)
@pytest.mark.parametrize("cell", [pytest.param(cell, id=str(cell)) for cell in kills.ROLE_CELLS])
def test_a_request_ends_as_asked_whichever_role_is_killed(
    cloud: Cloud, lengths: Measures[float], cell: kills.Cell, request: pytest.FixtureRequest
) -> None:
    expected = lengths[cell.operation]
    clear(cloud)
    operation = prepared(cloud, cell.operation)
    strikes = partial(strike, cloud, cell.process)
    trial = struck(operation, strikes, cell, expected, int(request.config.getoption("randomly_seed")))
    assert until(lambda: all(map(cloud.healthy, cloud.ports)), 120, 0.2), cloud.why()
    trial.wrong = doubled(cloud, operation, cell.process) if trial.reached else trial.wrong
    trial.keep(kills.ROLE_RESULTS)
    assert not trial.wrong, f"{trial}: {trial.wrong}"
