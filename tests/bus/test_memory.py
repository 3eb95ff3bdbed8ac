"""The bus within one process does what the one over a socket does."""

from __future__ import annotations

import pytest

from pileus.bus.memory import MemoryBus
from pileus.bus.messages import Open, Opened, Order, Report, ToHost
from pileus.model.errors import Unavailable
from tests.bus.waiting import until


def test_both_ways() -> None:
    bus = MemoryBus()
    heard: list[Report] = []
    got: list[ToHost] = []
    bus.listen(heard.append)
    bus.start()
    link = bus.host("h1")
    link.listen(got.append)
    order, report = Order(uuid="u", revision=(1, 2), why="gone"), Report(host="h1", epoch=1, sequence=1)
    bus.send("h1", order)
    bus.send("nobody", order)
    link.send(report)
    until(lambda: got)
    assert (got, heard) == ([order], [report])
    bus.stop()


def test_channels() -> None:
    bus = MemoryBus()
    link = bus.host("h1")

    def answer(message: ToHost) -> None:
        if isinstance(message, Open):
            link.send(Opened(call=message.call, address="/a", ticket="t"))

    link.listen(answer)
    assert bus.open("h1", Open(call="c", uuid="u", channel="log")).ticket == "t"
    with pytest.raises(Unavailable):
        bus.open("nobody", Open(call="c", uuid="u", channel="log"))
    bus.stop()


def test_a_message_whose_handling_fails_takes_no_others_with_it() -> None:
    bus, got = MemoryBus(), list[ToHost]()

    def take(message: ToHost) -> None:
        if isinstance(message, Order) and message.uuid == "bad":
            raise OSError(28, "No space left on device")
        got.append(message)

    bus.host("h1").listen(take)
    bus.send("h1", Order(uuid="bad", revision=(1, 1), why="gone"))
    bus.send("h1", Order(uuid="good", revision=(1, 2), why="gone"))
    until(lambda: got)
    bus.stop()
