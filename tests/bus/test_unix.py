"""The bus over a unix socket: it reconnects, it loses rather than blocks, and believes nobody."""

from __future__ import annotations

import errno
import socket
import struct
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.bus import calls, messages
from pileus.bus.messages import Ask, Hello, Open, Opened, Order, Report
from pileus.bus.unix import LARGEST, WAITING, CloudEnd, HostEnd
from pileus.model.errors import Fault, Unavailable
from pileus.model.instance import Power
from pileus.model.spec import InstanceSpec
from tests.bus.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pileus.bus.messages import ToHost


class Cloud:
    """A cloud's end that keeps what it hears."""

    def __init__(self, path: Path) -> None:
        self.end = CloudEnd(path)
        self.heard: list[Report] = []
        self.end.listen(self.heard.append)
        self.end.start()

    def connected(self, host: str) -> bool:
        return host in self.end._wires


class Host:
    """A host's end that keeps what it gets, and answers what is opened."""

    def __init__(self, path: Path, name: str, answer: Callable[[Open], Opened] | None = None) -> None:
        self.got: list[ToHost] = []
        self.end = HostEnd(path, name)
        self._answer = answer
        self.end.listen(self._message)

    def _message(self, message: ToHost) -> None:
        self.got.append(message)
        if isinstance(message, Open) and self._answer is not None:
            self.end.send(self._answer(message))

    def orders(self) -> list[Order]:
        return [message for message in self.got if isinstance(message, Order)]


@pytest.fixture
def cloud(short: Path) -> Iterator[Cloud]:
    made = Cloud(short / "bus")
    yield made
    made.end.stop()


@pytest.fixture
def host(short: Path) -> Iterator[Callable[..., Host]]:
    made: list[Host] = []

    def make(name: str = "h1", answer: Callable[[Open], Opened] | None = None) -> Host:
        made.append(Host(short / "bus", name, answer))
        return made[-1]

    yield make
    for one in made:
        one.end.stop()


def order(number: int, user_data: str = "") -> Order:
    spec = InstanceSpec(
        uuid="u", power=Power(n=number), vcpus=1, memory=64, ec2_id="i-0", user_data=user_data, hostname="größe"
    )
    return Order(uuid="u", revision=(1, number), spec=spec)


def report(number: int, host: str = "h1") -> Report:
    return Report(host=host, epoch=1, sequence=number)


def raw(short: Path) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(20)
    try:
        link.connect(str(short / "bus"))
    except OSError:
        link.close()
        raise
    return link


def frame(message: messages.ToCloud | messages.ToHost) -> bytes:
    data = messages.encode(message)
    return struct.pack("!I", len(data)) + data


def test_both_ways_in_order(cloud: Cloud, host: Callable[..., Host]) -> None:
    one = host()
    until(lambda: cloud.connected("h1"))
    for number in range(200):
        cloud.end.send("h1", order(number))
        one.end.send(report(number))
    until(lambda: len(one.orders()) == 200 and len(cloud.heard) == 200)
    assert one.orders() == [order(number) for number in range(200)]
    assert cloud.heard == [report(number) for number in range(200)]


def test_a_new_connection_is_asked_for_everything(cloud: Cloud, host: Callable[..., Host]) -> None:
    one = host()
    until(lambda: one.got)
    assert one.got == [Ask()]


def test_a_host_that_is_not_there_is_no_error(cloud: Cloud) -> None:
    cloud.end.send("nobody", order(1))
    with pytest.raises(Unavailable):
        cloud.end.open("nobody", Open(call="c", uuid="u", channel="log"))


def test_a_cloud_that_is_not_there_is_no_error(short: Path, host: Callable[..., Host]) -> None:
    one = host()
    one.end.send(report(1))
    late = Cloud(short / "bus")
    until(lambda: late.connected("h1"))
    one.end.send(report(2))
    until(lambda: late.heard)
    assert late.heard == [report(2)]
    late.end.stop()


