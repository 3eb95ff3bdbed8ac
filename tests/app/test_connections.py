"""Connections at a listener, in this process: bounds on heads, bodies, time and number, and room for everybody else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import resource
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
import uvloop
from websockets.sync.client import connect

from pileus.app import certificates, connections, http, serving, tls
from pileus.app.answers import respond
from pileus.app.connections import ConnectionLimits, Connections
from pileus.app.processes import until
from pileus.app.protocol import HttpProtocol
from pileus.app.settings import Settings
from pileus.app.websocket import Websocket
from pileus.faces.wire.http import Response
from pileus.model import bounds
from pileus.model.errors import Throttled, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pileus.app.tls import ListenerIdentity

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nhost: a\r\n"
LARGEST = 1 << 20
OTHER = "127.0.0.2"
"""Another source address than that of the clients that crowd."""


async def echo_frames(path: str, receive: Any, send: Any) -> None:
    """Send each frame back; at /refused close the websocket, at /late accept it after a second."""
    await receive()
    if path == "/late":
        await asyncio.sleep(1)
    await send({"type": "websocket.accept"})
    if path == "/refused":
        await send({"type": "websocket.close", "code": 1013})
        return
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "bytes": message["bytes"]})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the digest of the body; at /upload of a body of any length, at /early without reading it.

    At /held answer with 8 MiB, where there is room for them.
    """
    if scope["type"] == "websocket":
        await echo_frames(scope["path"], receive, send)
        return
    if scope["path"] == "/early":
        answer = Response(401, {}, b"no")
    elif scope["path"] == "/upload":
        digest, more = hashlib.sha256(), True
        while more:
            message = await receive()
            digest.update(message.get("body", b""))
            more = message.get("more_body", False)
        answer = Response(200, {}, digest.hexdigest().encode())
    elif scope["path"] == "/held":
        has_room = scope["hold_answer"](8 << 20)
        answer = Response(200, {}, b"x" * (8 << 20)) if has_room else Response(429, {}, b"crowded")
    elif scope["path"] == "/large":
        answer = Response(200, {}, b"x" * (32 << 20))
    else:
        try:
            body = await http.body_of(scope, receive, LARGEST)
            answer = Response(200, {}, hashlib.sha256(body).hexdigest().encode())
        except TooLarge:
            answer = Response(413, {}, b"too large")
        except Throttled:
            answer = Response(429, {}, b"crowded")
        except http.Gone:
            return
    await respond(scope, send, answer)


class Served:
    """A listener in a thread of this process, with its event loop; `among` counts its connections."""

    def __init__(
        self,
        limits: ConnectionLimits,
        identity: ListenerIdentity | None = None,
        application: Callable[..., object] = echo,
    ) -> None:
        self.among = Connections(limits, identity.context if identity else None)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self._links: list[socket.socket] = []
        self._server = serving.server(application, self.among)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._server.serve(sockets=[self.listener]))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for link in self._links:
            link.close()
        self._server.should_exit = True
        self._thread.join()

    def link(self, data: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
        """Return a connection on which `data` was sent."""
        link = socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(source, 0))
        self._links.append(link)
        link.sendall(data)
        return link

    def ask(self, data: bytes, source: str = "127.0.0.1") -> bytes:
        """Return all that is answered to `data`, until the connection is closed."""
        return rest(self.link(data, source))

    def serves(self, source: str) -> bool:
        """Whether a request from an address is answered well."""
        with contextlib.suppress(OSError):
            link = self.link(GET, source)
            return link.recv(100).startswith(b"HTTP/1.1 200 ")
        return False


