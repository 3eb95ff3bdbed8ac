"""A machine's time that is put back or forward stops nothing, here or on a host."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from pileus.bus.memory import MemoryBus
from pileus.bus.messages import Order
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.host.runner import HostRunner
from pileus.loops.runner import resync
from pileus.model.errors import Fault
from pileus.model.host import LOST_AFTER, Host, alive
from pileus.model.instance import Power, State, state
from pileus.model.spec import InstanceSpec
from pileus.providers.stub.provider import StubProvider
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests.store.wakes import lease_wake

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site

JUMPS = pytest.mark.parametrize("hours", [-30, -1, 1, 30])


@JUMPS
def test_a_host_tries_again_as_soon_as_it_would_have(hours: int) -> None:
    wall, failing, tried = [1_000_000.0], [True], threading.Event()

    def fail(call: str, _uuid: str) -> None:
        if call == "ensure":
            tried.set()
            if failing[0]:
                raise Fault("DiskFailed", "not now")

    stub, bus = StubProvider(faults=fail), MemoryBus()
    agent = Agent("h", stub, Book(), now=lambda: wall[0])
    runner = HostRunner(agent, bus.host("h"))
    runner.start()
    try:
        spec = InstanceSpec(uuid="u", revision=(1, 1), power=Power(n=1), vcpus=1, memory=64, ec2_id="i-0")
        agent.take(Order(uuid="u", revision=(1, 1), spec=spec))
        runner.wake("u")
        assert tried.wait(30)
        wall[0] += hours * 3600
        failing[0] = False
        end = time.monotonic() + 30
        while not any(body.running for body in stub.bodies.values()):
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        runner.stop()
        bus.stop()


@JUMPS
def test_what_was_asked_before_a_jump_comes_about_after_the_next_resync(
    site: Site, ann: Caller, tiny: Image, hours: int
) -> None:
    first, second = site.launch(ann, Launch(image=tiny.uuid, least=2, most=2))
    site.settle()
    power.stop(ann, site.core, [first.uuid])
    power.terminate(ann, site.core, [second.uuid])
    # A worker that takes one and dies.
    assert lease_wake(site.store) is not None
    site.now += hours * 3600
    site.hear("h1")
    resync(site.core)
    site.settle()
    assert state(site.row(first.uuid)) is State.STOPPED
    assert site.row(second.uuid).gone is not None


@JUMPS
def test_a_host_is_not_believed_for_longer_because_the_clock_was_set_back(site: Site, hours: int) -> None:
    """Its next report puts it right; one that died meanwhile counts as lost at once."""
    site.now += hours * 3600
    assert not alive(only_host(site), site.now)
    site.hear("h1")
    assert alive(only_host(site), site.now)
    assert not alive(only_host(site), site.now + LOST_AFTER)


def only_host(site: Site) -> Host:
    with site.store.read() as tx:
        (host,) = tx.list(Host)
    return host
