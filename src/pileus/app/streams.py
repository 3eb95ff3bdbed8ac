"""TCP streams to instances over websockets: bytes are passed on as they come, both ways."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from pileus.bus import channels
from pileus.model.caller import Caller
from pileus.model.errors import Fault, InvalidValue, PileusError, Unavailable
from pileus.model.provider import Access
from pileus.verbs.core import Core
from pileus.verbs.instance import console

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_PATH = re.compile(r"/v1/instances/([^/]+)/connect/([0-9]{1,5})", re.ASCII)
_CHUNK = 65536

CLOSE_REASON = 123
"""Bytes of the reason with which a websocket is closed."""


def target(path: str) -> tuple[str, int] | None:
    """The (instance, port) that a websocket's path names; None for any other path."""
    match = _PATH.fullmatch(path)
    return (unquote(match[1]), int(match[2])) if match else None


def access(caller: Caller, core: Core, wanted: tuple[str, int]) -> Access:
    """Have the instance's host open the stream. Blocks."""
    ident, port = wanted
    if not 1 <= port <= 65535:
        raise InvalidValue(f"{port} is no TCP port.", ident=str(port), reason="port")
    return console.connect(caller, core, ident, port)


def reason(error: PileusError | Fault) -> str:
    """The words of a refusal, as many as a websocket's close may carry (RFC 6455, 5.5: 123 bytes)."""
    return error.message.encode("utf-8", "replace")[:CLOSE_REASON].decode("utf-8", "ignore")


@contextlib.asynccontextmanager
async def dialled(opened: Access) -> AsyncIterator[Link]:
    """A connection to a stream that was opened, closed at the block's end. Raises Unavailable where its host is gone.

    The client may leave at any moment, also before the first byte: the stream ends with the block, whatever ends that.
    """
    try:
        there = channels.place(opened)
        if there is None:
            reader, writer = await asyncio.open_unix_connection(opened.address)
        else:
            trusted = channels.trust(opened)
            reader, writer = await asyncio.open_connection(*there, ssl=trusted, server_hostname=opened.name)
    except OSError as error:
        raise Unavailable(f"The host does not give the stream now: {error}", noun="host") from error
    try:
        writer.write(opened.ticket.encode() + b"\n")
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def splice(link: Link, receive: Receive, send: Send) -> None:
    """Pass bytes on until either side ends. Frames are binary, where they end means nothing.

    An empty one of the client says that it has sent its last byte: a websocket cannot be closed in one direction. Nor
    can TLS: the instance is not told of it when it is on another machine.
    """
    reader, writer = link
    down = asyncio.create_task(_down(reader, send))
    up = asyncio.create_task(_up(receive, writer))
    try:
        await asyncio.wait((down, up), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (down, up):
            task.cancel()
        await asyncio.gather(down, up, return_exceptions=True)
    if down.done() and not down.cancelled():
        # The client may have left meanwhile, which each server library says by an error of its own.
        with contextlib.suppress(Exception):
            await send({"type": "websocket.close", "code": 1000})


async def _down(reader: asyncio.StreamReader, send: Send) -> None:
    while data := await reader.read(_CHUNK):
        await send({"type": "websocket.send", "bytes": data})


async def _up(receive: Receive, writer: asyncio.StreamWriter) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        data = message.get("bytes") or (message.get("text") or "").encode()
        if data:
            writer.write(data)
            await writer.drain()
        elif writer.can_write_eof():
            writer.write_eof()