def test_hosts_come_back_to_a_cloud_that_comes_back(short: Path, host: Callable[..., Host]) -> None:
    one = host()
    for number in range(3):
        cloud = Cloud(short / "bus")
        until(lambda: cloud.connected("h1"))  # noqa: B023
        cloud.end.send("h1", order(number))
        until(lambda: len(one.orders()) == number + 1)  # noqa: B023
        cloud.end.stop()
        until(lambda: not cloud.connected("h1"))  # noqa: B023
    assert one.got.count(Ask()) == 3


def test_a_stopped_cloud_takes_nobody_in(short: Path) -> None:
    cloud = Cloud(short / "bus")
    cloud.end.stop()
    with pytest.raises(ConnectionRefusedError):
        raw(short)


def test_large_messages_pass(cloud: Cloud, host: Callable[..., Host]) -> None:
    one = host()
    until(lambda: cloud.connected("h1"))
    big = "x" * (12 << 20)
    cloud.end.send("h1", order(1, big))
    one.end.send(msgspec.structs.replace(report(1), zone=big))
    until(lambda: one.orders() and cloud.heard)
    assert one.orders() == [order(1, big)]
    assert cloud.heard[0].zone == big


@pytest.mark.parametrize(
    "said",
    [
        struct.pack("!I", LARGEST + 1),
        struct.pack("!I", 5) + b"hello",
        struct.pack("!I", 0),
        frame(report(1)),
        frame(Hello(host="h9")) + frame(report(1, "h1")),
        frame(Hello(host="h9")) + struct.pack("!I", 3) + b"\xff\xff\xff",
        frame(Ask()),
    ],
    ids=["too large", "no message", "nothing", "no hello", "another's name", "garbage after hello", "not for it"],
)
def test_who_does_not_speak_properly_is_hung_up_on(
    said: bytes, cloud: Cloud, host: Callable[..., Host], short: Path
) -> None:
    good = host()
    until(lambda: cloud.connected("h1"))
    with raw(short) as link:
        link.sendall(said)
        assert link.recv(1) == b""
    good.end.send(report(7))
    until(lambda: cloud.heard)
    assert cloud.heard == [report(7)]
    until(lambda: not cloud.connected("h9"))


def test_half_a_message_is_no_message(cloud: Cloud, short: Path) -> None:
    with raw(short) as link:
        link.sendall(frame(Hello(host="h2")) + frame(report(1, "h2"))[:-1])
        until(lambda: cloud.connected("h2"))
    until(lambda: not cloud.connected("h2"))
    assert cloud.heard == []


def test_the_newer_connection_of_a_host_is_the_one(cloud: Cloud, short: Path) -> None:
    with raw(short) as first, raw(short) as second:
        first.sendall(frame(Hello(host="h1")))
        until(lambda: cloud.connected("h1"))
        second.sendall(frame(Hello(host="h1")))
        assert first.recv(1) == b""
        cloud.end.send("h1", order(1))
        assert second.recv(4) == frame(order(1))[:4]
        assert cloud.connected("h1")


def test_who_does_not_read_blocks_nobody(cloud: Cloud, host: Callable[..., Host], short: Path) -> None:
    good = host()
    with raw(short) as deaf:
        deaf.sendall(frame(Hello(host="deaf")))
        until(lambda: cloud.connected("deaf") and cloud.connected("h1"))
        for number in range(WAITING + 2000):
            cloud.end.send("deaf", order(number))
        cloud.end.send("h1", order(1))
        until(good.orders)
    until(lambda: not cloud.connected("deaf"))


