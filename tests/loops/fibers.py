"""Fibers: real code that gives way at chosen points, so that a world can interleave it, pause it or kill it.

A fiber runs on a thread of its own, but only while it is resumed: one thing happens at a time, in an order that the
world decides.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Killed(BaseException):
    """What ends a fiber whose process died. Not an Exception: no code under test may catch it."""


class _Carrier:
    """A thread that carries one fiber after another; `go` and `back` hand the turn over."""

    idle: ClassVar[list[_Carrier]] = []

    def __init__(self) -> None:
        self.go = threading.Lock()
        self.back = threading.Lock()
        self.go.acquire()
        self.back.acquire()
        self.fiber: Fiber | None = None
        threading.Thread(target=self._carry, name="fiber", daemon=True).start()

    def _carry(self) -> None:
        while True:
            self.go.acquire()
            if self.fiber is not None:
                self.fiber.carried()
            self.back.release()

    def turn(self) -> None:
        """Let the carried code go on until it gives way or ends."""
        self.go.release()
        self.back.acquire()


class Fiber:
    """Runs `code` in turns. `done` after its end; what it raised is raised by the `resume` in which it ended."""

    current: ClassVar[Fiber | None] = None

    def __init__(self, code: Callable[[], object]) -> None:
        self._code = code
        self._carrier: _Carrier | None = None
        self._error: BaseException | None = None
        self._killed = False
        self.done = False
        self.result: object = None

    def resume(self) -> bool:
        """Go on until the code gives way (False) or ends (True)."""
        if self._carrier is None:
            self._carrier = _Carrier.idle.pop() if _Carrier.idle else _Carrier()
            self._carrier.fiber = self
        Fiber.current = self
        self._carrier.turn()
        Fiber.current = None
        if self.done:
            self._carrier.fiber = None
            _Carrier.idle.append(self._carrier)
            if self._error is not None:
                raise self._error
        return self.done

    def kill(self) -> None:
        """End it where it stands, as the death of its process does."""
        if self._carrier is None or self.done:
            self.done = True
            return
        self._killed = True
        with contextlib.suppress(Killed):
            self.resume()

    def carried(self) -> None:
        """Run the code; called by its carrier alone."""
        try:
            self.result = self._code()
        except BaseException as error:  # noqa: BLE001  (it is raised again by `resume`)
            self._error = error
        self.done = True

    def wait(self) -> None:
        """Give way; called by the code itself."""
        carrier = self._carrier
        if carrier is None:
            raise RuntimeError("a fiber that does not run cannot give way")
        if not self._killed:
            carrier.back.release()
            carrier.go.acquire()
        if self._killed:
            raise Killed


def give_way() -> None:
    """Give way when the caller is a fiber's code; otherwise do nothing."""
    if Fiber.current is not None:
        Fiber.current.wait()
