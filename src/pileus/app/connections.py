"""One HTTP connection of any listener: bounds on the bytes and the time of requests, and on connections.

`Connection` is uvicorn's protocol. `Census` counts the connections of one listener. A connection *waits* while it has
no whole request: a request is coming, or the connection is idle. At the limit of its address, or of the listener, a new
connection takes the place of the one that was heard the longest ago of all that wait. Without such a connection the new
one is answered with 503.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pileus.model import bounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn.server import ServerState

SECOND = 1.0
"""The length of the seconds in which the bounds count; tests make it shorter."""

TICK = 5
"""Seconds between two looks at the rate of a body."""


class Census:
    """The connections of one listener, by the client's address."""

    def __init__(self) -> None:
        self.total = 0
        self._count: dict[str, int] = defaultdict(int)
        self._waiting: dict[str, dict[Connection, None]] = defaultdict(dict)
        """The connections that wait, by address; the one that waits for the longest is first."""

    def admit(self, connection: Connection) -> bool:
        """Count a new connection, in the place of one that waits if need be; False when there is no place."""
        address = connection.address
        if self.total >= bounds.CONNECTIONS.most:
            crowded = max(self._waiting, key=lambda each: len(self._waiting[each]), default=address)
            if not self._evict(crowded):
                return False
        elif self._count[address] >= bounds.ADDRESS_CONNECTIONS.most and not self._evict(address):
            return False
        self.total += 1
        self._count[address] += 1
        self._waiting[address][connection] = None
        return True

    def waits(self, connection: Connection) -> None:
        """Note that the connection has no whole request, and that it was heard just now."""
        waiting = self._waiting[connection.address]
        waiting.pop(connection, None)
        waiting[connection] = None

    def works(self, connection: Connection) -> None:
        """Note that the connection has a whole request."""
        self._waiting[connection.address].pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """Forget a connection that was admitted."""
        address = connection.address
        self.total -= 1
        self._count[address] -= 1
        self._waiting[address].pop(connection, None)
        if not self._count[address]:
            del self._count[address], self._waiting[address]

    def _evict(self, address: str) -> bool:
        waiting = self._waiting.get(address)
        if not waiting:
            return False
        oldest = next(iter(waiting))
        del waiting[oldest]
        oldest.abort()
        return True


_CENSUS = "census"


def census(state: ServerState) -> Census:
    """Return the census of a listener, which its server's state keeps."""
    found: Census = state.__dict__.setdefault(_CENSUS, Census())
    return found


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds.

    `scope["host"]` is the (name, serial number) of the client's certificate, or None.
    """

    address = ""
    _admitted = False
    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _refusal: HTTPStatus | None = None
    _head = 0
    """Bytes of the head that the parser has given so far."""
    _unparsed = 0
    """Bytes that were received since the parser gave a part of a request last."""
    _body = 0
    """Bytes of the body since the last look."""

    # -- the transport's side ------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Count the connection, and wait for a head."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._census = census(self.server_state)
        self._admitted = self._census.admit(self)
        if self._admitted:
            self._await_head()
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        if self._admitted:
            self._admitted = False
            self._census.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; refuse a head, a trailer or a queue of requests beyond its bound."""
        if self.transport.is_closing():
            return
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > bounds.REQUEST_HEAD.most:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if self._refusal is not None and not self.transport.is_closing():
            self._refuse(self._refusal)

    def abort(self) -> None:
        """End the connection in favour of another one."""
        self._stop_timer()
        self.transport.abort()

    # -- the parser's side ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head, self._head = True, 0
        self.scope["host"] = _peer(self.transport)  # type: ignore[typeddict-unknown-key]
        self._await_head()

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        if self._take(len(url)):
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers behind a body are dropped."""
        if self._take(len(name) + len(value)) and self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Watch the rate of the body from now on."""
        self._in_head, self._unparsed, self._body = False, 0, 0
        self._again(bounds.BODY_START.most, self._look)
        if len(self.pipeline) >= bounds.PIPELINED_REQUESTS.most:
            self._refusal = HTTPStatus.TOO_MANY_REQUESTS
        if self._refusal is None:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unparsed = 0
        self._body += len(body)
        if self._refusal is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Leave the request to the application."""
        self._unparsed = 0
        self._stop_timer()
        if self._refusal is None:
            self._census.works(self)
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for another request on the same connection."""
        super().on_response_complete()
        if self._admitted and not self.pipeline:
            self._census.waits(self)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to the protocol of websockets; it counts as one that works."""
        self._stop_timer()
        self._census.works(self)
        super().handle_websocket_upgrade()
        self._admitted = False
        _when_closed(self.transport.get_protocol(), lambda: self._census.leave(self))

    # -- bounds --------------------------------------------------------------------------------------------------------

    def _take(self, size: int) -> bool:
        self._head += size
        if self._head > bounds.REQUEST_HEAD.most:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return self._refusal is None

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer what is no request, and end the connection."""
        self._stop_timer()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not (cycle.response_started or self.pipeline):
            again = b"retry-after: 1\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else b""
            phrase = status.phrase.encode()
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n%sconnection: close\r\n\r\n%s\n"
                % (status, phrase, len(phrase) + 1, again, phrase)
            )
        self.transport.close()

    def _await_head(self) -> None:
        self._again(bounds.HEAD_TIME.most, self._late)

    def _late(self) -> None:
        if self.flow.read_paused:  # until an earlier request on this connection is answered
            self._await_head()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _look(self) -> None:
        """End a connection whose body comes too slowly; a pause that this side makes is not the client's."""
        cycle: RequestResponseCycle | None = self.cycle
        paused = self.flow.read_paused or (cycle is not None and cycle.waiting_for_100_continue)
        if not paused and self._body < bounds.BODY_RATE.most * TICK:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
            return
        self._body = 0
        self._census.waits(self)
        self._again(TICK, self._look)

    def _again(self, seconds: float, call: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds * SECOND, call)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _when_closed(protocol: Any, then: Any) -> None:
    """Call `then` after a protocol has lost its connection."""
    lost = protocol.connection_lost

    def connection_lost(error: Exception | None) -> None:
        then()
        lost(error)

    protocol.connection_lost = connection_lost


def _peer(transport: Any) -> tuple[str, str] | None:
    certificate = transport.get_extra_info("peercert")
    if not certificate:
        return None
    names = [value for part in certificate["subject"] for key, value in part if key == "commonName"]
    return names[0], f"{int(certificate['serialNumber'], 16):x}"
