"""One side may be a version ahead: what the other does not know it passes over, and goes on."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.bus import messages
from pileus.bus.memory import MemoryBus
from pileus.bus.messages import Ask, BodyReport, Hello, Order, Report, ToHost
from pileus.bus.unix import CloudEnd, HostEnd
from pileus.model.noun import SeenFault
from tests.bus.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


class LaterReport(msgspec.Struct, kw_only=True, tag="report"):
    """A report with something that it did not have before."""

    host: str
    epoch: int
    sequence: int
    weather: tuple[int, ...] = (3,)


class LaterOrder(msgspec.Struct, kw_only=True, tag="order"):
    """An order with something that it did not have before."""

    uuid: str
    revision: tuple[int, int]
    why: str = "gone"
    colour: str = "green"


class Invite(msgspec.Struct, kw_only=True, tag="invite"):
    """A message of which nobody has heard yet."""

    guests: tuple[str, ...] = ("one", "two")


class LaterOpen(msgspec.Struct, kw_only=True, tag="open"):
    """A known message that asks for something new."""

    call: str = "c"
    uuid: str = "u"
    channel: str = "hologram"


NEW = [Invite(), LaterOpen()]


def frame(message: object) -> bytes:
    data = msgspec.msgpack.encode(message)
    return struct.pack("!I", len(data)) + data


def test_new_fields_are_passed_over() -> None:
    later = LaterReport(host="h1", epoch=1, sequence=2)
    assert messages.decode_to_cloud(msgspec.msgpack.encode(later)) == Report(host="h1", epoch=1, sequence=2)
    order = msgspec.msgpack.encode(LaterOrder(uuid="u", revision=(1, 2)))
    assert messages.decode_to_host(order) == Order(uuid="u", revision=(1, 2), why="gone")


def test_missing_fields_have_their_defaults() -> None:
    assert messages.decode_to_cloud(msgspec.msgpack.encode({"type": "report", "host": "h", "epoch": 1, "sequence": 1}))


@pytest.mark.parametrize("message", NEW, ids=["type", "value"])
def test_new_messages_are_no_messages(message: object) -> None:
    assert messages.decode_to_host(msgspec.msgpack.encode(message)) is None
    assert messages.decode_to_cloud(msgspec.msgpack.encode(message)) is None


NO_TEXT = msgspec.msgpack.encode({"type": "a", "host": "h"}).replace(b"\xa1a", b"\xa1\xff")
ENDLESS = BodyReport(since=float("inf"))
NO_NUMBER = BodyReport(fault=SeenFault(code="a", message="b", at=float("nan")))


@pytest.mark.parametrize("body", [ENDLESS, NO_NUMBER])
def test_a_report_with_a_number_that_no_row_can_hold_is_an_error(body: BodyReport) -> None:
    report = Report(host="h", epoch=1, sequence=1, bodies={"u": body})
    with pytest.raises(msgspec.DecodeError, match="not finite"):
        messages.decode_to_cloud(messages.encode(report))


TOO_DEEP = msgspec.msgpack.encode({"type": "report", "more": 1}).replace(b"\x01", b"\x91" * 5000 + b"\x01")


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"\xc0", b"\x80", b"\x93\x01\x02\x03", b"hello", NO_TEXT, TOO_DEEP])
def test_what_is_no_message_of_any_version_is_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        messages.decode_to_host(data)


def test_a_host_passes_over_what_a_later_cloud_says(short: Path) -> None:
    got: list[ToHost] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(short / "bus"))
        listener.listen()
        host = HostEnd(short / "bus", "h1")
        host.listen(got.append)
        link, _ = listener.accept()
        with link:
            for message in (*NEW, LaterOrder(uuid="u", revision=(1, 2))):
                link.sendall(frame(message))
            until(lambda: len(got) == 2)
            host.stop()
    # Beside the order there is what every connection begins with, whichever comes first.
    assert [one for one in got if one != Ask()] == [Order(uuid="u", revision=(1, 2), why="gone")]


def test_a_cloud_passes_over_what_a_later_host_says(short: Path) -> None:
    heard: list[Report] = []
    cloud = CloudEnd(short / "bus")
    cloud.listen(heard.append)
    cloud.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.connect(str(short / "bus"))
        for message in (Hello(host="h1", version=2), *NEW, LaterReport(host="h1", epoch=1, sequence=2)):
            link.sendall(frame(message))
        until(lambda: heard)
    assert heard == [Report(host="h1", epoch=1, sequence=2)]
    cloud.stop()


def test_within_one_process_too() -> None:
    bus, got = MemoryBus(), list[ToHost]()
    link = bus.host("h1")
    link.listen(got.append)
    for message in (*NEW, LaterOrder(uuid="u", revision=(1, 2))):
        link.deliver(msgspec.msgpack.encode(message))
        bus.arrived(msgspec.msgpack.encode(message))
    until(lambda: got)
    assert got == [Order(uuid="u", revision=(1, 2), why="gone")]
    bus.stop()
