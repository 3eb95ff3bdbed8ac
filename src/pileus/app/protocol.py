"""HTTP/1.1 on a client's connection: uvicorn's protocol, within bounds on bytes, on time and on connections.

All listeners of the cloud use it. A refusal is answered in plain words, and the connection is closed such
that the client can read the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import enum
import fcntl
import functools
import http
import socket
import struct
import termios
from typing import Any, cast

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from pileus.app.connections import Connections
from pileus.app.rates import client_network
from pileus.app.websocket import Websocket
from pileus.model import bounds

RETRY_AFTER = 1
"""Seconds after which a client may try again that was refused for want of room."""

SLOWEST = 256
"""Bytes a second of a body, or of an answer, below which a client is too slow."""

SMALLEST = 64
"""Bytes of a part of a body, on average, below which a client wastes the time of all others."""

_SLICE = 64 << 10
_SHUTDOWN = 5.0

log = structlog.get_logger()


class Phase(enum.Enum):
    """The state of a connection."""

    HANDSHAKE = enum.auto()
    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()
    DRAIN = enum.auto()
    """It is answered for the last time; what still comes is dropped."""
    STREAM = enum.auto()
    """It is a websocket."""


class _ExcessError(Exception):
    """A request has more of something than it may have."""


class _Answers:
    """The transport as one answer uses it: its bytes are counted, and closing it leaves the client time to read them.

    The head waits for the first part of the body, at most until the event loop comes round: one packet, not two.
    """

    def __init__(self, protocol: HttpProtocol) -> None:
        self._protocol = protocol
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        if self._protocol.transport.is_closing():
            return
        self._protocol.written += len(data)
        if self._head is None:
            self._head = data
            self._protocol.loop.call_soon(self.flush)
        elif self._head:
            head, self._head = self._head, b""
            self._protocol.transport.writelines((head, data))
        else:
            self._protocol.transport.write(data)

    def flush(self) -> None:
        """Send what waits for more."""
        if self._head:
            head, self._head = self._head, b""
            self._protocol.transport.write(head)

    def close(self) -> None:
        self.flush()
        self._protocol.hang_up()

    def is_closing(self) -> bool:
        return self._protocol.phase is Phase.DRAIN or self._protocol.transport.is_closing()


class HttpProtocol(HttpToolsProtocol):
    """One client's connection, counted among `connections`.

    The scope of a request has `hold`, which counts bytes of its body as kept in memory until it is answered, and
    returns False, without counting, where there are too many; `hold_answer`, the same for bytes of the answer, until
    the client has taken them; and `peercert`, the client's certificate, or None.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.phase = Phase.HANDSHAKE
        self.address = ""
        self.written = 0
        self._among = connections
        self._beginning: asyncio.Task[Any] | None = None
        self._begun = False  # a message of which the head is not whole
        self._lasting = True  # whether the client wants to go on after this answer
        self._excess = ""
        self._deaf = False  # whether the answer under way is the last, whatever comes
        self._dropped = 0  # bytes that came then
        self._apart = 0  # bytes in a row that are no body
        self._body = 0  # bytes of the body that came
        self._parts = 0  # chunks, or pieces, in which it came
        self._held = 0  # bytes of bodies in memory
        self._answered = 0  # bytes of answers in memory
        self._since = 0.0  # when the phase began, or when the peer made progress last
        self._before = 0  # progress by then, in bytes

    # -- connections

    async def begin(self, link: socket.socket, peer: object) -> None:
        """Take a place among the others for an accepted connection, and shake hands; or refuse it, and close."""
        self.address = client_network(str(peer[0])) if isinstance(peer, tuple) else ""
        self._enter(Phase.HANDSHAKE)
        self._beginning = asyncio.current_task()
        with contextlib.ExitStack() as closing:
            closing.enter_context(link)
            if not self._among.admit(self):
                self._turn_away(link)
                return
            closing.callback(self._among.release, self)
            with contextlib.suppress(OSError):
                await self._connect(link)
                closing.pop_all()

    async def _connect(self, link: socket.socket) -> None:
        context = self._among.context
        try:
            await self.loop.connect_accepted_socket(
                lambda: self,
                link,
                ssl=cast("Any", context),
                ssl_handshake_timeout=self._among.limits.patience if context else None,
                ssl_shutdown_timeout=_SHUTDOWN if context else None,
            )
        except OSError as error:
            log.warning("no TLS", client=self.address, reason=str(error) or type(error).__name__)
            raise

    def _turn_away(self, link: socket.socket) -> None:
        if self._among.context is None:
            with contextlib.suppress(OSError):
                link.send(_answer(503, "There are too many connections now."))
        log.warning("connection refused", client=self.address, connections=len(self._among))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP alone
        """Wait for a request."""
        if self in self._among:  # else it made room meanwhile, and is closed
            super().connection_made(transport)
            self._enter(Phase.IDLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave."""
        super().connection_lost(exc)
        self._leave()

    def abort(self) -> None:
        """Close at once."""
        if self.phase is not Phase.HANDSHAKE:
            self.transport.abort()
        elif self._beginning is not None:
            self._beginning.cancel()

    def hang_up(self) -> None:
        """Close, but not before the client can have read its answer: a client that still sends reads it afterwards."""
        if self.transport.is_closing() or self.phase is Phase.DRAIN:
            return
        if self.phase not in (Phase.HEAD, Phase.BODY) and not self._deaf:
            self.transport.close()
            return
        self._enter(Phase.DRAIN)
        self._deaf = True
        self._among.waits(self)
        self._let_go()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def _ended(self) -> bool:
        return self._deaf or self.transport.is_closing()

    def _leave(self) -> None:
        self._among.release(self)
        self._let_go()
        self._let_answers_go()
        # These refer to this connection: it would stay in memory until a collection.
        self._unset_keepalive_if_required()
        self._beginning = None
        self.parser, self.scope = cast("Any", None), cast("Any", None)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and cycle.response_complete:
            self.cycle = cast("Any", None)

    # -- requests

    def data_received(self, data: bytes) -> None:
        """Parse what came, in parts: a head is refused before much of it is in memory."""
        if self._deaf:
            self._dropped += len(data)
            if self._dropped > bounds.UNREAD.most:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        if self.phase is Phase.IDLE:
            self._enter(Phase.HEAD)
        if self.phase in (Phase.HEAD, Phase.BODY):
            self._among.waits(self)
        for start in range(0, len(data), _SLICE):
            part = data[start : start + _SLICE]
            self._apart += len(part)
            try:
                self.parser.feed_data(part)
            except httptools.HttpParserUpgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                return
            except httptools.HttpParserError:
                excess = self._excess
                self._refuse(431 if excess else 400, excess or "This is no HTTP/1.1.")
                return
            if self._apart > bounds.HEAD_BYTES.most:
                self._refuse(431, f"The head has more than {bounds.HEAD_BYTES.most} bytes.")
                return
            if self._ended():
                return

    def on_message_begin(self) -> None:
        """Begin a request."""
        if len(self.pipeline) >= bounds.PIPELINED.most:
            self._excess = "Too many requests wait on this connection."
            raise _ExcessError
        self._begun = True
        super().on_message_begin()
        self.scope["hold"] = self._hold  # type: ignore[typeddict-unknown-key]  # an extension of ours
        self.scope["hold_answer"] = self._hold_answer  # type: ignore[typeddict-unknown-key]  # an extension of ours
        self.scope["peercert"] = self.transport.get_extra_info("peercert")  # type: ignore[typeddict-unknown-key]  # an extension of ours

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        if len(self.headers) >= bounds.HEADERS.most:
            self._excess = f"The request has more than {bounds.HEADERS.most} headers."
            raise _ExcessError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have the request answered. The connection is not kept after an answer to half a request."""
        before = self.cycle
        self._begun = False
        super().on_headers_complete()
        if self.cycle is before:  # it becomes a websocket
            return
        self._apart = self._body = self._parts = 0
        self._enter(Phase.BODY)
        self.cycle.transport = cast("Any", _Answers(self))
        self._lasting, self.cycle.keep_alive = self.cycle.keep_alive, False

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._apart = 0
        self._body += len(body)
        self._parts += 1
        if self._parts > bounds.BODY_PARTS.most and self._body < self._parts * SMALLEST:
            self._excess = f"The body comes in more than {bounds.BODY_PARTS.most} parts of less than {SMALLEST} bytes."
            raise _ExcessError
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Begin to wait for the answer."""
        self._apart = 0
        self._among.works(self)
        if self.phase is Phase.BODY:
            self._enter(Phase.ANSWER)
            if not self.cycle.response_started:
                self.cycle.keep_alive = self._lasting
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for it."""
        self._let_go()
        # With less than that in the transport nobody is told when the client has taken it.
        if self._unsent() <= _SLICE:
            self._let_answers_go()
        if self not in self._among:  # the client has left
            self.cycle = cast("Any", None)
        if self.phase is Phase.DRAIN:
            self.server_state.total_requests += 1
            return
        goes_on = bool(self.pipeline)
        super().on_response_complete()
        if not goes_on and not self.transport.is_closing():
            self._among.waits(self)
            self._enter(Phase.HEAD if self._begun else Phase.IDLE)

    def resume_writing(self) -> None:
        """Go on, the client has taken nearly all."""
        super().resume_writing()
        self._let_answers_go()

    def shutdown(self) -> None:
        """End after the answer that is under way."""
        self._lasting = False
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which no further request came."""
        self.hang_up()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; it counts until it is lost."""
        self._among.works(self)
        self._enter(Phase.STREAM)
        super().handle_websocket_upgrade()
        stream = self.transport.get_protocol()
        if isinstance(stream, Websocket):
            stream.turns = self._among.turns
            stream.closing = functools.partial(self._among.waits, self)
            stream.ended = self._leave

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        # Every line that is logged on the way names the client.
        context = contextvars.copy_context()
        context.run(structlog.contextvars.bind_contextvars, client=self.client[0] if self.client else self.address)
        context.run(super()._start_asgi_task, cycle, app)

    # -- bounds

    def look(self, now: float) -> None:
        """Refuse what is late."""
        patience = self._among.limits.patience
        if self.phase is Phase.HANDSHAKE:
            return
        if self.transport.is_closing() or (self.phase is not Phase.STREAM and self._unsent()):
            self._look_at_answer(now, patience)
        elif self.phase is Phase.HEAD or (self.phase is Phase.IDLE and self.timeout_keep_alive_task is None):
            if now - self._since > patience:
                if self.phase is Phase.HEAD:
                    self._refuse(408, f"The request's head did not come within {patience:.0f} s.")
                else:
                    self.transport.close()
        elif self.phase is Phase.BODY:
            # A client is not late that is not asked for more.
            body_expected = not self.flow.read_paused and not self.cycle.waiting_for_100_continue
            if not body_expected or self._body - self._before >= SLOWEST * patience:
                self._progress(now, self._body)
            elif now - self._since > patience:
                self._refuse(408, f"Less than {SLOWEST} bytes a second of the request's body came.")
        elif self.phase is Phase.DRAIN and now - self._since > patience:
            self.transport.close()

    def _look_at_answer(self, now: float, patience: float) -> None:
        acknowledged = self.written - self._unsent() - self._unacknowledged()
        if acknowledged - self._before >= SLOWEST * patience or self._before > acknowledged:
            self._progress(now, acknowledged)
        elif now - self._since > patience:
            self.transport.abort()

    def _unsent(self) -> int:
        return self.transport.get_write_buffer_size()

    def _unacknowledged(self) -> int:
        link = self.transport.get_extra_info("socket")
        try:
            return int(struct.unpack("i", fcntl.ioctl(link.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0])
        except (OSError, ValueError, AttributeError):
            return 0

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._progress(self.loop.time(), 0)

    def _progress(self, now: float, progress: int) -> None:
        self._since, self._before = now, progress

    def _refuse(self, status: int, text: str) -> None:
        """Answer the request that is coming, and close. Where an earlier one is being answered, that is the last."""
        log.warning("request refused", client=self.address, status=status, reason=text)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started or not cycle.more_body:
                cycle.keep_alive, self._deaf = False, True
                return
            if self.pipeline:
                self.transport.close()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(_answer(status, text))
        self._deaf = True
        self.hang_up()

    def _hold(self, size: int) -> bool:
        if not self._among.hold(self.address, size):
            return False
        self._held += size
        return True

    def _hold_answer(self, size: int) -> bool:
        # What is small passes at once, or stays in the buffers of the connection.
        if size > _SLICE:
            if not self._among.hold(self.address, size):
                return False
            self._answered += size
        return True

    def _let_answers_go(self) -> None:
        if self._answered:
            self._among.let_go(self.address, self._answered)
            self._answered = 0

    def _let_go(self) -> None:
        if self._held:
            self._among.let_go(self.address, self._held)
            self._held = 0


def _answer(status: int, text: str) -> bytes:
    body = f"{text}\n".encode()
    retry = f"retry-after: {RETRY_AFTER}\r\n" if status == 503 else ""
    head = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\n{retry}connection: close\r\n\r\n"
    )
    return head.encode() + body
