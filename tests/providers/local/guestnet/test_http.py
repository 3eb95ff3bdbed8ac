"""The HTTP server side that guests talk to: framing, limits, and that nothing sent to it breaks it."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.providers.local.guestnet import http


@dataclass
class Echo:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Asked = list[tuple[str, str, dict[str, str]]]


async def talk(data: bytes, *, end: bool = True) -> tuple[bytes, Asked]:
    """Send `data` in small pieces and return all that came back, and what was asked."""
    asked: Asked = []

    async def answer(method: str, path: str, headers: Mapping[str, str]) -> Echo:
        asked.append((method, path, dict(headers)))
        if path == "/broken":
            raise ZeroDivisionError
        return Echo(body=f"{method} {path}".encode(), headers={"X-Kind": "echo"})

    client, server = socket.socketpair()
    client.setblocking(False)
    server.setblocking(False)
    loop = asyncio.get_running_loop()

    async def write() -> None:
        with contextlib.suppress(OSError):
            for start in range(0, len(data), 1000):
                await loop.sock_sendall(client, data[start : start + 1000])
            if end:
                client.shutdown(socket.SHUT_WR)

    async def read() -> bytes:
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := await loop.sock_recv(client, 65536):
                got += chunk
        return got

    async def serve() -> None:
        try:
            await http.converse(server, answer)
        finally:
            server.close()

    with client:
        _, got, outcome = await asyncio.gather(write(), read(), serve(), return_exceptions=True)
    assert isinstance(got, bytes)
    if isinstance(outcome, BaseException) and not isinstance(outcome, OSError):
        raise outcome
    return got, asked


def said(data: bytes) -> tuple[bytes, Asked]:
    return asyncio.run(talk(data))


def test_one_request_and_goodbye() -> None:
    got, asked = said(b"GET /a?b HTTP/1.0\r\nHost: x\r\nX-Two: 1\r\nx-two: 2\r\n\r\n")
    assert asked == [("GET", "/a?b", {"host": "x", "x-two": "1, 2"})]
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nX-Kind: echo\r\nContent-Length: 8\r\nConnection: close\r\nDate: ")
    assert body == b"GET /a?b"


def test_connections_are_kept_and_requests_may_queue() -> None:
    got, asked = said(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert [path for _, path, _ in asked] == ["/1", "/2", "/3"]
    assert got.count(b"Connection: keep-alive") == 2
    assert got.endswith(b"GET /3")


def test_what_follows_the_last_request_is_not_answered() -> None:
    _, asked = said(b"GET /1 HTTP/1.1\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
    assert [path for _, path, _ in asked] == ["/1"]
    _, asked = said(b"GET /1 HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: tea\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
    assert [path for _, path, _ in asked] == ["/1"]


def test_head_has_a_length_and_no_body() -> None:
    got, _ = said(b"HEAD /a HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert b"Content-Length: 7\r\n" in got
    assert got.endswith(b"\r\n\r\n")


def test_a_proxys_form_of_the_path() -> None:
    _, asked = said(b"GET http://169.254.169.254/x?y HTTP/1.0\r\n\r\nGET http://h HTTP/1.0\r\n\r\n")
    assert asked[0][:2] == ("GET", "/x?y")


def test_bodies_are_dropped_and_bounded() -> None:
    got, asked = said(b"PUT /t HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.0\r\n\r\n")
    assert [path for _, path, _ in asked] == ["/t", "/2"]
    got, asked = said(b"PUT /t HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 40_000)
    assert got.startswith(b"HTTP/1.1 413 ")
    assert asked == []
    got, _ = said(b"PUT /t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 8_000)
    assert got.startswith(b"HTTP/1.1 413 ")


def test_a_body_that_waits_is_asked_for() -> None:
    got, asked = said(b"PUT /t HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert (got, asked) == (b"HTTP/1.1 100 Continue\r\n\r\n", [])


@pytest.mark.parametrize("data", [b"GET /" + b"x" * 40_000, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 8_000])
def test_heads_are_bounded(data: bytes) -> None:
    got, asked = said(data)
    assert got.startswith(b"HTTP/1.1 431 ")
    assert asked == []


def test_garbage_is_a_bad_request() -> None:
    for data in (b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /\r\n\r\n"):
        got, asked = said(data)
        assert got.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 200 ")), data
        assert len(asked) <= 1


def test_a_mistake_of_ours_is_told_and_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        said(b"GET /broken HTTP/1.1\r\n\r\n")


def test_a_silent_caller_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT", 0.05)
    got, asked = asyncio.run(talk(b"GET / HTTP/1.1\r\nHost: ", end=False))
    assert (got, asked) == (b"", [])


LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"PUT /x HTTP/1.0",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"\r\n",
        b"",
        b"a: b",
    ]
)


@given(st.lists(st.one_of(LINES, st.binary(max_size=20)), max_size=10).map(b"\r\n".join))
def test_nothing_breaks_it(data: bytes) -> None:
    got, asked = said(data)
    assert len(asked) <= got.count(b"HTTP/1.1 ")
