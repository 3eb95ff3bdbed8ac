"""HTTP servers on listening sockets: how uvicorn is set up here, with TLS or without."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable

import uvicorn

from pileus.app.connections import Connection
from pileus.app.tls import Identity

KEEP_ALIVE = 75
"""Seconds for which an idle connection is kept: longer than clients' pools keep theirs."""

HANDSHAKE = 10.0
"""Seconds that a TLS handshake may take."""


Ended = asyncio.Task[None]
"""A server's task."""


class _Server(uvicorn.Server):
    """uvicorn, told to stop by the signals that this process gets."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
        """Leave the signals alone: uvicorn's own would end the process as well, before the cloud is put away."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, as uvicorn does, with a bound on the time of TLS handshakes."""
        loop, config = asyncio.get_running_loop(), self.config
        patience = HANDSHAKE if config.ssl else None
        self.servers = [
            await loop.create_server(
                self._connection, sock=listener, ssl=config.ssl, ssl_handshake_timeout=patience, backlog=config.backlog
            )
            for listener in sockets or ()
        ]
        self.started = True

    def _connection(self) -> asyncio.Protocol:
        return Connection(self.config, self.server_state, {})


def server(application: Callable[..., object], identity: Identity | None = None) -> uvicorn.Server:
    """A server of an ASGI application; with an identity it speaks TLS alone."""
    config = uvicorn.Config(
        application,
        http=Connection,
        ws="websockets-sansio",
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=5,
        ws_max_size=1 << 20,
        ssl_context_factory=(lambda *_: identity.context) if identity else None,
    )
    return _Server(config)


@contextlib.asynccontextmanager
async def serving(one: uvicorn.Server, listener: socket.socket, identity: Identity | None) -> AsyncIterator[Ended]:
    """Serve at `listener` inside the block; its value is the server's task, which ends when SIGTERM or SIGINT come."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, one.handle_exit, number, None)
    task = asyncio.create_task(one.serve(sockets=[listener]))
    following = asyncio.create_task(identity.follow()) if identity else None
    try:
        while not one.started and not task.done():  # noqa: ASYNC110  (uvicorn tells nobody)
            await asyncio.sleep(0.002)
        yield task
    finally:
        one.should_exit = True
        if following is not None:
            following.cancel()
        await task
