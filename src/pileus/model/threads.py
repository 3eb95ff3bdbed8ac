"""Threads that outlive unexpected errors, and the list of those that fail now.

A thread of the cloud or of a host ends when its owner stops it, and for no other reason: nobody would notice that it
is missing. `Thread` calls one function again and again; `once` runs a function that ends by itself, such as the work on
one connection. Every thread of the cloud and of a host is made here.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import structlog

from pileus.model.backoff import backoff
from pileus.model.errors import Fault, PileusError

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST, LONGEST = 0.1, 2.0
"""Seconds between an iteration that failed and the next one: doubling, with jitter."""

RECENT = 30.0
"""Seconds for which a thread counts as failing after its last failure, if no iteration of it has succeeded since."""

_failures: dict[Thread, tuple[float, str]] = {}

log = structlog.get_logger()


class Thread:
    """A daemon thread that calls `iterate` again and again until `stopping` is set.

    `iterate` waits for one piece of work, and does it. An error that it raises is logged, and after a pause it is
    called again.
    PileusError and Fault are trouble of something else, which is shown elsewhere: only other errors make it failing.
    """

    def __init__(self, name: str, iterate: Callable[[], object], stopping: threading.Event) -> None:
        self.name = name
        self._iterate = iterate
        self._stopping = stopping
        self._tries = 0
        self._text = ""
        self._failed = -RECENT
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.begun = False

    def start(self) -> None:
        """Begin. Raises RuntimeError when the machine has no thread left; it may be started later."""
        self._thread.start()
        self.begun = True

    def is_alive(self) -> bool:
        """Whether it has begun and not ended."""
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end, `timeout` seconds at most; not at all for a thread that never began, or for itself."""
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._iterate()
                except Exception as error:  # noqa: BLE001  (it is logged, and the thread goes on)
                    if not self._stopping.is_set():
                        self._note(error)
                        self._stopping.wait(backoff(self._tries - 1, SHORTEST, LONGEST))
                else:
                    self._tries = 0
                    _failures.pop(self, None)
        finally:
            _failures.pop(self, None)

    def _note(self, error: Exception) -> None:
        now = time.monotonic()
        # An iteration may wait for hours: a failure long ago says nothing about this one.
        self._tries = self._tries + 1 if now - self._failed < RECENT else 1
        self._failed = now
        expected = isinstance(error, PileusError | Fault)
        text = error.message if isinstance(error, PileusError | Fault) else f"{type(error).__name__}: {error}"
        # An error that repeats is logged at its first, second, fourth, eighth time.
        if text != self._text or self._tries & (self._tries - 1) == 0:
            again = text == self._text and self._tries > 1
            log.warning(
                "thread fails",
                thread=self.name,
                reason=text,
                times=self._tries,
                exc_info=None if expected or again else error,
            )
        self._text = text
        if not expected:
            _failures[self] = (now, text)


def once(name: str, run: Callable[[], object]) -> threading.Thread:
    """Start a daemon thread for a function that ends by itself; an error that it raises is logged.

    Raises RuntimeError when the machine has no thread left.
    """

    def guarded() -> None:
        try:
            run()
        except Exception:
            log.exception("thread ended", thread=name)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


def failing() -> dict[str, str]:
    """The threads of this process whose last iterations failed unexpectedly, by name, with the error in words."""
    now = time.monotonic()
    return {thread.name: text for thread, (when, text) in _failures.copy().items() if now - when < RECENT}
