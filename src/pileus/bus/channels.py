"""Channels: bytes of a body over a unix socket, or over TLS between machines, each opened once by a ticket."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pileus.model import threads
from pileus.model.errors import Unavailable
from pileus.model.provider import Access

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pileus.model.provider import Stream

PATIENCE = 30.0
"""Seconds for which a ticket is good."""

TCP = "tcp://"
"""How the address of a channel on another machine begins."""

LONGEST_TICKET = 200
"""Bytes of the first line at most."""


class Offers:
    """The offers of streams that were not fetched yet, by ticket."""

    def __init__(self) -> None:
        self._offers: dict[str, tuple[float, Callable[[Stream], None]]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._offers)

    def make(self, serve: Callable[[Stream], None]) -> str:
        """A new ticket for `serve`."""
        ticket = secrets.token_urlsafe(24)
        now = time.monotonic()
        with self._lock:
            self._offers = {key: offer for key, offer in self._offers.items() if offer[0] > now}
            self._offers[ticket] = (now + PATIENCE, serve)
        return ticket

    def take(self, line: bytes) -> Callable[[Stream], None] | None:
        """Return the function to serve the stream for the ticket in this line, once; None for no valid ticket."""
        with self._lock:
            offer = self._offers.pop(line.strip().decode("ascii", "replace"), None)
        return offer[1] if offer is not None and offer[0] > time.monotonic() else None


class ChannelServer:
    """Listens at `path`; `group` is the id of the group that may connect besides root."""

    def __init__(self, path: Path, group: int | None = None) -> None:
        self._path = path
        self._group = group
        self._offers = Offers()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to accept."""
        self._path.unlink(missing_ok=True)
        self._socket.bind(str(self._path))
        if self._group is not None:
            os.chown(self._path, -1, self._group)
        self._path.chmod(0o660)
        self._socket.listen(64)
        threads.Thread("channels", self._accept, self._stopping).start()

    def stop(self) -> None:
        """Stop accepting; open channels go on to their end."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # or the thread that accepts would take one more
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def offer(self, serve: Callable[[Stream], None]) -> Access:
        """A one-time way to `serve`."""
        return Access(address=str(self._path), ticket=self._offers.make(serve))

    def _accept(self) -> None:
        link, _ = self._socket.accept()
        try:
            threads.once("channel", lambda: self._serve(link))
        except RuntimeError:
            link.close()
            raise

    def _serve(self, link: socket.socket) -> None:
        with link, contextlib.suppress(OSError):
            link.settimeout(5.0)
            line = b""
            while not line.endswith(b"\n") and len(line) < LONGEST_TICKET:
                part = link.recv(1)
                if not part:
                    return
                line += part
            serve = self._offers.take(line)
            if serve is not None:
                link.settimeout(None)
                serve(link)


def place(access: Access) -> tuple[str, int] | None:
    """Host and port of a channel on another machine; None for a unix socket."""
    if not access.address.startswith(TCP):
        return None
    parts = urlsplit(access.address)
    return parts.hostname or "", parts.port or 0


def trust(access: Access) -> ssl.SSLContext:
    """Whose certificates are believed at the other end of a channel on another machine."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=access.ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def dial(access: Access, timeout: float) -> socket.socket:
    """A channel's connected socket, the ticket already sent, each wait on it bounded by `timeout`. Raises OSError."""
    there = place(access)
    link = (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) if there is None else socket.create_connection(there, timeout)
    )
    try:
        link.settimeout(timeout)
        if there is None:
            link.connect(access.address)
        else:
            link = trust(access).wrap_socket(link, server_hostname=access.name)
        link.sendall(access.ticket.encode() + b"\n")
    except OSError:
        link.close()
        raise
    return link


def read_all(access: Access, timeout: float = 10.0) -> bytes:
    """All bytes of a channel, to its end; Unavailable when the host stops answering."""
    try:
        with dial(access, timeout) as link:
            parts = []
            while part := link.recv(65536):
                parts.append(part)
            return b"".join(parts)
    except OSError as error:
        raise Unavailable(f"The host does not give its bytes now: {error}", noun="host") from error
