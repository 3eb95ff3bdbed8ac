"""Requests and answers that are not whole: bodies in parts, answers that wait, events, and websockets. No I/O.

A face says by these values how a request goes on; the edge does the reading, the writing and the waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from pileus.faces.wire.http import Response

END = b""
"""The part after which a stream has no other."""


class Received(Protocol):
    """The bytes of a request's body that have come."""

    @property
    def size(self) -> int:
        """Return the bytes of this request."""

    @property
    def of_project(self) -> int:
        """Return the bytes of all bodies of the caller's project that are being received in parts."""


class BodySink(Protocol):
    """The receiver of a body in parts. All but `close` may block, and may raise PileusError: the answer is made of it.

    The calls of one request come one after the other, in several threads. `inspects` says whether `finish` looks
    through the whole body: it has a turn beside few others then.
    """

    inspects: bool

    def write(self, part: bytes) -> None:
        """Take the next part, which `Received` counts already."""

    def finish(self) -> Response:
        """Return the answer; all parts have come."""

    def close(self) -> None:
        """Give back what is held, after the answer or without any; never blocks for long."""


class BodyStream(NamedTuple):
    """The body of an answer in parts.

    `take` returns the next part, END after the last one, or None where there is none now: it is called again when a
    noun of the kinds in `topics` has changed. It may block. `length` is the number of bytes where that is known before.
    A client that hears nothing for `pause` seconds is sent the bytes `idle`, if there are any.
    """

    take: Callable[[], bytes | None]
    length: int | None = None
    topics: frozenset[str] = frozenset()
    idle: bytes = b""
    pause: float = 15.0
    close: Callable[[], None] = lambda: None


class Waiting(NamedTuple):
    """An answer that is not there yet, and holds no thread until it is.

    `look` returns the answer, or None, and is called again when a noun of the kinds in `topics` has changed. After
    `seconds` the answer is that of `late`. Both block while verbs do. In typed dialects they return documents.
    """

    look: Callable[[], Any]
    late: Callable[[], Any]
    topics: frozenset[str]
    seconds: float


class Conversation(NamedTuple):
    """A websocket whose messages the face answers itself: `reply` returns the answer to a message, or None.

    `pushed` are messages that come without one. Texts are UTF-8.
    """

    reply: Callable[[bytes], bytes | None]
    pushed: BodyStream | None = None


def event(data: bytes, name: str = "", ident: str = "") -> bytes:
    """Return one server-sent event (WHATWG HTML, 9.2); `data` may have several lines."""
    head = (f"event: {name}\n" if name else "") + (f"id: {ident}\n" if ident else "")
    return head.encode() + b"".join(b"data: " + line + b"\n" for line in data.split(b"\n")) + b"\n"
