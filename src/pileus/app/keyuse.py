"""The last uses of access keys, written now and then by a thread of their own."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from pileus.model.errors import Unavailable
from pileus.model.threads import Thread

if TYPE_CHECKING:
    from pileus.rules.credential import KeyUses

INTERVAL = 15.0
"""Seconds between two writes: each has other processes read credentials anew."""


class KeyUseWriter:
    """Writes what `uses` noted. Uses of the last seconds before an end by force are lost."""

    def __init__(self, uses: KeyUses) -> None:
        self._uses = uses
        self._ends = threading.Event()
        self._thread = Thread("keyuse", self._write, self._ends)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after a last write, if the database answers."""
        self._ends.set()
        self._thread.join()
        with contextlib.suppress(Unavailable):
            self._uses.write()

    def _write(self) -> None:
        self._ends.wait(INTERVAL)
        self._uses.write()
