"""A listening socket on an event loop, closed at once and without a trace when it is told so."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

Accepted = Callable[[socket.socket, str], None]
"""(a connected socket that does not block, the caller's address): what is done with a new connection."""

_BACKLOG = 128
_BATCH = 32
_PAUSE = 0.2


class Listener:
    """Accepts connections on `sock`, which is bound and TCP, and hands them to `accepted`.

    To be made and closed in the loop's own thread. Unlike an awaited accept it is closed when `close`
    returns, so that the same address can be bound again in the same breath.
    """

    def __init__(self, sock: socket.socket, accepted: Accepted, backlog: int = _BACKLOG) -> None:
        self._sock = sock
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._closed = False
        sock.setblocking(False)
        sock.listen(backlog)
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Stop listening; connections that were accepted live on. Idempotent."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                connection, (source, *_) = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # Out of file descriptors: the connection stays in the queue, and the loop would spin on it.
                self._loop.remove_reader(self._sock)
                self._loop.call_later(_PAUSE, self._resume)
                return
            connection.setblocking(False)
            self._accepted(connection, source)
            if self._closed:
                return

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._sock, self._accept)


def bind(sock: socket.socket, address: str, port: int) -> socket.socket:
    """Bind `sock`, even right after an earlier listener; closes it and raises OSError if that fails."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
    except BaseException:
        sock.close()
        raise
    return sock
