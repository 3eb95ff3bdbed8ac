"""Memory that requests and steps needed for a moment: a process gives it back to the machine."""

from __future__ import annotations

import ctypes
import gc
import threading

from pileus.model.threads import Thread

PERIOD = 20.0
"""Seconds between two collections."""

ARENAS = 2
"""Heaps that the C library makes for threads: each keeps what was freed in it."""

LARGE = 16 << 20
"""Bytes from which on a piece of memory goes back as soon as it is freed, and free bytes at a heap's end.

Smaller pieces are used again: answers have some megabytes, and the machine clears each page that it gives anew.
"""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


class Memory:
    """Gives memory back as long as its process lives; made before the process has threads.

    Values that refer to themselves stay until a collection, and the collector of a busy process looks at old values
    rarely. Freed memory stays with the C library: mallopt(3) and malloc_trim(3) return it, where the library has them.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        library = ctypes.CDLL(None)
        self._trim = getattr(library, "malloc_trim", None)
        if self._trim is not None:
            library.mallopt(_M_ARENA_MAX, ARENAS)
            library.mallopt(_M_MMAP_THRESHOLD, LARGE)
            library.mallopt(_M_TRIM_THRESHOLD, LARGE)
        self._thread = Thread("memory", self._iterate, self._ended)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def give_back(self) -> None:
        """Collect values that refer to themselves, and return free memory."""
        gc.collect()
        if self._trim is not None:
            self._trim(0)

    def _iterate(self) -> None:
        if not self._ended.wait(PERIOD):
            self.give_back()
