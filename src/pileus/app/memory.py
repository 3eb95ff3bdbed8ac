"""Memory that requests and steps needed for a moment: a process gives it back to the machine."""

from __future__ import annotations

import ctypes
import gc
import threading

from pileus.model.threads import Thread

PERIOD = 20.0
"""Seconds between two times."""


class Memory:
    """Gives memory back as long as its process lives.

    Connections and threads that ended refer to themselves, and the collector of a busy process looks at old values
    rarely. The C library keeps freed memory for the process: malloc_trim(3) returns it, where the library has that.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._thread = Thread("memory", self._turn, self._ended)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def _turn(self) -> None:
        if not self._ended.wait(PERIOD):
            self.give_back()

    def give_back(self) -> None:
        """Collect values that refer to themselves, and return what is free now."""
        gc.collect()
        if self._trim is not None:
            self._trim(0)
