"""A host's workers: a backend that hangs holds up its own bodies alone, slow steps those of their own project."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from pileus.bus.memory import MemoryBus
from pileus.host import runner
from pileus.host.agent import Agent
from pileus.host.book import Book, FileBook
from pileus.host.runner import HostRunner, _WorkerPool
from pileus.model import bounds
from pileus.providers.stub.provider import StubProvider
from tests.bus.waiting import until
from tests.host.orders import to_go, to_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pileus.bus.messages import Order


class Hanging:
    """A host whose backend for machines hangs while `hangs` is set."""

    def __init__(self, book: Book | None = None, stub: StubProvider | None = None) -> None:
        self.goes = threading.Event()
        self.hanging: set[str] = set()
        self.stub, self.bus = StubProvider(faults=self._call), MemoryBus()
        if stub is not None:
            self.stub.bodies.update(stub.bodies)
        self.bus.listen(lambda _report: None)
        self.runner = HostRunner(Agent("h", self.stub, book or Book()), self.bus.host("h"))
        self.runner.start()

    def end(self) -> None:
        """End the host's process."""
        self.goes.set()
        self.runner.stop()
        self.bus.stop()

    def _call(self, call: str, uuid: str) -> None:
        if uuid.startswith("machine"):
            self.hanging.add(uuid)
            self.goes.wait(30)

    def order(self, order: Order) -> None:
        """Give the host an order."""
        self.bus.send("h", order)

    def runs(self, uuid: str) -> bool:
        return any(key[1] == uuid and body.running for key, body in self.stub.bodies.items())


@pytest.fixture
def host() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.end()


def test_containers_go_on_while_machines_hang(host: Hanging) -> None:
    for number in range(bounds.HOST_STEPS.most + 2):
        host.order(to_run(f"machine-{number}", 1))
    until(lambda: len(host.hanging) == bounds.HOST_STEPS.most)
    host.order(to_run("container", 1, machine="container"))
    until(lambda: host.runs("container"))
    host.order(to_go("container", 2))
    until(lambda: not host.runs("container"))
    host.goes.set()
    until(lambda: all(host.runs(f"machine-{number}") for number in range(bounds.HOST_STEPS.most + 2)))


def test_slow_steps_of_a_project_leave_workers_to_the_others(host: Hanging) -> None:
    share = bounds.PROJECT_HOST_STEPS.most
    slow = [f"machine-{number}" for number in range(share + 3)]
    for uuid in slow:
        host.order(to_run(uuid, 1, "greedy"))
    until(lambda: len(host.hanging) == share)
    host.order(to_run("machine-of-another", 1, "modest"))
    until(lambda: "machine-of-another" in host.hanging)
    assert len(host.hanging) == share + 1
    host.goes.set()
    until(lambda: all(host.runs(uuid) for uuid in [*slow, "machine-of-another"]))


def test_a_body_that_waits_for_its_projects_share_is_never_forgotten() -> None:
    pool = _WorkerPool(threading.Lock(), 1, [])
    times = {"b": 5.0, "c": 6.0}
    with pool.changed:
        assert pool.begin("p", "a")
        assert not pool.begin("p", "gone")
        assert not pool.begin("p", "b")
        assert not pool.begin("p", "c")
        pool.end("p", times)
        assert pool.due == [(5.0, "b")], "what is not to be looked at any more keeps nobody waiting"
        assert pool.begin("p", "b")
        pool.end("p", times)
        assert pool.due == [(5.0, "b"), (6.0, "c")]


def test_a_machine_without_a_free_thread_loses_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    # Nobody tells the workers of the order when the machine has threads again: they look by themselves.
    monkeypatch.setattr(runner, "REST", 0.1)
    host = Hanging()
    try:
        with monkeypatch.context() as busy:
            busy.setattr(threading.Thread, "start", without)
            host.runner.agent.take(to_run("container", 1, machine="container"))
            host.runner.wake("container")
        host.order(to_run("another", 1, machine="container"))
        until(lambda: host.runs("container"))
        until(lambda: host.runs("another"))
    finally:
        host.end()


def test_removals_of_hanging_machines_keep_no_container_waiting_after_a_restart(tmp_path: Path) -> None:
    before = Hanging(FileBook(tmp_path))
    machines = [f"machine-{number}" for number in range(bounds.HOST_STEPS.most + 2)]
    before.goes.set()
    for uuid in machines:
        before.order(to_run(uuid, 1))
    before.order(to_run("container", 1, machine="container"))
    until(lambda: all(before.runs(uuid) for uuid in [*machines, "container"]))
    before.end()
    for uuid in [*machines, "container"]:
        before.runner.agent.take(to_go(uuid, 2))
    after = Hanging(FileBook(tmp_path), before.stub)
    try:
        until(lambda: not after.runs("container"))
        assert after.runs("machine-0")
    finally:
        after.end()
