"""Calls that wait for hosts, counted by host: one that hangs holds few threads."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from pileus.model import bounds
from pileus.model.errors import Unavailable


class HostWaits:
    """How many calls wait for each host now. Any number of threads may use it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()

    @contextlib.contextmanager
    def on(self, host: str) -> Iterator[None]:
        """Wait for `host` inside the block. Raises Unavailable at once where too many do."""
        with self._lock:
            if self._waiting[host] >= bounds.HOST_CALLS.most:
                raise Unavailable(f"{self._waiting[host]} calls wait for the host now; try again later.", noun="host")
            self._waiting[host] += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting[host] -= 1
                if not self._waiting[host]:
                    del self._waiting[host]
