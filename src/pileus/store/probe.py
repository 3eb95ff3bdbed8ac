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

from pileus.model.threads import Thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 3.0
"""Seconds that somebody has waited when the server is asked whether it lives: locks are often waited for longer."""

LOOK = 1.0
"""Seconds between looks at who waits, and between questions to a server that was silent."""


class DatabaseProbe:
    """`answers` asks the server, on a connection of its own and for a bounded time, whether it lives.

    While it does not, those who wait are cut off, and whoever comes is to be sent away: `silent` says so.
    """

    def __init__(self, answers: Callable[[], bool]) -> None:
        self.silent = False
        self._answers = answers
        self._waiting: dict[object, tuple[float, int | socket.socket]] = {}
        self._lock = threading.Lock()
        self._thread: Thread | None = None
        self._process = 0

    @contextlib.contextmanager
    def waiting(self, link: int | socket.socket) -> Iterator[None]:
        """Somebody waits inside the block, at this socket; one given by its number stays open as long."""
        this = object()
        with self._lock:
            self._waiting[this] = time.monotonic(), link
            if self._thread is None or self._process != os.getpid():
                self._process = os.getpid()
                self._thread = Thread("probe", self._watch, threading.Event())
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._waiting[this]

    def _watch(self) -> None:
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
            for since, link in self._waiting.values():
                if since < began:
                    self._cut(link)

    @staticmethod
    def _cut(link: int | socket.socket) -> None:
        with contextlib.suppress(OSError):
            if isinstance(link, socket.socket):
                # The plain word, for TLS too: its own one would pull the state away from under who reads.
                socket.socket.shutdown(link, socket.SHUT_RDWR)
            else:
                with socket.socket(fileno=os.dup(link)) as copy:
                    copy.shutdown(socket.SHUT_RDWR)
