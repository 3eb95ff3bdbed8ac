"""The number of processes that answer a cloud's requests: they divide the rates of its callers among themselves."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

from pileus.model.threads import Thread
from pileus.store.presence import Beats

if TYPE_CHECKING:
    from pileus.store.store import Store

BEAT = 10.0
"""Seconds between two signs of life of a process."""


class Presence:
    """Counts the processes, from time to time, in a thread of its own."""

    def __init__(self, store: Store) -> None:
        self._beats = Beats(store, secrets.token_hex(8))
        self._count = 1
        self._ends = threading.Event()
        self._thread = Thread("presence", self._beat, self._ends)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the others notice within a minute."""
        self._ends.set()
        self._thread.join()

    def count(self) -> int:
        """Return the number of processes at the last beat, this one included."""
        return self._count

    def _beat(self) -> None:
        self._count = self._beats.beat()
        self._ends.wait(BEAT)
