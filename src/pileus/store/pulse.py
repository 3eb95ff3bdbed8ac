"""A server that says nothing: noticed while somebody waits for it, so that nobody waits for long.

A stopped server keeps its connections, and its machine acknowledges what is sent to it: no setting of TCP ends that.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 3.0
"""Seconds that somebody has waited when the server is asked whether it lives: locks are often waited for longer."""

LOOK = 1.0
"""Seconds between looks at who waits, and between questions to a server that was silent."""


class Pulse:
    """`answers` asks the server, on a connection of its own and for a bounded time, whether it lives.

    While it does not, those who wait are cut off, and whoever comes is to be sent away: `silent` says so.
    """

    def __init__(self, answers: Callable[[], bool]) -> None:
        self.silent = False
        self._answers = answers
        self._waiting: dict[object, tuple[float, int]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process = 0

    @contextlib.contextmanager
    def waiting(self, descriptor: int) -> Iterator[None]:
        """Somebody waits inside the block, at this socket, which stays open as long."""
        this = object()
        with self._lock:
            self._waiting[this] = time.monotonic(), descriptor
            if self._thread is None or self._process != os.getpid():
                self._process = os.getpid()
                self._thread = threading.Thread(target=self._watch, name="pulse", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._waiting[this]

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK)
            with self._lock:
                longest = min((since for since, _ in self._waiting.values()), default=time.monotonic())
            if self.silent or time.monotonic() - longest > PATIENCE:
                self._ask()

    def _ask(self) -> None:
        began = time.monotonic()
        self.silent = not self._answers()
        if not self.silent:
            return
        with self._lock:
            for since, descriptor in self._waiting.values():
                if since < began:
                    self._cut(descriptor)

    @staticmethod
    def _cut(descriptor: int) -> None:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as link:
            link.shutdown(socket.SHUT_RDWR)
