"""Targets at a listener of a cloud: requests on one connection, and frames of one websocket."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from pileus.app import serving
from pileus.app.answers import respond
from pileus.app.connections import ConnectionLimits, Connections
from pileus.app.http import body_of
from pileus.app.protocol import HttpProtocol
from pileus.faces.wire.http import Response
from pileus.model import bounds
from tests.fuzz.target import Target, Work

_LONG = b"a" * 8192

_UPGRADE = (
    b"GET /v1/instances/i-1/connect/22 HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class _Transport(asyncio.Transport):
    """A connection without a peer: written bytes are dropped, and pauses of reading are kept in `paused`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.paused = False
        self._loop = loop
        self._protocol: Any = None
        self._closing = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give received bytes to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that gets received bytes."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        """Return whether either side has ended the connection."""
        return self._closing

    def close(self) -> None:
        """End the connection."""
        if not self._closing:
            self._closing = True
            self._loop.call_soon(lambda: self._protocol.connection_lost(None))

    def abort(self) -> None:
        """End the connection."""
        self.close()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Drop bytes."""
        assert not bytes(data[:12]).startswith(b"HTTP/1.1 500"), bytes(data)

    def can_write_eof(self) -> bool:
        """Return that a half can be closed."""
        return True

    def write_eof(self) -> None:
        """Close that half."""

    def pause_reading(self) -> None:
        """Note that the server reads no more."""
        self.paused = True

    def resume_reading(self) -> None:
        """Note that the server reads again."""
        self.paused = False

    def get_write_buffer_size(self) -> int:
        """Return that nothing waits."""
        return 0


class _Errors(logging.Handler):
    """Keeps lines that are logged as errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(logging.Formatter().format(record))


class _Listener:
    """A listener of a cloud without sockets, with one connection at a time."""

    def __init__(self, application: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._errors = _Errors()
        logging.getLogger("uvicorn.error").addHandler(self._errors)
        logging.getLogger("uvicorn.error").propagate = False
        self._loop.set_exception_handler(lambda _loop, context: self._errors.lines.append(str(context)))
        asyncio.set_event_loop(self._loop)
        self._among = Connections(ConnectionLimits(100, 50))
        self._server = serving.server(application, self._among)
        self._server.config.load()

    def connect(self) -> _Transport:
        """Return a connection that was admitted just now."""
        transport = _Transport(self._loop)
        protocol = HttpProtocol(self._server.config, self._server.server_state, {}, self._loop, connections=self._among)
        self._loop.run_until_complete(self._admit(protocol))
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return transport

    def receive(self, transport: _Transport, data: bytes) -> None:
        """Have a connection receive bytes, and everything be done that they bring at once."""
        if not transport.is_closing():
            protocol: Any = transport.get_protocol()
            self._loop.call_soon(protocol.data_received, data)
            self.turn()

    def turn(self) -> None:
        """Run the event loop once."""
        self._loop.call_soon(self._loop.stop)
        self._loop.run_forever()

    def end(self, transport: _Transport) -> None:
        """End a connection: nothing of it is left, and no error was logged."""
        transport.close()
        for _ in range(50):
            self.turn()
            if not self._server.server_state.tasks:
                break
        assert not self._errors.lines, self._errors.lines
        assert not len(self._among)
        assert not self._server.server_state.tasks

    async def _admit(self, protocol: HttpProtocol) -> None:
        assert self._among.admit(protocol)


# -- requests ----------------------------------------------------------------------------------------------------------


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    status = 200
    try:
        await body_of(scope, receive, 1000)
    except Exception:  # noqa: BLE001  (a body that is too large, or a client that has left)
        status = 413
    await respond(scope, send, Response(status, {}, b"ok"))


def _requests() -> Work:
    listener = _Listener(_answer)

    def work(data: bytes) -> None:
        sent = data.removeprefix(b"!").replace(b"~", _LONG)
        size = max(97, len(sent) // 20) if data[:1] == b"!" else max(1, len(sent))
        transport = listener.connect()
        for at in range(0, len(sent), size):
            listener.receive(transport, sent[at : at + size])
        listener.end(transport)

    return work


_HEADS = (
    b"GET /v1/instances HTTP/1.1\r\nhost: a\r\nauthorization: Bearer x\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n2;x=~\r\nok\r\n0\r\ny: z\r\n\r\n",
    _UPGRADE + b"\x81\x80\0\0\0\0",
    b"GET http://a:1/%41?b HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nx: ~~~~~~~~~\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n" * 40,
    b"!GET /" + b"a" * 300 + b" HTTP/1.1\r\nx: ~\r\n y\r\n\r\n",
)


# -- frames ------------------------------------------------------------------------------------------------------------


class _Sink:
    """An application that accepts a websocket, and keeps the messages that it receives."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.ended = False

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        self.messages, self.ended = [], False
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            self.messages.append(message["bytes"] if text is None else text)
        self.ended = True


