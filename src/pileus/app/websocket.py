"""Websockets of clients: uvicorn's protocol, within bounds on memory, on frames and on the time of the event loop.

A frame of seven bytes costs as much time as one of a kilobyte, and one read brings 40,000 of them. So frames are parsed
a few at a time, in turns among all websockets, and nothing more is read of a client while input of it is left. Messages
to clients are charged too, and wait for the debt that they share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request

from pileus.app.rates import Buckets
from pileus.model import bounds

TURN = 0.001
"""Seconds for frames, in one iteration of the event loop."""

LARGEST_DEBT = 0.02
"""Seconds that websockets are held to have used beyond their share, at most."""

LONGEST_WORK = 0.0001
"""Seconds that the application is held to need for one message, at most: it may have waited.

A message to a client, which the application has read before, is held to need as much.
"""

FRAMES = 32
"""Frames of one turn."""

_CONTROL = 0x08
_MASKED = 0x80


class Turns:
    """The turns of the websockets of a listener, in one event loop: each turn parses a few frames.

    While a request is being answered, websockets have `bounds.WEBSOCKET_TIME` percent of the event loop's time. Time
    beyond that share is a debt, which is paid by waiting.
    """

    def __init__(self) -> None:
        self.accepted: set[Websocket] = set()  # those of which the application's task runs; other tasks are requests
        self._waiting: dict[Websocket, None] = {}
        self._next: asyncio.Handle | None = None
        self._paying = asyncio.Lock()
        self._debt = 0.0  # seconds
        self._at = 0.0  # when the debt was computed, by the event loop's clock

    def wait(self, stream: Websocket) -> None:
        """Give a websocket a turn, after those that wait already. Safe to repeat."""
        self._waiting.setdefault(stream)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._run)

    def leave(self, stream: Websocket) -> None:
        """Give a websocket no more turns."""
        self._waiting.pop(stream, None)

    def charge(self, seconds: float) -> None:
        """Count seconds of the event loop as used by websockets."""
        self._debt = min(self._debt + seconds, LARGEST_DEBT)

    async def pay(self, stream: Websocket) -> None:
        """Wait until the debt is paid, before a message is sent; websockets wait one after the other."""
        async with self._paying:
            if delay := self._delay(stream):
                await asyncio.sleep(delay)

    def _run(self) -> None:
        self._next = None
        if not self._waiting:
            return
        delay = self._delay(next(iter(self._waiting)))
        if delay:
            self._next = asyncio.get_running_loop().call_later(delay, self._run)
            return
        begin = now = time.monotonic()
        try:
            while self._waiting and now - begin < TURN:
                stream = next(iter(self._waiting))
                del self._waiting[stream]
                stream.take_turn()
                now = time.monotonic()
        finally:
            self.charge(now - begin)
            if self._waiting:
                self.wait(next(iter(self._waiting)))

    def _delay(self, stream: Websocket) -> float:
        """Return the seconds until the debt is paid; 0 where it is small, or no request waits for the event loop."""
        now = asyncio.get_running_loop().time()
        share = bounds.WEBSOCKET_TIME.most / 100
        self._debt = max(0.0, self._debt - (now - self._at) * share)
        self._at = now
        if len(stream.tasks) <= len(self.accepted):
            self._debt = 0.0
        return self._debt / share if self._debt > TURN else 0.0


class Websocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol of websockets.

    `HttpProtocol` sets `turns` when it has handed the handshake over. `closing` is called when the last frame was sent,
    `ended` at the end.
    """

    MOST_UNSENT = 1 << 20
    """Bytes that wait for the client before nothing more is read of it: it may send pings, and read no answer."""

    MOST_FRAMES = 1000
    """Frames of one message."""

    turns: Turns
    closing: Callable[[], None] | None = None
    ended: Callable[[], None] | None = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._input = b""  # what came last
        self._parsed = 0  # bytes of it
        self._frame = 0  # bytes of the frame under way that are not parsed
        self._controls = Buckets(bounds.CONTROL_FRAMES.most)
        self._flooded = False  # whether more control frames came than may
        self._taken: float | None = None  # when the application took a message, in seconds of the monotonic clock

    def handle_connect(self, event: Request) -> None:
        """Have the handshake answered. Nothing is read before: frames would be parsed of clients that are refused."""
        super().handle_connect(event)
        if not self.transport.is_closing():
            self.transport.pause_reading()

    async def send(self, message: ASGISendEvent) -> None:
        """Send a frame, and tell that it was the last. The time that a message needs is charged."""
        if message["type"] == "websocket.send":
            await self.turns.pay(self)
            self.turns.charge(LONGEST_WORK)
        await super().send(message)
        if message["type"] == "websocket.accept" and not self.transport.is_closing():
            self.turns.accepted.add(self)
            self._go_on()
        if message["type"] == "websocket.close":
            self._go_on()  # uvicorn has resumed reading, whatever is left
            if self.closing is not None:
                self.closing()

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next message. The time that the application needed for the one before is charged."""
        if self._taken is not None:
            self.turns.charge(min(time.monotonic() - self._taken, LONGEST_WORK))
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self._go_on()
        self._taken = time.monotonic()
        return message

    def data_received(self, data: bytes) -> None:
        """Take the handshake; keep frames until their turn."""
        if not self.handshake_initiated:
            super().data_received(data)
        elif not self.transport.is_closing():
            self._input, self._parsed = self._input[self._parsed :] + data, 0
            self._go_on()

    def take_turn(self) -> None:
        """Parse the next frames, or as much of them as came."""
        if self._blocked():
            return
        start, self._parsed = self._parsed, self._end_of_turn()
        if self._flooded:
            self.conn.fail(1008, "There are too many control frames.")
            self.handle_parser_exception()
            return
        part = self._input[start : self._parsed]
        if self._parsed == len(self._input):
            self._input, self._parsed = b"", 0
        super().data_received(part)
        if len(self.frames) > self.MOST_FRAMES:
            self.transport.abort()
        self._go_on()

    def _end_of_turn(self) -> int:
        """Return where the frames of the next turn end in the input. Counts control frames."""
        end = self._parsed
        for _ in range(FRAMES):
            if not self._frame:
                self._frame = _size(self._input, end)
                if self._frame and self._input[end] & _CONTROL:
                    self._flooded = self._flooded or not self._controls.take("")
            part = min(self._frame, len(self._input) - end)
            end += part
            self._frame -= part
            if not part:
                break
        return end

    def send_receive_event_to_app(self) -> None:
        """Queue a message. Text that is no UTF-8 ends the websocket (1007, RFC 6455, 8.1), without a traceback."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.fail(1007, "A text message is no UTF-8.")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def resume_writing(self) -> None:
        """Go on, the client has read."""
        super().resume_writing()
        self._go_on()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Note that the application's task is none of a websocket any more: it is not among all tasks either."""
        super().on_task_complete(task)
        self.turns.accepted.discard(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that it ended. Input that is left is dropped: the client did not wait for its end to be heard."""
        super().connection_lost(exc)
        self.turns.leave(self)
        self._input, self._parsed = b"", 0
        if self.ended is not None:
            self.ended()

    def _blocked(self) -> bool:
        """Whether nothing may be parsed now: the application has messages to take, or the client answers to read."""
        return (
            self.transport.is_closing()
            or self.read_paused
            or not self.handshake_complete
            or self.transport.get_write_buffer_size() > self.MOST_UNSENT
        )

    def _parsable(self) -> bool:
        """Whether there is input to parse: more of a frame, or a frame of which the head is whole."""
        return self._parsed < len(self._input) and bool(self._frame or _size(self._input, self._parsed))

    def _go_on(self) -> None:
        """Wait for a turn where there is input to parse; read where there is none."""
        if self.transport.is_closing():
            return
        blocked, parsable = self._blocked(), self._parsable()
        if parsable and not blocked:
            self.turns.wait(self)
        if parsable or blocked:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


def _size(data: bytes, begin: int) -> int:
    """Return the bytes of the frame that begins in `data` at `begin` (RFC 6455, 5.2); 0 where its head is not whole."""
    if len(data) < begin + 2:
        return 0
    length, head = data[begin + 1] & 0x7F, 2
    if length >= 126:
        head += 2 if length == 126 else 8
        if len(data) < begin + head:
            return 0
        length = int.from_bytes(data[begin + 2 : begin + head])
    return head + length + (4 if data[begin + 1] & _MASKED else 0)
