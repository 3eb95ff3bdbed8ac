"""Websockets: bytes of TCP streams passed on as they come, both ways, and messages that a face answers itself."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pileus.app import answers
from pileus.app.answers import Receive, Send
from pileus.app.waits import Waits
from pileus.bus import channels
from pileus.faces.wire.streams import BodyStream, Conversation
from pileus.model.errors import Fault, PileusError, Unavailable
from pileus.model.provider import Access

Run = Callable[[Callable[[], Any]], Awaitable[Any]]
Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CHUNK = 65536

CLOSE_REASON = 123
"""Bytes of the reason with which a websocket is closed."""


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
    await _both(asyncio.create_task(_down(reader, send)), asyncio.create_task(_up(receive, writer)), send)


async def converse(conversation: Conversation, receive: Receive, send: Send, waits: Waits, run: Run) -> None:
    """Answer the messages of a client, and send it those that are pushed, until either side ends."""
    up = asyncio.create_task(_reply(conversation, receive, send, run))
    pushed = conversation.pushed
    down = asyncio.create_task(_push(pushed, send, waits, run, up) if pushed is not None else answers.never())
    try:
        await _both(down, up, send)
    finally:
        if pushed is not None:
            pushed.close()


async def _both(down: asyncio.Task[None], up: asyncio.Task[None], send: Send) -> None:
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


async def _reply(conversation: Conversation, receive: Receive, send: Send, run: Run) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        data = message.get("bytes") or (message.get("text") or "").encode()
        answer = await run(functools.partial(conversation.reply, data))
        if answer is not None:
            await send({"type": "websocket.send", "bytes": answer})


async def _push(pushed: BodyStream, send: Send, waits: Waits, run: Run, client_left: asyncio.Task[None]) -> None:
    async for part in answers.parts(pushed, waits, run, client_left):
        await send({"type": "websocket.send", "bytes": part})
