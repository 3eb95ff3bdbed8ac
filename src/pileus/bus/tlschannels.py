"""Channels for other machines: TCP with TLS, which the host's certificate is for. One thread carries all of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pileus.bus.channels import LONGEST_TICKET, TCP, Offers
from pileus.model import threads
from pileus.model.provider import Access

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.bus.tls import TlsFiles
    from pileus.model.provider import Stream

STRANGERS = 64
"""Connections that have not shown a ticket yet; more are closed at once."""

FIRST = 5.0
"""Seconds within which a caller has shook hands and shown a ticket."""

_CHUNK = 65536


@dataclass(frozen=True)
class ListenAddress:
    """Where to listen (`port` 0: a free one), and as what the cloud's machines know this one."""

    address: str
    port: int
    name: str


FAREWELL = 0.2
"""Seconds for which the end of a server waits for those whom it serves."""


class TlsChannelServer:
    """Serves channels at an address, with the certificate in `tls`; callers need no certificate, but a ticket."""

    def __init__(self, listen_at: ListenAddress, tls: TlsFiles) -> None:
        self._listen_at = listen_at
        self._context = tls.server()
        self._offers = Offers()
        self._strangers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(
            (listen_at.address, listen_at.port), family=_family(listen_at.address), backlog=64
        )
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to accept."""
        self._thread = threads.once("channels", self._run)

    def stop(self) -> None:
        """Stop accepting, and end what is open."""
        if self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
        self._socket.close()

    def offer(self, serve: Callable[[Stream], None]) -> Access:
        """A one-time way to `serve`, which gets the bytes as they are within TLS."""
        name = f"[{self._listen_at.name}]" if ":" in self._listen_at.name else self._listen_at.name
        return Access(address=f"{TCP}{name}:{self.port}", ticket=self._offers.make(serve))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._socket.setblocking(False)
        accepting = self._loop.create_task(self._accept())
        self._loop.run_forever()
        ending = {accepting, *self._tasks}
        while ending:
            # Again, for one that says farewell to somebody who does not listen.
            for task in ending:
                task.cancel()
            _, ending = self._loop.run_until_complete(asyncio.wait(ending, timeout=FAREWELL))
        # What was closed just now is let go of in the loop's next iterations.
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _accept(self) -> None:
        while True:
            try:
                link, _ = await self._loop.sock_accept(self._socket)
            except OSError:
                await asyncio.sleep(0.1)  # out of descriptors, say
                continue
            if self._strangers >= STRANGERS:
                link.close()
                continue
            self._strangers += 1
            task = self._loop.create_task(self._carry(link))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, link: socket.socket) -> None:
        ticket_read = False
        try:
            async with asyncio.timeout(FIRST):
                reader, writer = await _secured(link, self._context)
            try:
                async with asyncio.timeout(FIRST):
                    line = await reader.readuntil(b"\n")
                serve = self._offers.take(line)
                self._strangers -= 1
                ticket_read = True
                if serve is not None:
                    await _bridge(reader, writer, serve)
            finally:
                writer.close()
                try:
                    with contextlib.suppress(OSError, TimeoutError):
                        async with asyncio.timeout(FIRST):
                            await writer.wait_closed()
                finally:
                    writer.transport.abort()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            """No handshake, no ticket, or gone in the middle: nobody is owed an answer."""
        finally:
            if not ticket_read:
                self._strangers -= 1
            link.close()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


async def _secured(link: socket.socket, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Shake hands as the server, reading no more ahead than a line of a stranger's needs."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=max(LONGEST_TICKET, _CHUNK))
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol,
        link,
        ssl=context,
        ssl_handshake_timeout=FIRST,
        ssl_shutdown_timeout=FIRST,
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _bridge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, serve: Callable[[Stream], None]) -> None:
    """Let `serve` have one end of a pair of sockets, in a thread, and pass on what goes through the other end."""
    near, far = socket.socketpair()

    def served() -> None:
        with far, contextlib.suppress(OSError):
            serve(far)

    try:
        inner, outer = await asyncio.open_unix_connection(sock=near)
    except BaseException:
        near.close()
        far.close()
        raise
    up = asyncio.create_task(_copy(reader, outer))
    try:
        threads.once("channel", served)
        # What the guest says last is passed on; TLS could not say that the other direction goes on.
        await _copy(inner, writer)
    finally:
        up.cancel()
        # First of all, for whoever stops the server cancels what is waited for here.
        outer.close()
        try:
            await asyncio.gather(up, return_exceptions=True)
            with contextlib.suppress(OSError):
                await outer.wait_closed()
        finally:
            outer.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
