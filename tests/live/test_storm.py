"""A storm: kills, pauses, partitions and a rolled-back database, over two `api`, two `loops` and three joined hosts.

Every request that was acknowledged holds afterwards, once; a token's launch that is repeated makes nothing. Each result
is kept for `make reliability`.
"""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.app.processes import until
from tests import kills
from tests.live import processes, storm
from tests.live.processes import insist
from tests.services.postgresql import Postgresql
from tests.services.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.processes import Cloud

HOSTS = ("east", "west", "north")
SQUALLS = 6
RAGES = 60.0
"""Seconds for which the troubles of one squall come."""


@pytest.fixture(scope="module")
def relays() -> Iterator[dict[str, Relay]]:
    """One relay between each host and the broker; `stormy` has them."""
    made: dict[str, Relay] = {}
    yield made
    for relay in made.values():
        relay.close()


@pytest.fixture(scope="module")
def stormy(relays: dict[str, Relay]) -> Iterator[Cloud]:
    """PostgreSQL, RabbitMQ, two `api`, two `loops`, and three hosts, each of which reaches the broker by a relay."""
    with processes.running(Postgresql, PILEUS_STUB_LATENCY="0.05") as cloud:
        cloud.join("north")
        for name in HOSTS:
            relays[name] = Relay(cloud.broker.tls_port)
            cloud.reroute(name, f"amqps://127.0.0.1:{relays[name].port}/")
        assert until(lambda: cloud.hosts() == dict.fromkeys(HOSTS, "active"), 120, 0.2), cloud.hosts()
        yield cloud


def whole(cloud: Cloud) -> bool:
    """Whether every process works, and every host is heard."""
    return all(map(cloud.healthy, cloud.ports)) and cloud.hosts() == dict.fromkeys(HOSTS, "active")


def differing(cloud: Cloud, users: storm.Users) -> dict[str, tuple[str, str]]:
    """Return the instances that are not in the state of their last request: (requested, state) by id."""
    states = cloud.states("api-1")
    shown = {ident: (requested, states.get(ident, "terminated")) for ident, requested in users.last_states.items()}
    strangers = {ident: ("", state) for ident, state in states.items() if ident not in users.last_states}
    return {
        ident: pair for ident, pair in (shown | strangers).items() if pair[0] != pair[1] and pair != ("", "terminated")
    }


def assert_converged(cloud: Cloud, users: storm.Users) -> None:
    """Wait until every request holds and the books agree."""
    assert until(lambda: whole(cloud), 180, 0.5), cloud.why()
    assert until(lambda: not differing(cloud, users), 180, 0.5), (differing(cloud, users), cloud.why())
    assert cloud.settles(120) == []


def clear(cloud: Cloud, users: storm.Users) -> None:
    """Terminate what is left."""
    for ident in users.living():
        insist([partial(cloud.client("api-1").delete, "instances", ident)])
        users.last_states[ident] = "terminated"
    assert_converged(cloud, users)


def repeat(cloud: Cloud, users: storm.Users) -> None:
    """Ask for each launch of which an instance lives once more, by its token: nothing new is made."""
    living = set(users.living())
    for client_token, idents in users.launches.items():
        if living & set(idents):
            again, _ = insist([partial(cloud.launched, "api-2", len(idents), client_token)])
            assert set(again) <= set(idents)


@pytest.mark.cost(180)
@pytest.mark.timeout(900)
@pytest.mark.parametrize("squall", range(SQUALLS))
def test_every_acknowledged_request_holds_after_a_squall(
    stormy: Cloud, relays: dict[str, Relay], squall: int, request: pytest.FixtureRequest
) -> None:
    seed = f"{request.config.getoption('randomly_seed')} {squall}"
    print(f"storm: SEED={seed}")
    users = storm.Users(stormy, seed)
    troubles = storm.Troubles(stormy, relays, seed)
    copy = Path(stormy.root) / f"copy-{squall}"
    assert isinstance(stormy.database, Postgresql)
    began = time.monotonic()
    supervisor = storm.Supervisor(stormy)
    request.addfinalizer(supervisor.finish)
    supervisor.start()
    # A squall that ends early has a row too: the table is not of the good ones alone.
    wrong = ["not judged"]
    users.start()
    try:
        try:
            troubles.rage(RAGES / 3)
            stormy.database.copy(copy)
            troubles.rage(RAGES * 2 / 3)
        finally:
            users.finish()
        assert_converged(stormy, users)
        # All that was acknowledged since the copy has reached a host: an older database learns it from the hosts.
        troubles.roll_back(copy)
        shutil.rmtree(copy)
        assert_converged(stormy, users)
        repeat(stormy, users)
        assert_converged(stormy, users)
        wrong = [str(each) for each in differing(stormy, users).items()] + supervisor.silent
    finally:
        kills.keep_storm(
            kills.Storm(
                seed=seed,
                acknowledged=users.acknowledged,
                repeated=users.repeated,
                instances=len(users.last_states),
                troubles=dict(troubles.counts),
                took=round(time.monotonic() - began, 1),
                wrong=len(wrong),
            )
        )
    assert wrong == []
    clear(stormy, users)