def test_a_channel_is_opened(cloud: Cloud, host: Callable[..., Host]) -> None:
    def answer(asked: Open) -> Opened:
        if asked.channel == "log":
            return Opened(call=asked.call, address="/a", ticket=asked.uuid)
        return Opened(call=asked.call, code="Unsupported", message="no")

    host(answer=answer)
    until(lambda: cloud.connected("h1"))
    tickets = []

    def ask(number: int) -> None:
        tickets.append(cloud.end.open("h1", Open(call=f"c{number}", uuid=f"u{number}", channel="log")).ticket)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tickets) == [f"u{number}" for number in range(8)]
    with pytest.raises(Fault) as caught:
        cloud.end.open("h1", Open(call="d", uuid="u", channel="console"))
    assert (caught.value.code, caught.value.message) == ("Unsupported", "no")


def test_no_answer_is_an_error_after_a_while(
    cloud: Cloud, host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PATIENCE", 0.05)
    one = host()
    until(lambda: cloud.connected("h1"))
    with pytest.raises(Unavailable):
        cloud.end.open("h1", Open(call="c", uuid="u", channel="log"))
    one.end.send(Opened(call="c", address="/late", ticket="t"))
    one.end.send(report(1))
    until(lambda: cloud.heard)
    assert cloud.end._calls._answers == {}


def test_a_cloud_that_had_no_descriptor_for_a_host_takes_it_in_later(
    cloud: Cloud, host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud.end, "_socket", Exhausted(cloud.end._socket, 3))
    one, two = host("h1"), host("h2")
    until(lambda: cloud.connected("h1") and cloud.connected("h2"))
    one.end.send(report(1))
    two.end.send(report(1, "h2"))
    until(lambda: len(cloud.heard) == 2)


class Exhausted:
    """A listening socket whose first connections find no descriptor left."""

    def __init__(self, link: socket.socket, times: int) -> None:
        self._link = link
        self._left = times

    def accept(self) -> tuple[socket.socket, object]:
        link, address = self._link.accept()
        if not self._left:
            return link, address
        self._left -= 1
        link.close()
        raise OSError(errno.EMFILE, "Too many open files")

    def __getattr__(self, name: str) -> object:
        return getattr(self._link, name)


def test_a_connection_that_cannot_be_written_ends_and_the_host_comes_back(
    cloud: Cloud, host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = host("h1")
    until(lambda: cloud.connected("h1"))
    wire = one.end._wire
    assert wire is not None

    class Full:
        """The socket of a machine without buffers; all but writing is the real one's."""

        def __init__(self, link: socket.socket) -> None:
            self._link = link

        def sendall(self, _data: bytes) -> None:
            raise OSError(errno.ENOBUFS, "No buffer space available")

        def __getattr__(self, name: str) -> object:
            return getattr(self._link, name)

    monkeypatch.setattr(wire, "_link", Full(wire._link))
    one.end.send(report(1))

    def heard() -> bool:
        one.end.send(report(2))
        return any(each.sequence == 2 for each in cloud.heard)

    until(heard)


def test_a_message_whose_handling_fails_ends_no_connection(cloud: Cloud, host: Callable[..., Host]) -> None:
    def take(heard: Report) -> None:
        if heard.sequence == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        cloud.heard.append(heard)

    cloud.end.listen(take)
    one = host()
    until(lambda: cloud.connected("h1"))
    one.end.send(report(1))
    one.end.send(report(2))
    until(lambda: cloud.heard)
    assert cloud.heard == [report(2)]
    assert one.got == [Ask()], "it is the same connection"


def test_a_connection_for_whose_reports_there_is_no_room_waits_and_no_other_one_does(
    cloud: Cloud, host: Callable[..., Host]
) -> None:
    flooded: list[Report] = []

    def take(heard: Report) -> bool:
        (cloud.heard if heard.host == "h1" else flooded).append(heard)
        return heard.host == "h1"

    cloud.end.listen(take)
    one, two = host("h1"), host("h2")
    until(lambda: cloud.connected("h1") and cloud.connected("h2"))
    for number in range(200):
        two.end.send(report(number, "h2"))
    until(lambda: flooded)
    for number in range(50):
        one.end.send(report(number))
    until(lambda: len(cloud.heard) == 50)
    assert len(flooded) < 200
