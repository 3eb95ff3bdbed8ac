"""Streams of instances over the API, each a websocket: to a TCP port, a console, a log, a command in a container."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, TextIO, TypeVar
from urllib.parse import quote

from pileus.cli.problem import Problem

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from pileus.cli.client import Client

T = TypeVar("T")

OPEN = 60.0
"""Seconds that the cloud may take to open a stream."""

AHEAD = 8
"""Pieces of input that are read before they are sent."""

CHUNK = 65536


class StreamLink:
    """One open stream."""

    def __init__(self, link: ClientConnection, name: str) -> None:
        self._link = link
        self._name = name

    async def receive(self) -> bytes:
        """The next bytes; none at the end. Raises Problem with the cloud's words where the stream broke."""
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415  (slow to load)

        try:
            return await self._link.recv(decode=False)
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code == 1000:
                return b""
            reason = closed.rcvd.reason if closed.rcvd else "the cloud hung up"
            raise Problem(f"{self._name}: {reason}") from closed

    async def send(self, data: bytes) -> None:
        """Send bytes; nothing happens where the stream has ended, which `receive` tells."""
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415  (slow to load)

        with contextlib.suppress(ConnectionClosed):
            await self._link.send(data)


@contextlib.asynccontextmanager
async def opened(client: Client, instance: str, *words: str) -> AsyncIterator[StreamLink]:
    """A stream of `instance` at the path that `words` make, within the block. Raises Problem, OSError."""
    # One thread alone has the connection: OpenSSL's breaks when one reads it while another one writes.
    from websockets.asyncio.client import connect  # noqa: PLC0415  (slow to load)
    from websockets.exceptions import InvalidHandshake  # noqa: PLC0415  (slow to load)

    path = "/".join(quote(word, safe="") for word in ("instances", instance, *words))
    stream = connect(
        f"{client.url.replace('http', 'ws', 1)}/{path}",
        ssl=client.tls(),
        additional_headers={"authorization": f"Bearer {client.token}"},
        proxy=None,
        open_timeout=OPEN,
        max_size=None,
        compression=None,
    )
    try:
        link = await stream
    except (OSError, InvalidHandshake) as error:
        raise Problem(f"No stream to {instance}: {str(error) or type(error).__name__}") from error
    try:
        yield StreamLink(link, instance)
    finally:
        await link.close()


def run(stream: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine of a stream to its end."""
    return asyncio.run(stream)


async def say(data: bytes, output: TextIO) -> None:
    """Write all of `data` to standard output or error, in a thread: whoever reads it may be slow. Raises OSError."""
    descriptor = output.fileno()

    def write() -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]

    await asyncio.to_thread(write)


async def pieces(source: int) -> AsyncIterator[bytes]:
    """Yield the bytes that are read from the descriptor `source`, and at its end no bytes."""
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(AHEAD)
    loop = asyncio.get_running_loop()

    def read() -> None:
        data = b" "
        # The loop ends with the stream, which may be before the input does.
        with contextlib.suppress(RuntimeError):
            while data:
                room.acquire()
                try:
                    data = os.read(source, CHUNK)
                except OSError:
                    data = b""
                loop.call_soon_threadsafe(chunks.put_nowait, data)

    # Nobody waits for a thread that reads what nobody says any more.
    threading.Thread(target=read, daemon=True).start()
    data = b" "
    while data:
        data = await chunks.get()
        yield data
        room.release()


async def splice(client: Client, instance: str, port: int) -> None:
    """Join this process's input and output with a TCP port of an instance, until the instance closes it."""
    async with opened(client, instance, "connect", str(port)) as link:
        sending = asyncio.create_task(_send(link, sys.stdin.fileno()))
        try:
            while data := await link.receive():
                await say(data, sys.stdout)
        finally:
            sending.cancel()


async def _send(link: StreamLink, source: int) -> None:
    """Send what `source` says; an empty message is the last."""
    async for data in pieces(source):
        await link.send(data)


async def follow(client: Client, instance: str) -> None:
    """Print what an instance writes to its console, from the last 64 KiB on, until it is gone."""
    async with opened(client, instance, "console", "follow") as link:
        while data := await link.receive():
            await say(data, sys.stdout)


async def forward(client: Client, instance: str, port: int, local: int) -> None:
    """Listen at the port `local` of 127.0.0.1; each connection is joined with TCP `port` of the instance."""

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with opened(client, instance, "connect", str(port)) as link:
                sending = asyncio.create_task(_upload(reader, link))
                try:
                    while data := await link.receive():
                        writer.write(data)
                        await writer.drain()
                finally:
                    sending.cancel()
        except Problem as problem:
            print(f"pileus: {problem.message}", file=sys.stderr, flush=True)
        except OSError:
            """The local client went."""
        finally:
            writer.close()

    try:
        listener = await asyncio.start_server(joined, "127.0.0.1", local)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise Problem(f"Port {local} of this machine is not to be had ({why}): name another, LOCAL:{port}.") from error
    async with listener:
        address, chosen = listener.sockets[0].getsockname()[:2]
        print(f"{address}:{chosen} leads to port {port} of {instance}; ^C ends it.", flush=True)
        await listener.serve_forever()


async def _upload(reader: asyncio.StreamReader, link: StreamLink) -> None:
    data = b" "
    while data:
        data = await reader.read(CHUNK)
        await link.send(data)
