"""Bounds of one listener: heads, bodies and connections beyond them are refused, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app import connections, processes, serving
from pileus.app.http import Gone, TooLarge, body_of, respond
from pileus.faces.wire.http import Response
from pileus.model import bounds

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 1000


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the length of the body."""
    try:
        body = await body_of(scope, receive, LARGEST)
    except TooLarge:
        await respond(scope, send, Response(413, {"connection": "close"}, b"too large"))
    except Gone:
        return
    else:
        await respond(scope, send, Response(200, {}, b"%d" % len(body)))


class Listener:
    """A server in a thread of its own."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.server = serving.server(application)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def census(self) -> connections.Census:
        """Its connections."""
        return connections.census(self.server.server_state)

    def _run(self) -> None:
        self._loop.run_until_complete(self.server.serve(sockets=[self.socket]))
        self._loop.close()

    def close(self) -> None:
        """End it."""
        self.server.should_exit = self.server.force_exit = True
        self._thread.join()

    def connect(self, data: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
        """Connect, and send."""
        link = socket.create_connection(self.socket.getsockname(), timeout=20, source_address=(source, 0))
        link.sendall(data)
        return link

    def says(self, data: bytes, source: str = "127.0.0.1") -> bytes:
        """Return all that is answered to `data` until the connection ends."""
        with self.connect(source=source) as link:
            with contextlib.suppress(OSError):
                link.sendall(data)
            return rest(link)


def rest(link: socket.socket) -> bytes:
    """Return what comes until the connection ends."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := link.recv(65536):
            found += part
    return found


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A server whose loop, as those of the product, runs until it is told to end."""
    made = Listener()
    yield made
    made.close()


GET = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param((b"GET / HTTP/1.1\r\n", b"x: " + b"a" * 997 + b"\r\n"), id="headers"),
        pytest.param((b"GET / HTTP/1.1\r\nx: ", b"a" * 1000), id="one header"),
        pytest.param((b"GET /", b"a" * 1000), id="url"),
        pytest.param(
            (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: " + b"a" * 997 + b"\r\n"),
            id="trailers",
        ),
        pytest.param(
            (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;x=", b"a" * 1000), id="a chunk's extension"
        ),
    ],
)
def test_a_request_without_an_end_is_refused_and_takes_no_memory(
    listener: Listener, endless: tuple[bytes, bytes]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin, more = endless
    sent = 0
    with listener.connect(begin) as link, contextlib.suppress(OSError):
        while sent < 64 << 20:
            link.sendall(more)
            sent += len(more)
    assert sent < 32 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
    assert listener.says(GET).startswith(b"HTTP/1.1 200")


def test_a_head_beyond_its_bound_is_answered_431(listener: Listener) -> None:
    largest = b"GET / HTTP/1.1\r\nx: " + b"a" * (bounds.REQUEST_HEAD.most - 200) + b"\r\nconnection: close\r\n\r\n"
    assert listener.says(largest).startswith(b"HTTP/1.1 200")
    beyond = b"GET / HTTP/1.1\r\nx: " + b"a" * bounds.REQUEST_HEAD.most + b"\r\n\r\n"
    assert listener.says(beyond).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "data",
    [b"", b"GET / HT", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 900\r\n\r\nslow"],
    ids=["", "head", "body"],
)
def test_a_request_that_does_not_come_is_not_waited_for(
    listener: Listener, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SECOND", 0.01)
    with listener.connect(data) as link:
        assert rest(link).startswith(b"HTTP/1.1 408")


def test_a_second_request_that_does_not_come_is_not_waited_for(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SECOND", 0.01)
    with listener.connect(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HT") as link:
        answer = rest(link)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in answer


def test_requests_beyond_those_that_may_wait_end_the_connection(listener: Listener) -> None:
    request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
    few = listener.says(request * bounds.PIPELINED_REQUESTS.most + GET)
    assert few.count(b"HTTP/1.1 200") == bounds.PIPELINED_REQUESTS.most + 1
    many = listener.says(request * 5000 + GET)
    assert many.count(b"HTTP/1.1 200") < 1000


@pytest.mark.parametrize("size", [LARGEST + 1, 200_000, 8 << 20])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_answered_413(listener: Listener, size: int, *, chunked: bool) -> None:
    if chunked:
        data = b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (size, b"a" * size)
    else:
        data = b"content-length: %d\r\n\r\n%s" % (size, b"a" * size)
    answer = listener.says(b"POST / HTTP/1.1\r\nhost: a\r\n" + data)
    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.endswith(b"too large")


def bounded(monkeypatch: pytest.MonkeyPatch, name: str, most: int) -> None:
    """Have a bound be smaller."""
    bound = getattr(bounds, name)
    monkeypatch.setattr(bounds, name, bounds.Bound(what=bound.what, per=bound.per, most=most, answer=bound.answer))


def test_half_heads_of_one_address_keep_nobody_out(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, "CONNECTIONS", 20)
    bounded(monkeypatch, "ADDRESS_CONNECTIONS", 15)
    with contextlib.ExitStack() as open_:
        for _ in range(40):
            open_.enter_context(listener.connect(b"GET / HTTP/1.1\r\n"))
        assert processes.until(lambda: listener.census.total == 15, 10)
        assert listener.says(GET).startswith(b"HTTP/1.1 200")
        assert listener.says(GET, "127.0.0.2").startswith(b"HTTP/1.1 200")
    assert processes.until(lambda: listener.census.total == 0, 10)


def test_many_addresses_keep_nobody_out(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, "CONNECTIONS", 10)
    bounded(monkeypatch, "ADDRESS_CONNECTIONS", 5)
    with contextlib.ExitStack() as open_:
        for number in range(30):
            open_.enter_context(listener.connect(b"GET / HTTP/1.1\r\n", f"127.0.1.{number % 6}"))
        assert processes.until(lambda: listener.census.total == 10, 10)
        assert listener.says(GET, "127.0.0.3").startswith(b"HTTP/1.1 200")


def test_where_every_connection_works_a_new_one_is_answered_503(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded(monkeypatch, "CONNECTIONS", 3)
    census = listener.census
    census.total = 3
    answer = listener.says(GET)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after" in answer
    census.total = 0
