"""The interface of every face: one HTTP request, one HTTP response, whole and without I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from pileus.model.caller import Caller
from pileus.model.errors import PileusError

RETRY_AFTER = "1"
"""Seconds after which a request that was refused for its rate or share may be sent again, for that header."""


class Request(msgspec.Struct, frozen=True):
    """A request as it came over the wire.

    `path` and `query` raw (percent-encoded, without the question mark); `headers` by lower-case name, several of
    a name joined with commas, values as Latin-1; `body` the bytes.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Response(msgspec.Struct, frozen=True):
    """The response: `headers` by name. Content-Length, and leaving the body out for HEAD, are the server's part.

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


class Identified(NamedTuple):
    """A request whose caller has proven itself; nothing else of it was done or checked.

    `answer` makes the answer: it blocks while verbs do, and on hosts where the request `waits` for one. `refuse` makes
    an error of the core the answer instead. `launches` is the number of instances that it asks for, if any.
    """

    caller: Caller
    answer: Callable[[], Response]
    refuse: Callable[[PileusError], Response]
    reads: bool
    waits: bool = False
    launches: int = 0