def _expected(data: bytes) -> tuple[list[str | bytes], bool]:
    """Return the messages in frames of a client, as `websockets` reads them at once; and whether an end follows."""
    parser = ServerProtocol(max_size=1 << 20)
    parser.receive_data(_UPGRADE)
    request = parser.events_received()[0]
    parser.send_response(parser.accept(request))  # type: ignore[arg-type]  # the handshake's event is a Request
    parser.receive_data(data)
    messages, parts, opcode = list[str | bytes](), list[bytes](), Opcode.BINARY
    for frame in parser.events_received():
        assert isinstance(frame, Frame)
        if frame.opcode is Opcode.CLOSE:
            return messages, True
        if frame.opcode in {Opcode.PING, Opcode.PONG}:
            continue
        if frame.opcode is not Opcode.CONT:
            opcode = frame.opcode
        parts.append(bytes(frame.data))
        if frame.fin:
            whole = b"".join(parts)
            parts.clear()
            try:
                messages.append(whole.decode() if opcode is Opcode.TEXT else whole)
            except UnicodeDecodeError:
                return messages, True
    return messages, parser.parser_exc is not None


def _frames() -> Work:
    sink = _Sink()
    listener = _Listener(sink)

    def work(data: bytes) -> None:
        frames = data[1:]
        size = max(1 + (data[0] if data else 0) ** 2, len(frames) // 20)
        transport = listener.connect()
        listener.receive(transport, _UPGRADE)
        for at in range(0, len(frames), size):
            listener.receive(transport, frames[at : at + size])
        # A turn of websockets has a millisecond and 32 frames.
        for _ in range(1000):
            if sink.ended or not transport.paused:
                break
            listener.turn()
        for _ in range(3):
            listener.turn()
        messages, ends = _expected(frames)
        assert sink.messages == messages[: len(sink.messages)], (sink.messages, messages)
        flooded = len(frames) >= 2 * 20 * bounds.CONTROL_FRAMES.most
        # The last messages before an error, or before a close, may be dropped with it.
        assert flooded or ends or len(sink.messages) == len(messages), (sink.messages, messages)
        # A frame is parsed when its head is whole: an error in half a head is still to be found.
        assert flooded or ends or not sink.ended
        listener.end(transport)

    return work


_SEEDS = (
    b"\xff\x82\x81\0\0\0\0a" + b"\x89\x80\0\0\0\0" + b"\x81\x82\1\2\3\4bb",
    b"\x01\x02\x81\0\0\0\0a\x80\x81\0\0\0\0b",
    b"\x00\x82\xfe\0\x7e\0\0\0\0" + b"a" * 126,
    b"\x03\x82\xff\0\0\0\0\0\0\0\x05\0\0\0\0hello\x88\x82\0\0\0\0\x03\xe8",
    b"\x10" + b"\x82\x81\0\0\0\0a" * 200,
)

TARGETS = {
    "connections": Target(
        make=_requests,
        seeds=_HEADS,
        words=(
            "transfer-encoding: chunked",
            "connection: upgrade",
            "upgrade: websocket",
            "HTTP/1.1",
            "content-length:",
        ),
    ),
    "frames": Target(make=_frames, seeds=_SEEDS, largest=1024),
}
"""These targets by name."""
