"""Fibers: real code that gives way at chosen points, so that a world can interleave it, pause it or kill it.

A fiber has a stack of its own, but runs only while it is resumed: one thing happens at a time, in an order that the
world decides. Threads that hand a lock over could do the same; a switch between them costs more than the code between
two of them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, ClassVar

from greenlet import getcurrent, greenlet

if TYPE_CHECKING:
    from collections.abc import Callable


class Killed(BaseException):
    """What ends a fiber whose process died. Not an Exception: no code under test may catch it."""


class Fiber:
    """Runs `code` in turns. `done` after its end; what it raised is raised by the `resume` in which it ended."""

    current: ClassVar[Fiber | None] = None

    def __init__(self, code: Callable[[], object]) -> None:
        self._stack = greenlet(self._carried)
        self._code = code
        self._error: BaseException | None = None
        self._killed = False
        self.done = False
        self.result: object = None

    def resume(self) -> bool:
        """Go on until the code gives way (False) or ends (True)."""
        self._stack.parent = getcurrent()
        Fiber.current = self
        self._stack.switch()
        Fiber.current = None
        if self._error is not None:
            raise self._error
        return self.done

    def kill(self) -> None:
        """End it where it stands, as the death of its process does."""
        if not self._stack or self.done:
            self.done = True
            return
        self._killed = True
        with contextlib.suppress(Killed):
            self.resume()

    def _carried(self) -> None:
        try:
            self.result = self._code()
        except BaseException as error:  # noqa: BLE001  (it is raised again by `resume`)
            self._error = error
        self.done = True

    def wait(self) -> None:
        """Give way; called by the code itself."""
        if not self._killed and self._stack.parent is not None:
            self._stack.parent.switch()
        if self._killed:
            raise Killed


def give_way() -> None:
    """Give way when the caller is a fiber's code; otherwise do nothing."""
    if Fiber.current is not None:
        Fiber.current.wait()
