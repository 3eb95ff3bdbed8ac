"""A host's workers: a backend that hangs holds up its own bodies alone, slow steps those of their own project."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

import pytest

from pileus.bus.memory import MemoryBus
from pileus.bus.messages import Order
from pileus.loops.host.agent import Agent
from pileus.loops.host.book import Book
from pileus.loops.host.runner import HostRunner
from pileus.model import bounds
from pileus.model.instance import Power
from pileus.model.spec import InstanceSpec
from pileus.providers.stub import StubProvider
from tests.bus.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Hanging:
    """A host whose backend for machines hangs while `hangs` is set."""

    def __init__(self) -> None:
        self.goes = threading.Event()
        self.hanging: set[str] = set()
        self.stub, self.bus = StubProvider(faults=self._call), MemoryBus()
        self.bus.listen(lambda _report: None)
        self.runner = HostRunner(Agent("h", self.stub, Book()), self.bus.host("h"))
        self.runner.start()

    def _call(self, call: str, uuid: str) -> None:
        if uuid.startswith("machine"):
            self.hanging.add(uuid)
            self.goes.wait(30)

    def order(
        self, uuid: str, counter: int, machine: Literal["machine", "container"] | None, project: str = ""
    ) -> None:
        """A body that is to run, or, without a kind, one that is to go."""
        spec = None
        if machine is not None:
            spec = InstanceSpec(
                uuid=uuid,
                revision=(1, counter),
                power=Power(n=1),
                vcpus=1,
                memory=64,
                ec2_id=f"i-{uuid}",
                machine=machine,
                account_id=project,
            )
        self.bus.send("h", Order(uuid=uuid, revision=(1, counter), spec=spec, why="" if spec else "gone"))

    def runs(self, uuid: str) -> bool:
        return any(key[1] == uuid and body.running for key, body in self.stub.bodies.items())


@pytest.fixture
def host() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.goes.set()
    made.runner.stop()
    made.bus.stop()


def test_containers_go_on_while_machines_hang(host: Hanging) -> None:
    for number in range(bounds.HOST_STEPS.most + 2):
        host.order(f"machine-{number}", 1, "machine")
    until(lambda: len(host.hanging) == bounds.HOST_STEPS.most)
    host.order("container", 1, "container")
    until(lambda: host.runs("container"))
    host.order("container", 2, None)
    until(lambda: not host.runs("container"))
    host.goes.set()
    until(lambda: all(host.runs(f"machine-{number}") for number in range(bounds.HOST_STEPS.most + 2)))


def test_slow_steps_of_a_project_leave_workers_to_the_others(host: Hanging) -> None:
    share = bounds.PROJECT_HOST_STEPS.most
    slow = [f"machine-{number}" for number in range(share + 3)]
    for uuid in slow:
        host.order(uuid, 1, "machine", "greedy")
    until(lambda: len(host.hanging) == share)
    host.order("machine-of-another", 1, "machine", "modest")
    until(lambda: "machine-of-another" in host.hanging)
    assert len(host.hanging) == share + 1
    host.goes.set()
    until(lambda: all(host.runs(uuid) for uuid in [*slow, "machine-of-another"]))
