"""A TCP relay to a server, which a test cuts and mends: a network between two processes of one machine."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.services.process import free_port


class Relay:
    """Passes connections at `port` of 127.0.0.1 on to another port, except while it is cut."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._lock = threading.Lock()
        self._links: set[socket.socket] = set()
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def cut(self) -> None:
        """End every connection, and end new ones at once."""
        self._whole.clear()
        self._drop()

    def mend(self) -> None:
        """Pass new connections on again."""
        self._whole.set()

    def close(self) -> None:
        """End for good."""
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _drop(self) -> None:
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            if not self._whole.is_set():
                caller.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                server.settimeout(None)
            except OSError:
                caller.close()
                continue
            with self._lock:
                self._links |= {caller, server}
            for source, sink in ((caller, server), (server, caller)):
                threading.Thread(target=self._pass_on, args=(source, sink), name="relay-link", daemon=True).start()
            if not self._whole.is_set():
                self._drop()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for link in (source, sink):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            with self._lock:
                self._links.discard(link)
            link.close()
