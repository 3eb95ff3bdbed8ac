"""Frames of websockets at a listener: a few at a time, in turns, and few control frames."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
from typing import Any, cast

import pytest
from websockets.sync.client import connect

from pileus.app.connections import ConnectionLimits
from pileus.app.processes import until
from pileus.app.websocket import LARGEST_DEBT, LONGEST_WORK, Turns, Websocket
from pileus.model import bounds
from tests.app.test_connections import Served, rest

UPGRADE = (
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
PING = b"\x89\x80\0\0\0\0"
MESSAGE = b"\x82\x81\0\0\0\0a"


def stream(served: Served) -> socket.socket:
    """Return a connection on which a websocket was accepted."""
    link = served.link(UPGRADE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += link.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 ")
    return link


def frame(data: bytes) -> bytes:
    """Return a binary message in one frame, as a client sends it."""
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", 0x82, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x82, 0xFE, size)
    else:
        head = struct.pack("!BBQ", 0x82, 0xFF, size)
    return head + bytes(4) + data


class Sink:
    """An application that takes messages, and counts them: all, and the most in one iteration of the event loop."""

    def __init__(self) -> None:
        self.all = self.most = self.now = 0

    async def __call__(self, _: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            if not self.now:
                asyncio.get_running_loop().call_soon(self._begin)
            self.all += 1
            self.now += 1
            self.most = max(self.most, self.now)

    def _begin(self) -> None:
        self.now = 0


def test_one_byte_messages_are_taken_a_few_at_a_time() -> None:
    sink, count = Sink(), 60_000
    with Served(ConnectionLimits(8, 4), application=sink) as served:
        stream(served).sendall(MESSAGE * count)
        assert until(lambda: sink.all == count, 60), sink.all
    assert sink.most <= 200, "others have their turns between"


def test_text_that_is_no_utf_8_ends_a_websocket_and_writes_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with Served(ConnectionLimits(8, 4)) as served:
        link = stream(served)
        link.sendall(b"\x81\x81\0\0\0\0\xff")
        assert link.recv(4) == b"\x88\x1d" + (1007).to_bytes(2)
    assert caplog.records == []


def test_many_control_frames_end_a_websocket() -> None:
    with Served(ConnectionLimits(8, 4)) as served:
        link = stream(served)
        link.sendall(PING * 10 + MESSAGE)
        answer = b""
        while len(answer) < 23:
            answer += link.recv(100)
        assert answer == b"\x8a\0" * 10 + b"\x82\x01a", "a few pings are answered"
        link.sendall(PING * (bounds.CONTROL_FRAMES.most * 20 + 100))
        assert b"\x88" in (end := rest(link))
        assert struct.pack("!H", 1008) in end
        flood = stream(served)
        with pytest.raises(ConnectionError):
            flood.sendall(PING * 1_000_000)
        assert until(lambda: len(served.among) == 0, 20)


def test_messages_of_any_length_cut_anywhere_arrive_whole() -> None:
    sent = [os.urandom(size) for size in (0, 1, 125, 126, 127, 65535, 65536, 300_000, 1 << 20, 5)]
    data = b"".join(map(frame, sent))
    for step in (1, 7, 4096, len(data)):
        with Served(ConnectionLimits(8, 4)) as served:
            link = stream(served)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            cut = min(len(data), 1000 * step)
            for start in range(0, cut, step):
                link.sendall(data[start : min(start + step, cut)])
            link.sendall(data[cut:])
            answer = bytearray()
            wanted = sum(len(part) + (2 if len(part) < 126 else 4 if len(part) < 1 << 16 else 10) for part in sent)
            while len(answer) < wanted:
                answer += link.recv(1 << 20)
            for part in sent:
                head = frame(part)[: len(frame(part)) - len(part) - 4]
                assert answer.startswith(bytes((head[0], head[1] & 0x7F)) + head[2:] + part)
                del answer[: len(head) + len(part)]


def test_a_frame_that_is_none_ends_the_websocket() -> None:
    with Served(ConnectionLimits(8, 4)) as served:
        for wrong in (b"\x82\x01a", b"\x83\x80\0\0\0\0", b"\x82\xff" + b"\xff" * 8 + bytes(4) + b"a"):
            link = stream(served)
            link.sendall(wrong)
            with contextlib.suppress(ConnectionError):
                assert rest(link).startswith(b"\x88")
        assert until(lambda: len(served.among) == 0, 20)


def test_large_messages_both_ways_at_once_are_not_lost() -> None:
    with Served(ConnectionLimits(8, 4)) as served, connect(f"ws://127.0.0.1:{served.port}/", proxy=None) as link:
        for size in (1, 65536, 500_000) * 5:
            link.send(b"x" * size)
            assert len(link.recv(20)) == size


class Waiting:
    """A websocket that wants turns without an end."""

    def __init__(self, turns: Turns, tasks: int) -> None:
        self.turns, self.tasks, self.taken = turns, range(tasks), 0
        turns.accepted.add(cast("Websocket", self))

    def take_turn(self) -> None:
        """Count the turn, and wait for another one."""
        self.taken += 1
        self.turns.wait(cast("Websocket", self))


@pytest.mark.parametrize(("requests", "waits"), [(0, False), (1, True)])
def test_websockets_keep_to_their_share_while_a_request_is_answered(*, requests: int, waits: bool) -> None:
    async def turns() -> bool:
        every = Turns()
        loud, mute = streams = [Waiting(every, 2 + requests) for _ in range(2)]
        for stream in streams:
            every.wait(cast("Websocket", stream))
        await asyncio.sleep(0)
        assert abs(loud.taken - mute.taken) <= 1, "they take turns"
        every.charge(60)
        before = loud.taken
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waited = loud.taken == before
        await asyncio.sleep(1)
        assert loud.taken > before, "a debt is small"
        for stream in streams:
            every.leave(cast("Websocket", stream))
        return waited

    assert asyncio.run(turns()) is waits


@pytest.mark.parametrize(("requests", "waits"), [(0, False), (1, True)])
def test_messages_to_clients_count_and_wait_as_those_from_them(*, requests: int, waits: bool) -> None:
    async def sends() -> list[float]:
        every = Turns()
        streams = [cast("Websocket", Waiting(every, 2 + requests)) for _ in range(2)]
        await every.pay(streams[0])
        every.charge(LARGEST_DEBT / 2)
        begin, paid = time.monotonic(), []

        async def send(stream: Websocket) -> None:
            await every.pay(stream)
            every.charge(LARGEST_DEBT / 2)
            paid.append(time.monotonic() - begin)

        await asyncio.gather(*map(send, streams))
        return paid

    delay = LARGEST_DEBT / 2 / (bounds.WEBSOCKET_TIME.most / 100)
    first, second = asyncio.run(sends())
    assert (first > delay * 0.8) is waits
    assert (second > delay * 1.6) is waits, "one after the other"


def test_each_message_to_a_client_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    charged: list[float] = []
    monkeypatch.setattr(Turns, "charge", lambda _, seconds: charged.append(seconds))

    async def say(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(100):
            await send({"type": "websocket.send", "bytes": b"a"})

    with Served(ConnectionLimits(8, 4), application=say) as served:
        assert rest(stream(served)).count(b"\x82\x01a") == 100
    assert charged.count(LONGEST_WORK) >= 100
