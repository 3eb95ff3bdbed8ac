"""The interface of every face: one HTTP request, one HTTP response, without I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from pileus.faces.wire.streams import BodySink, BodyStream, Conversation, Received, Waiting
from pileus.model.caller import Caller
from pileus.model.errors import PileusError
from pileus.model.provider import Access

RETRY_AFTER = "1"
"""Seconds after which a request that was refused for its rate or share may be sent again, for that header."""


class Request(msgspec.Struct, frozen=True):
    """A request as it came over the wire.

    `path` and `query` raw (percent-encoded, without the question mark); `headers` by lower-case name, several of
    a name joined with commas, values as Latin-1; `body` the bytes; `scheme` http or https.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    scheme: str = "http"


class Response(msgspec.Struct, frozen=True):
    """The response: `headers` by name. Content-Length, and leaving the body out for HEAD, are the server's part.

    With `stream`, its parts are sent in place of `body`.
    For logs and figures: `face`, `action` of a request that could be told (a word of the dialect, never of the
    client's making), `code` of an error, the `request` id, and whether it only `reads`.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    face: str = ""
    action: str = ""
    code: str = ""
    request: str = ""
    reads: bool = True
    stream: BodyStream | None = None


class Identified(NamedTuple):
    """A request whose caller has proven itself; nothing else of it was done or checked.

    `answer` makes the answer: it blocks while verbs do, and on hosts where the request `waits` for one. `refuse` makes
    an error of the core the answer instead. `launches` is the number of instances that it asks for, if any.

    `sink` is called in place of `answer` where the body comes in parts, `socket` for the handshake of a websocket; both
    block while verbs do, `socket` on hosts too. The bytes of an `Access` that `socket` returns are passed on. `action`
    is the name of a stream in logs.
    """

    caller: Caller
    answer: Callable[[], Response | Waiting]
    refuse: Callable[[PileusError], Response]
    reads: bool
    waits: bool = False
    launches: int = 0
    sink: Callable[[Received], BodySink] | None = None
    socket: Callable[[], Access | Conversation] | None = None
    action: str = ""

    def now(self) -> Response:
        """Return the answer as it is now: that of `late` where it would have to be waited for. Blocks."""
        answer = self.answer()
        return answer if isinstance(answer, Response) else answer.look() or answer.late()