def rest(link: socket.socket) -> bytes:
    """Return what comes until the other side closes; a reset fails."""
    parts = []
    while part := link.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def closed(link: socket.socket) -> bool:
    """Whether the other side has closed, or reset."""
    link.setblocking(False)
    try:
        return link.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def memory() -> int:
    """Return the bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.fixture
def served() -> Iterator[Served]:
    """A listener with room."""
    with Served(ConnectionLimits(100, 50)) as listener:
        yield listener


@pytest.fixture
def hasty() -> Iterator[Served]:
    """A listener of little patience."""
    with Served(ConnectionLimits(100, 50, patience=0.2)) as listener:
        yield listener


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET / HTTP/1.1\r\n", b"x-%d: " + b"a" * 1000 + b"\r\n"),
        (b"GET / HTTP/1.1\r\nx: ", b"%d" + b"a" * 1000),
        (b"GET /", b"%d" + b"a" * 1000),
        (b"", b"\r\n" * 500),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x-%d: " + b"a" * 1000 + b"\r\n"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ", b"%d" + b"a" * 1000),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;x=", b"a" * 1000),
    ],
    ids=["headers", "header", "url", "empty-lines", "trailers", "trailer", "extension"],
)
def test_what_has_no_end_is_refused_and_is_not_kept_in_memory(served: Served, begin: bytes, more: bytes) -> None:
    link, before, size = served.link(begin), memory(), 0
    with contextlib.suppress(OSError):
        while size < 160 << 20:
            block = b"".join(more % number if b"%d" in more else more for number in range(1000))
            link.sendall(block)
            size += len(block)
    assert memory() - before < 32 << 20
    assert size < 160 << 20
    assert served.serves("127.0.0.1")


def test_a_head_that_is_too_large_is_answered(served: Served) -> None:
    many = b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: a\r\n" % number for number in range(101)) + b"\r\n"
    assert served.ask(many).startswith(b"HTTP/1.1 431 ")
    assert served.ask(b"GET / HTTP/1.1\r\nx: " + b"a" * (1 << 20)).startswith(b"HTTP/1.1 431 ")
    assert served.ask(b"\x00\xff\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    fits = b"GET / HTTP/1.1\r\nconnection: close\r\nx: " + b"a" * 60_000 + b"\r\n\r\n"
    assert served.ask(fits).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", [b"/", b"/early"])
def test_a_body_that_is_not_taken_is_answered_and_its_client_reads_that(served: Served, path: bytes) -> None:
    size = 8 << 20
    link = served.link(b"POST %s HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (path, size))
    for _ in range(size >> 16):
        link.sendall(b"x" * (1 << 16))
    answer = rest(link)
    assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 401 "))
    assert b"connection: close" in answer


def test_a_client_that_never_ends_a_refused_body_is_left(served: Served) -> None:
    link = served.link(b"POST /early HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
    sent = 0
    with contextlib.suppress(OSError):
        while sent < 1 << 30:
            link.sendall(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
            sent += 1 << 20
    assert sent < 1 << 30
    assert until(lambda: len(served.among) == 0, 20)


def test_requests_on_one_connection_are_answered_in_their_order(served: Served) -> None:
    bodies = [b"a" * 10, b"b" * 200_000, b""]
    data = b"".join(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body) for body in bodies)
    answer = served.ask(data + b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
    places = [answer.find(hashlib.sha256(body).hexdigest().encode()) for body in bodies]
    assert -1 not in places
    assert sorted(places) == places


def test_only_so_many_requests_wait_on_one_connection(served: Served) -> None:
    before = memory()
    answers = served.ask(GET * 50_000)
    assert 1 <= answers.count(b"HTTP/1.1 200 ") <= 100
    assert memory() - before < 32 << 20


@pytest.mark.parametrize("long", ["url", "header"])
def test_a_websocket_with_a_head_beyond_its_bound_is_answered_431(served: Served, long: str) -> None:
    much = b"a" * (bounds.HEAD_BYTES.most + (64 << 10))
    path, header = (much, b"") if long == "url" else (b"", much)
    upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n"
    answer = served.ask(b"GET /" + path + b" HTTP/1.1\r\nhost: a\r\n" + upgrade + b"x: " + header + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", b""),
        (HALF, b"HTTP/1.1 408 "),
        (GET + HALF, b"HTTP/1.1 200 "),
        (b"POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\nabc", b"HTTP/1.1 408 "),
        (b"POST /upload HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", b"HTTP/1.1 "),
    ],
    ids=["nothing", "half", "half-of-the-second", "half-a-body", "half-an-upload"],
)
def test_what_does_not_come_is_not_waited_for(hasty: Served, data: bytes, status: bytes) -> None:
    assert hasty.ask(data).startswith(status)
    assert until(lambda: len(hasty.among) == 0, 20)


def test_a_slow_upload_that_makes_progress_is_taken(hasty: Served) -> None:
    link = hasty.link(b"POST /upload HTTP/1.1\r\ncontent-length: 1000\r\nconnection: close\r\n\r\n")
    for _ in range(20):
        link.sendall(b"x" * 50)
        time.sleep(0.05)  # slower than the patience with all of it, and faster than the slowest
    assert hashlib.sha256(b"x" * 1000).hexdigest().encode() in rest(link)


def test_a_client_that_reads_no_answer_is_left(hasty: Served) -> None:
    hasty.link(b"GET /large HTTP/1.1\r\n\r\n")
    hasty.link(b"GET /large HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert until(lambda: len(hasty.among) == 2, 20)
    assert until(lambda: len(hasty.among) == 0, 20)


def test_half_heads_of_one_address_keep_nobody_out() -> None:
    with Served(ConnectionLimits(40, 20)) as served:
        links = [served.link(HALF) for _ in range(60)]
        assert until(lambda: sum(map(closed, links)) == 40, 20), "the oldest make room for the newest"
        # Connections that are accepted in a row are as old as each other.
        assert all(map(closed, links[: 40 - serving.AT_ONCE]))
        assert not any(map(closed, links[40 + serving.AT_ONCE :]))
        assert served.serves(OTHER)
        assert served.serves("127.0.0.1")
        for number in range(2, 6):
            links += [served.link(HALF, f"127.0.0.{number}") for _ in range(20)]
        assert until(lambda: len(served.among) == 40, 20)
        assert served.serves("127.0.0.9")


def test_connections_that_work_are_not_closed_for_others() -> None:
    with Served(ConnectionLimits(8, 4)) as served:
        links = [served.link(b"GET /large HTTP/1.1\r\nconnection: close\r\n\r\n") for _ in range(4)]
        assert [link.recv(12) for link in links] == [b"HTTP/1.1 200"] * 4
        refused = served.link()
        assert rest(refused).startswith(b"HTTP/1.1 503 ")
        assert served.serves(OTHER)
        for link in links:
            assert len(rest(link)) > 32 << 20


def test_half_bodies_make_room() -> None:
    head = b"POST /upload HTTP/1.1\r\ncontent-length: 3\r\nconnection: close\r\n\r\n"
    with Served(ConnectionLimits(8, 4)) as served:
        silent, slow = served.link(head), served.link(head)
        others = [served.link(HALF) for _ in range(2)]
        assert until(lambda: len(served.among) == 4, 20)
        slow.sendall(b"a")
        assert served.serves("127.0.0.1")
        assert until(lambda: closed(silent), 20), "of all it was silent longest"
        slow.sendall(b"bc")
        assert rest(slow).startswith(b"HTTP/1.1 200 ")
        assert not any(closed(link) for link in others)


def test_an_address_with_most_connections_makes_room_when_all_work() -> None:
    with Served(ConnectionLimits(8, 4)) as served:
        large = b"GET /large HTTP/1.1\r\nconnection: close\r\n\r\n"
        links = [served.link(large, f"127.0.0.{3 + number % 2}") for number in range(8)]
        assert [link.recv(12) for link in links] == [b"HTTP/1.1 200"] * 8
        assert served.serves(OTHER)
        assert sum(map(closed, links)) <= 1


def test_a_body_in_countless_small_chunks_is_refused(served: Served) -> None:
    head = b"POST /upload HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    assert served.ask(head + b"1\r\na\r\n" * 5000).startswith(b"HTTP/1.1 431 ")
    chunk = b"1000\r\n" + b"a" * 0x1000 + b"\r\n"
    assert served.ask(
        head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + chunk * 100 + b"0\r\n\r\n"
    ).startswith(b"HTTP/1.1 200 ")


def test_pings_whose_answers_are_not_read_take_no_memory(served: Served) -> None:
    handshake = (
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    link = served.link(handshake)
    assert link.recv(12) == b"HTTP/1.1 101"
    before = memory()
    ping = b"\x89\xfd" + bytes(4) + b"p" * 125
    link.setblocking(False)
    end = time.monotonic() + 5
    while time.monotonic() < end and memory() - before < 64 << 20:
        try:
            link.send(ping * 500)
        except (BlockingIOError, ConnectionError):
            break
    else:
        pytest.fail("all pings are taken, though no answer is read")
    assert memory() - before < 32 << 20


def test_answers_that_wait_for_their_clients_are_counted() -> None:
    ask = b"GET /held HTTP/1.1\r\nconnection: close\r\n\r\n"
    with Served(ConnectionLimits(20, 10, bodies=20 << 20, address_bodies=12 << 20)) as served:
        links = [served.link(ask) for _ in range(2)]
        answers = [link.recv(12) for link in links]
        assert sorted(answers) == [b"HTTP/1.1 200", b"HTTP/1.1 429"]
        assert served.ask(ask, OTHER).startswith(b"HTTP/1.1 200 "), "another address has room"
        for link in links:
            rest(link)
        assert until(lambda: served.among._bytes == 0, 20)
        assert served.ask(ask).startswith(b"HTTP/1.1 200 ")


def test_closed_websockets_make_room() -> None:
    handshake = (
        b"GET /refused HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with Served(ConnectionLimits(8, 4)) as served:
        links = [served.link(handshake) for _ in range(4)]
        assert [link.recv(12) for link in links] == [b"HTTP/1.1 101"] * 4
        assert until(lambda: served.serves("127.0.0.1"), 5)


def test_a_websocket_counts_until_it_ends_and_is_closed_for_nobody() -> None:
    with Served(ConnectionLimits(8, 4, patience=0.2)) as served:
        with connect(f"ws://127.0.0.1:{served.port}/", proxy=None) as stream:
            for _ in range(10):
                served.link(HALF)
            assert until(lambda: len(served.among) == 1, 20), "of half heads none is left"
            stream.send(b"x" * 300_000)
            assert stream.recv(20) == b"x" * 300_000
        assert until(lambda: len(served.among) == 0, 20)


def test_websockets_are_not_compressed() -> None:
    with Served(ConnectionLimits(8, 4)) as served, connect(f"ws://127.0.0.1:{served.port}/", proxy=None) as stream:
        assert stream.response is not None
        assert "Sec-WebSocket-Extensions" not in stream.response.headers


def test_frames_are_not_parsed_before_a_websocket_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed, accepted = list[int](), list[int]()
    data_received, send = Websocket.data_received, Websocket.send

    def counted(stream: Websocket, data: bytes) -> None:
        parsed.append(len(data))
        data_received(stream, data)

    async def accept(stream: Websocket, message: Any) -> None:
        if message["type"] == "websocket.accept":
            accepted.append(len(parsed))
        await send(stream, message)

    monkeypatch.setattr(Websocket, "data_received", counted)
    monkeypatch.setattr(Websocket, "send", accept)
    handshake = (
        b"GET /late HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with Served(ConnectionLimits(8, 4)) as served:
        link = served.link(handshake)
        assert until(lambda: bool(parsed), 5)
        link.sendall(b"\x82\x81\0\0\0\0a")
        assert link.recv(12) == b"HTTP/1.1 101"
        assert accepted == [1], "until then only the handshake was parsed"
        assert until(lambda: len(parsed) == 2, 5), "what was sent before is not lost"


def test_bodies_of_one_address_leave_memory_for_others() -> None:
    head = b"POST / HTTP/1.1\r\ncontent-length: 100000\r\n\r\n"
    with Served(ConnectionLimits(20, 10, bodies=400_000, address_bodies=200_000)) as served:
        waiting = [served.link(head + b"x" * 90_000) for _ in range(2)]
        assert until(lambda: served.among._bytes == 180_000, 20)
        assert served.link(head + b"x" * 100_000).recv(100).startswith(b"HTTP/1.1 429 ")
        assert served.link(head + b"x" * 100_000, OTHER).recv(100).startswith(b"HTTP/1.1 200 ")
        for link in waiting:
            link.sendall(b"x" * 10_000)
            assert link.recv(100).startswith(b"HTTP/1.1 200 ")
        assert served.serves("127.0.0.3")
        assert until(lambda: served.among._bytes == 0, 20)
        assert not served.among._bodies, "addresses are forgotten"


@pytest.fixture
def identity(tmp_path: Path) -> ListenerIdentity:
    """Return what a TLS listener proves itself with."""
    return tls.own(certificates.authority(tmp_path), tmp_path / "server.pem", ["127.0.0.1"])


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_handshakes_that_do_not_come_keep_nobody_out(identity: ListenerIdentity) -> None:
    with Served(ConnectionLimits(40, 20, patience=0.5), identity) as served:
        links = [served.link(b"\x16\x03\x01" if number % 2 else b"") for number in range(60)]
        for source in ("127.0.0.1", OTHER):
            with _trusting().wrap_socket(served.link(source=source)) as link:
                link.sendall(GET)
                assert link.recv(100).startswith(b"HTTP/1.1 200 ")
        assert until(lambda: all(map(closed, links)), 20)
        assert until(lambda: len(served.among) == 0, 20)


def test_a_body_that_is_too_large_is_answered_over_tls(identity: ListenerIdentity) -> None:
    with Served(ConnectionLimits(40, 20), identity) as served, _trusting().wrap_socket(served.link()) as link:
        link.sendall(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (8 << 20))
        for _ in range(128):
            link.sendall(b"x" * (1 << 16))
        assert link.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("descriptors", "wanted", "expected"),
    [(20_000, {}, (4000, 1000)), (1024, {}, (384, 192)), (20_000, {"connections": 100}, (100, 50))],
)
def test_connections_leave_descriptors_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, wanted: dict[str, Any], expected: tuple[int, int]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    limits = connections.faces(Settings(**wanted))
    assert (limits.connections, limits.address_connections) == expected
    assert limits.connections + 2 * connections.secondary_listener(Settings()).connections < descriptors


def test_connections_that_ended_are_not_kept_until_a_collection() -> None:
    def kept() -> int:
        return sum(isinstance(value, HttpProtocol) for value in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        with Served(ConnectionLimits(100, 50)) as served:
            for data in (GET, b"no HTTP\r\n\r\n", GET + HALF):
                with served.link(data) as link:
                    assert link.recv(100)
            with connect(f"ws://127.0.0.1:{served.port}/", proxy=None) as stream:
                stream.send(b"a")
                assert stream.recv() == b"a"
            served.link(HALF).close()
            assert until(lambda: kept() == 0, 20)
    finally:
        gc.enable()


def test_few_connections_are_accepted_in_one_iteration_of_the_event_loop() -> None:
    async def test() -> int:
        server = serving.server(echo, Connections(ConnectionLimits(0, 0)))
        with contextlib.ExitStack() as links, socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            listener.setblocking(False)
            for _ in range(40):
                links.enter_context(socket.create_connection(listener.getsockname()))
            server._accept(listener)  # type: ignore[attr-defined]
            accepted = server._beginning  # type: ignore[attr-defined]
            return len(await asyncio.gather(*accepted))

    assert asyncio.run(test()) <= 10, "others have their turns between"
