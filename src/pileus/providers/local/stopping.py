"""Guests that were asked to shut down: since when, and when to ask again. On disk, so that it outlives this process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

GRACE = 20.0
"""Seconds that a guest has to shut down after it was asked to, before its power is cut."""

AGAIN = 5.0
"""Seconds after which it is asked again: a guest that was booting did not hear it."""


class Stopping:
    """The instances that are being stopped; in `folder` of each a file says since when (monotonic seconds)."""

    def __init__(self, folder: Callable[[str], Path]) -> None:
        self._folder = folder
        self._first: dict[str, float] = {}
        self._asked: dict[str, float] = {}

    def begun(self, uuid: str) -> bool:
        """Whether it was asked since it started last: it cannot be taken back."""
        return uuid in self._first or self._marker(uuid).exists()

    def overdue(self, uuid: str) -> bool:
        """Whether it had its time since it was asked first, which is now if it never was."""
        now = time.monotonic()
        return now - self._since(uuid, now) >= GRACE

    def due(self, uuid: str) -> bool:
        """Whether to ask it now: at first, and every AGAIN seconds."""
        now = time.monotonic()
        if now - self._asked.get(uuid, -AGAIN) < AGAIN:
            return False
        self._asked[uuid] = now
        return True

    def started(self, uuid: str) -> None:
        """It starts anew. Raises OSError."""
        self._marker(uuid).unlink(missing_ok=True)
        self.forget(uuid)

    def forget(self, uuid: str) -> None:
        """It is gone."""
        self._first.pop(uuid, None)
        self._asked.pop(uuid, None)

    def _marker(self, uuid: str) -> Path:
        return self._folder(uuid) / "stopping"

    def _since(self, uuid: str, now: float) -> float:
        """When the guest was first asked; kept on disk where that can be written."""
        marker, since = self._marker(uuid), self._first.get(uuid, now)
        with contextlib.suppress(OSError, ValueError):
            since = float(marker.read_text())
        if since > now or not marker.exists():
            # A later time than now is from before the machine's last boot, when its clock began anew.
            since = min(since, now)
            with contextlib.suppress(OSError):
                marker.write_text(str(since))
        self._first[uuid] = since
        return since
