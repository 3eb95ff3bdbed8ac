"""Orders on their way to a host's agent: one of each noun waits, projects take turns, a question finds all taken."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pileus.bus.memory import MemoryBus
from pileus.bus.messages import Ask, Open, Order, Report, encode
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.host.inbox import Inbox
from pileus.host.runner import HostRunner
from pileus.model import bounds
from pileus.model.spec import ImageSpec
from pileus.providers.stub.provider import StubProvider
from tests.bus.waiting import until
from tests.host.orders import to_run

if TYPE_CHECKING:
    import pytest


def ordered(uuid: str, counter: int, project: str) -> Order:
    """Return the order for an instance that is to run, and to reboot with each order."""
    return to_run(uuid, counter, project, reboot=counter)


class SlowHost:
    """A host whose book takes nothing while `goes` is not set; `taken` are the orders in turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[str] = []
        self.reports: list[Report] = []
        self.began, self.goes = threading.Event(), threading.Event()
        self.bus, self.agent = MemoryBus(), Agent("h", StubProvider(), Book())
        self.bus.listen(self.reports.append)
        take = self.agent.take

        def slow(order: Order) -> bool:
            self.began.set()
            assert self.goes.wait(20)
            self.taken.append(order.uuid)
            if order.uuid == "bad":
                raise ValueError("no order")
            return take(order)

        monkeypatch.setattr(self.agent, "take", slow)
        self.link = self.bus.host("h")
        self.runner = HostRunner(self.agent, self.link)
        self.runner.start()

    def flood(self, rounds: int) -> None:
        """Reboot the 19 instances of a project so often, while the agent is at the first order."""
        self.bus.send("h", ordered("first", 1, "greedy"))
        assert self.began.wait(20)
        for number in range(rounds):
            for instance in range(19):
                self.bus.send("h", ordered(f"greedy-{instance}", number + 1, "greedy"))

    def end(self) -> None:
        """End the host's process."""
        self.goes.set()
        self.runner.stop()
        self.bus.stop()


def test_a_flood_of_one_projects_orders_delays_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    host = SlowHost(monkeypatch)
    try:
        host.flood(50)
        host.bus.send("h", ordered("modest", 1, "modest"))
        host.bus.send("h", ordered("last", 1, "greedy"))
        received = threading.Event()
        monkeypatch.setattr(host.runner, "_open", lambda _message: received.set())
        host.link.deliver(encode(Open(call="c", uuid="first", channel="log")))
        assert received.wait(5), "the inbox has all that was sent before"
        host.goes.set()
        until(lambda: "last" in host.taken)
        assert host.taken.index("modest") <= 3
        assert len(host.taken) == 22, "one order of each noun waits"
        assert host.agent.book.entries["greedy-18"].revision == (1, 50)
    finally:
        host.end()


def test_a_question_is_answered_when_all_orders_before_it_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    host = SlowHost(monkeypatch)
    try:
        host.flood(2)
        host.bus.send("h", ordered("bad", 1, "greedy"))
        host.bus.send("h", Ask(call="c", incarnation=2, opening=1, orders=True))
        host.goes.set()
        until(lambda: any(report.answer for report in host.reports))
        orders = next(report.orders for report in host.reports if report.answer)
        assert orders is not None
        assert {order.revision for uuid, order in orders.items() if uuid != "first"} == {(1, 2)}
        assert set(orders) == {"first", *(f"greedy-{instance}" for instance in range(19))}
    finally:
        host.end()


def test_projects_take_turns_and_a_newer_order_keeps_its_nouns_place() -> None:
    inbox = Inbox(lambda order: order.spec.project if order.spec is not None else "")
    for counter in (1, 3, 2):
        for uuid in ("a", "b", "c"):
            assert inbox.put(ordered(uuid, counter, "one")) == (counter != 2)
    assert inbox.put(ordered("d", 1, "two"))
    assert inbox.put(ordered("e", 1, "two"))
    assert inbox.put(Order(uuid="b", revision=(1, 4), why="gone")), "a removal names no project"
    assert len(inbox) == 5
    popped = [inbox.pop() for _ in range(6)]
    assert [order and (order.uuid, order.revision[1]) for order in popped] == [
        ("a", 3),
        ("d", 1),
        ("b", 4),
        ("e", 1),
        ("c", 3),
        None,
    ]


def test_too_many_orders_are_dropped_and_newer_ones_of_those_that_wait_are_not() -> None:
    inbox = Inbox(lambda _order: "", most=2)
    assert [inbox.put(ordered(uuid, 1, "")) for uuid in "abc"] == [True, True, False]
    assert inbox.put(ordered("a", 2, ""))
    assert inbox.pop() == ordered("a", 2, "")
    assert inbox.put(ordered("c", 1, ""))


def test_a_removal_is_of_the_project_of_what_is_held() -> None:
    agent = Agent("h", StubProvider(), Book())
    capture = ImageSpec(uuid="image", revision=(1, 2), ec2_id="ami-1", instance="a", disk="d", project="one")
    assert agent.take(ordered("a", 1, "one"))
    assert agent.project_of(Order(uuid="a", revision=(1, 2), why="gone")) == "one"
    assert agent.project_of(Order(uuid="image", revision=(1, 2), spec=capture, kind="image")) == "one"
    assert agent.project_of(Order(uuid="b", revision=(1, 2), why="gone")) == ""


def test_a_host_that_hangs_fills_no_memory_with_messages() -> None:
    bus, goes, got = MemoryBus(), threading.Event(), list[object]()

    def hang(message: object) -> None:
        goes.wait(20)
        got.append(message)

    bus.host("h").listen(hang)
    for number in range(bounds.MESSAGE_QUEUE.most + 100):
        bus.send("h", Order(uuid=f"u{number}", revision=(1, number), why="gone"))
    goes.set()
    until(lambda: len(got) >= bounds.MESSAGE_QUEUE.most)
    bus.send("h", Order(uuid="last", revision=(2, 1), why="gone"))
    until(lambda: got[-1] == Order(uuid="last", revision=(2, 1), why="gone"))
    assert len(got) <= bounds.MESSAGE_QUEUE.most + 2
    bus.stop()
