"""A small HTTP/1.0 and 1.1 server side over one connected socket, for callers that nobody vouches for.

Everything is bounded: the head, the body, the time a request may take to arrive and an answer to leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol

import httptools

from pileus.model import bounds

TIMEOUT = 15.0
"""Seconds for a request to arrive in full, counted from the last answer, and for an answer to be taken."""

_CHUNK = 4096
_LINGER = 1.0
_ORIGIN = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*")


class Reply(Protocol):
    """The reply to send; framing headers are added here."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers without Content-Length, Connection and Date."""

    @property
    def body(self) -> bytes:
        """The body; not sent in an answer to HEAD."""


Answer = Callable[[str, str, Mapping[str, str]], Awaitable[Reply]]
"""(method, path with its query, headers by lower-case name) → Reply, of which nothing blocks the loop."""


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    headers: Mapping[str, str]
    persistent: bool


@dataclass(frozen=True)
class _Plain:
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Refused(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class _Reader:
    """Takes bytes as they come and gives requests; httptools calls its `on_` methods."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._complete: list[_Request] = []
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._fed = 0
        self._in_body = False
        self._started = False
        self.expects_continue = False

    def feed(self, data: bytes) -> list[_Request]:
        """The requests that are complete with `data`. Raises _Refused where only an error can answer."""
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                raise _Refused(HTTPStatus.BAD_REQUEST) from error
            # What follows the last request is not HTTP, or nothing should follow it; the request stands.
            self._complete[-1] = replace(self._complete[-1], persistent=False)
        if self._started:
            self._check_size()
        complete, self._complete = self._complete, []
        return complete

    def _check_size(self) -> None:
        # A body is read and dropped; its framing counts.
        if self._in_body and self._fed > bounds.METADATA_HEAD.most + bounds.METADATA_BODY.most:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not self._in_body and self._fed > bounds.METADATA_HEAD.most:
            raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._begin()
        self._started = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        self._in_body = True
        self.expects_continue = self._headers.get("expect", "").lower() == "100-continue"

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("latin-1")
        path = _ORIGIN.sub("", self._url.decode("latin-1"), count=1) or "/"
        persistent = self._parser.should_keep_alive()
        self._complete.append(_Request(method, path, self._headers, persistent))
        self._begin()


async def converse(connection: socket.socket, answer: Answer) -> None:
    """Answer the requests on `connection`, which must not block, until either side has had enough.

    Leaves the socket open for the caller to close. Raises OSError when the peer breaks the connection off,
    and whatever `answer` raises once the peer was told of an error.
    """
    reader = _Reader()
    try:
        while requests := await _next_requests(connection, reader):
            for request in requests:
                try:
                    reply = await answer(request.method, request.path, request.headers)
                except Exception:
                    sorry = _plain(HTTPStatus.INTERNAL_SERVER_ERROR)
                    await _send(connection, request, sorry, persistent=False)
                    raise
                await _send(connection, request, reply, persistent=request.persistent)
                if not request.persistent:
                    return
    except _Refused as refusal:
        nobody = _Request("", "", {}, persistent=False)
        await _send(connection, nobody, _plain(refusal.status), persistent=False)
        await _linger(connection)
    except TimeoutError:
        return


async def _next_requests(connection: socket.socket, reader: _Reader) -> list[_Request]:
    """The next requests; none when the peer has ended. Raises _Refused, TimeoutError, OSError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(TIMEOUT):
        while data := await loop.sock_recv(connection, _CHUNK):
            requests = reader.feed(data)
            if requests:
                return requests
            if reader.expects_continue:
                reader.expects_continue = False
                await loop.sock_sendall(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
    return []


async def _send(connection: socket.socket, request: _Request, reply: Reply, *, persistent: bool) -> None:
    status = HTTPStatus(reply.status)
    headers = {
        **reply.headers,
        "Content-Length": str(len(reply.body)),
        "Connection": "keep-alive" if persistent else "close",
        "Date": formatdate(usegmt=True),
    }
    fields = (f"{name}: {text}" for name, text in headers.items())
    head = "\r\n".join([f"HTTP/1.1 {status.value} {status.phrase}", *fields, "", ""]).encode(
        "latin-1", errors="replace"
    )
    async with asyncio.timeout(TIMEOUT):
        body = b"" if request.method == "HEAD" else reply.body
        await asyncio.get_running_loop().sock_sendall(connection, head + body)


async def _linger(connection: socket.socket) -> None:
    """Let the peer read the refusal: closing while it still sends would reset the connection and lose it."""
    with contextlib.suppress(OSError, TimeoutError):
        connection.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_LINGER):
            while await asyncio.get_running_loop().sock_recv(connection, _CHUNK):
                pass


def _plain(status: HTTPStatus) -> Reply:
    body = f"{status.value} - {status.phrase}\n".encode("ascii")
    return _Plain(status, {"Content-Type": "text/plain"}, body)
