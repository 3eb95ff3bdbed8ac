"""HTTP servers on listening sockets: how uvicorn is set up here, with TLS or without."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import structlog
import uvicorn

from pileus.app.connections import Connections
from pileus.app.protocol import HttpProtocol
from pileus.app.tls import ListenerIdentity
from pileus.app.websocket import Websocket
from pileus.model import bounds

AT_ONCE = 8
"""Connections that are accepted in a row, before what else is due."""

PAUSE = 0.1
"""Seconds without accepting connections after one could not be."""

Ended = asyncio.Task[None]
"""A server's task."""

log = structlog.get_logger()


class _Server(uvicorn.Server):
    """uvicorn, told to stop by the signals that this process gets; it counts connections as it accepts them."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections
        self._beginning: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: uvicorn's own would end the process as well, before the cloud is put away."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        self.servers = []
        for listener in sockets or []:
            listener.setblocking(False)
            self._listen(listener)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and end when what is under way is answered."""
        for listener in sockets or []:
            asyncio.get_running_loop().remove_reader(listener)
        for task in self._beginning:
            task.cancel()
        await super().shutdown(sockets)

    def _listen(self, listener: socket.socket) -> None:
        if not self.should_exit:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(AT_ONCE):
            try:
                link, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # Descriptors or memory are used up: those who wait are accepted when there is some again.
                log.warning(
                    "connections are not accepted now", reason=error.strerror, connections=len(self._connections)
                )
                loop.remove_reader(listener)
                loop.call_later(PAUSE, self._listen, listener)
                return
            link.setblocking(False)
            connection = HttpProtocol(self.config, self.server_state, {}, loop, connections=self._connections)
            task = loop.create_task(connection.begin(link, peer))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)


def server(application: Callable[..., object], connections: Connections) -> uvicorn.Server:
    """A server of an ASGI application, whose clients' connections are counted among `connections`."""
    config = uvicorn.Config(
        application,
        http=HttpProtocol,
        ws=Websocket,
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        # Whoever connects from this machine could name any address as its client's.
        proxy_headers=False,
        timeout_keep_alive=bounds.IDLE.most,
        timeout_graceful_shutdown=5,
        ws_max_size=1 << 20,
        # 256 KiB of compressed messages would be 250 MiB, in one step of the event loop.
        ws_per_message_deflate=False,
    )
    return _Server(config, connections)


@contextlib.asynccontextmanager
async def serving(
    server: uvicorn.Server, listener: socket.socket, identity: ListenerIdentity | None
) -> AsyncIterator[Ended]:
    """Serve at `listener` inside the block; its value is the server's task, which ends when SIGTERM or SIGINT come."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    following = asyncio.create_task(identity.follow()) if identity else None
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  (uvicorn tells nobody)
            await asyncio.sleep(0.002)
        yield task
    finally:
        server.should_exit = True
        if following is not None:
            following.cancel()
        await task
