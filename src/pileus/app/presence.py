"""The number of processes that answer a cloud's requests: they divide the rates of its callers among themselves."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

from pileus.model.threads import Thread
from pileus.store.presence import Heartbeats

if TYPE_CHECKING:
    from pileus.store.store import Store

INTERVAL = 10.0
"""Seconds between two heartbeats of a process."""


class Presence:
    """Counts the processes, from time to time, in a thread of its own."""

    def __init__(self, store: Store) -> None:
        self._heartbeats = Heartbeats(store, secrets.token_hex(8))
        self._count = 1
        self._ends = threading.Event()
        self._thread = Thread("presence", self._send_heartbeat, self._ends)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the others notice within a minute."""
        self._ends.set()
        self._thread.join()

    def count(self) -> int:
        """Return the number of processes at the last heartbeat, this one included."""
        return self._count

    def _send_heartbeat(self) -> None:
        self._count = self._heartbeats.send()
        self._ends.wait(INTERVAL)
