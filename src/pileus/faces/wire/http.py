"""HTTP as the faces see it: whole requests in, whole answers out, no I/O."""

from __future__ import annotations

import msgspec


class Request(msgspec.Struct, frozen=True):
    """A request as it came over the wire.

    `path` and `query` raw (percent-encoded, without the question mark); `headers` by lower-case name, several of a
    name joined with commas, values in Latin-1.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = {}
    body: bytes = b""


class Response(msgspec.Struct, frozen=True):
    """An answer; Content-Length is the server's to add."""

    status: int
    headers: dict[str, str]
    body: bytes
