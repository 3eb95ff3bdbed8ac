"""Channels: bytes of a body over a unix socket, each opened once by a ticket."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING

from pileus.model.provider import Access

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pileus.model.provider import Stream

PATIENCE = 30.0
"""Seconds for which a ticket is good."""


class ChannelServer:
    """Listens at `path`; `group` is the id of the group that may connect besides root."""

    def __init__(self, path: Path, group: int | None = None) -> None:
        self._path = path
        self._group = group
        self._offers: dict[str, tuple[float, Callable[[Stream], None]]] = {}
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def start(self) -> None:
        """Begin to accept."""
        self._path.unlink(missing_ok=True)
        self._socket.bind(str(self._path))
        if self._group is not None:
            os.chown(self._path, -1, self._group)
        self._path.chmod(0o660)
        self._socket.listen(64)
        threading.Thread(target=self._accept, name="channels", daemon=True).start()

    def stop(self) -> None:
        """Stop accepting; open channels go on to their end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # or the thread that accepts would take one more
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def offer(self, serve: Callable[[Stream], None]) -> Access:
        """A one-time way to `serve`."""
        ticket = secrets.token_urlsafe(24)
        now = time.monotonic()
        with self._lock:
            self._offers = {key: offer for key, offer in self._offers.items() if offer[0] > now}
            self._offers[ticket] = (now + PATIENCE, serve)
        return Access(address=str(self._path), ticket=ticket)

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(link,), name="channel", daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        with link, contextlib.suppress(OSError):
            link.settimeout(5.0)
            said = b""
            while not said.endswith(b"\n") and len(said) < 200:
                part = link.recv(1)
                if not part:
                    return
                said += part
            with self._lock:
                offer = self._offers.pop(said.strip().decode("ascii", "replace"), None)
            if offer is not None and offer[0] > time.monotonic():
                link.settimeout(None)
                offer[1](link)
