"""Targets on the bus: what hosts report to a store, and what a host is ordered."""

from __future__ import annotations

import contextlib

import msgspec

from pileus.bus import messages
from pileus.bus.messages import Ask, BodyReport, Order, Removed, Report
from pileus.host.agent import Agent
from pileus.host.book import Book, BookEntry
from pileus.loops import report
from pileus.model.errors import Fault, PileusError
from pileus.model.instance import Power
from pileus.model.nouns import NOUNS
from pileus.model.provider import Capture
from pileus.model.spec import ImageSpec, InstanceSpec
from pileus.providers.stub.provider import StubProvider
from pileus.rules import recount
from pileus.verbs.instance.launch import Launch
from tests.fuzz.target import Target, Undone, Work
from tests.site import Site

_UUID = "00000000-0000-4000-8000-00000000000a"
"""Stands for an instance of the site's, in seeds: real uuids are as long."""

_HOST = "h1"


def _reports() -> Work:
    def work(data: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            messages.decode_to_cloud(data)

    return work


def _orders() -> Work:
    def work(data: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            messages.decode_to_host(data)

    return work


def _absorbed() -> Work:
    site = Site()
    site.host(_HOST)
    ann = site.caller("blue")
    tiny = site.image(ann, "tiny", public=True)
    real = site.launch(ann, Launch(image=tiny.uuid))[0].uuid
    site.settle()
    undone = Undone(site.store)
    inputs = 0

    def work(data: bytes) -> None:
        nonlocal inputs
        inputs += 1
        message = None
        with contextlib.suppress(msgspec.DecodeError):
            message = messages.decode_to_cloud(data.replace(_UUID.encode(), real.encode()))
        if not isinstance(message, Report):
            return
        if message.host == _HOST:  # each is news
            message = msgspec.structs.replace(message, epoch=2, sequence=inputs)
        with contextlib.suppress(PileusError):
            report.absorb_all(site.core, [message])
        site.work()
        site.sent.clear()
        site.asked.clear()
        with site.store.read() as tx:
            assert recount.differences(tx) == []
            for noun in NOUNS.values():
                tx.list(noun)
            assert not tx.unreadable
        undone.count()

    return work


def _ordered() -> Work:
    agent = Agent(_HOST, StubProvider(), Book(), now=lambda: 1.7e9)
    inputs = 0

    def work(data: bytes) -> None:
        nonlocal agent, inputs
        inputs += 1
        if inputs % 50 == 0:
            agent = Agent(_HOST, StubProvider(), Book(), now=lambda: 1.7e9)
        message = None
        with contextlib.suppress(msgspec.DecodeError):
            message = messages.decode_to_host(data)
        if isinstance(message, Order):
            agent.take(message)
            with contextlib.suppress(Fault):
                agent.step(message.uuid)
            agent.survey()
        elif isinstance(message, Ask):
            agent.answer(message)
        said = agent.report(full=True)
        assert messages.decode_to_cloud(messages.encode(said)) == said
        for entry in agent.book.entries.values():
            assert msgspec.json.decode(msgspec.json.encode(entry), type=BookEntry) == entry

    return work


_SPEC = InstanceSpec(uuid=_UUID, revision=(1, 1), power=Power(n=1), vcpus=1, memory=64, ec2_id="i-1", hostname="a")
_HELLO = messages.encode(messages.Hello(host=_HOST))
_OPENED = messages.encode(messages.Opened(call="c", address="/x", ticket="t"))
_REPORTS = tuple(
    messages.encode(each)
    for each in (
        Report(host=_HOST, epoch=2, sequence=1, full=True),
        Report(host=_HOST, epoch=2, sequence=1, bodies={_UUID: BodyReport(revision=(1, 1), since=float("nan"))}),
        Report(host="h2", epoch=1, sequence=1, zone="z", traits=("a",), chassis="c", unknown=("u",)),
        Report(
            host=_HOST, epoch=2, sequence=1, after=9, bodies={_UUID: BodyReport(revision=(1, 9), running=True, n=1)}
        ),
        Report(
            host=_HOST,
            epoch=2,
            sequence=1,
            full=True,
            bodies={
                _UUID: BodyReport(
                    revision=(1, 1),
                    up=True,
                    since=1.5,
                    ever=True,
                    capture=Capture(state="captured", digest="0" * 64, size=1),
                )
            },
            removed={_UUID: Removed(revision=(1, 2), why="gone", satisfied=3)},
            removals=5,
        ),
        Report(host=_HOST, epoch=2, sequence=1, full=True, removed={_UUID: Removed(revision=(1, 99), why="forgotten")}),
    )
)
_ORDERS = tuple(
    messages.encode(each)
    for each in (
        Ask(call="a", orders=True, pages=True, incarnation=1, opening=1, forget=(1, 5)),
        Order(uuid=_UUID, revision=(1, 1), spec=_SPEC, request="r", opening=1),
        Order(uuid=_UUID, revision=(1, 2), why="gone"),
        Order(
            uuid="b", revision=(1, 3), spec=ImageSpec(uuid="b", instance=_UUID, ec2_id="ami-1", disk="d"), kind="image"
        ),
        messages.Open(call="c", uuid=_UUID, channel="console"),
    )
)

TARGETS = {
    "reports": Target(make=_reports, seeds=(_HELLO, _OPENED, *_REPORTS)),
    "orders": Target(make=_orders, seeds=_ORDERS),
    "absorbed-reports": Target(make=_absorbed, seeds=_REPORTS, words=(_UUID,), largest=2048),
    "taken-orders": Target(make=_ordered, seeds=_ORDERS, words=(_UUID,), largest=2048),
}
"""These targets by name."""
