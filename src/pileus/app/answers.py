"""Answers on their way out: whole ones, and those in parts, with flat memory and without a thread while they wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

from pileus.app.waits import Waits
from pileus.faces.wire.http import Response
from pileus.faces.wire.streams import END, BodyStream

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")
Run = Callable[[Callable[[], T]], Awaitable[T]]


async def respond(scope: Scope, send: Send, response: Response) -> None:
    """Send a whole answer."""
    await send(_head(response, len(response.body)))
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})


def _head(response: Response, length: int | None) -> Message:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return {"type": "http.response.start", "status": response.status, "headers": headers}


async def stream(
    scope: Scope, receive: Receive, send: Send, response: Response, waits: Waits, run: Run[bytes | None]
) -> None:
    """Send an answer in parts, each taken by `run` in a thread when the client has taken the one before."""
    body = response.stream
    if body is None:
        raise ValueError("an answer without parts")
    client_left = asyncio.create_task(until_left(receive))
    try:
        await send(_head(response, body.length))
        if scope["method"] != "HEAD":
            async with contextlib.aclosing(parts(body, waits, run, client_left)) as body_parts:
                async for part in body_parts:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        client_left.cancel()
        body.close()


async def parts(body: BodyStream, waits: Waits, run: Run[bytes | None], client_left: asyncio.Task[None]) -> Any:
    """The parts of a stream as they come, until its end, or until its client has left."""
    with waits.heard(body.topics) as changed:
        while not client_left.done():
            changed.clear()
            part = await run(body.take)
            if part == END:
                return
            if part is not None:
                yield part
            elif not await _changes(waits, changed, body, client_left) and body.idle:
                yield body.idle


async def _changes(waits: Waits, changed: asyncio.Event, body: BodyStream, client_left: asyncio.Task[None]) -> bool:
    """Wait for a change, as long as the stream pauses; whether there was one. Returns when the client leaves."""
    pause = asyncio.create_task(waits.pause(changed, body.pause, body.topics))
    try:
        await asyncio.wait((pause, client_left), return_when=asyncio.FIRST_COMPLETED)
        return not pause.done() or pause.result()
    finally:
        pause.cancel()


async def never() -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


async def until_left(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
