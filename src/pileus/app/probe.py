"""Whether a process that runs also answers: asked now and again over its unix socket, never waited for."""

from __future__ import annotations

import contextlib
import socket

PERIOD = 5.0
"""Seconds between two questions, and seconds that an answer may take."""

MOST = 12
"""Questions in a row that a process may leave unanswered."""


SLOW = 6
"""Questions that a process may leave unanswered while it starts, before it is called silent."""


class ProcessProbe:
    """Asks `question` at the socket `path`; any answer will do. Times in monotonic seconds.

    Unanswered questions are counted, not the time since the last answer: a machine that was suspended learns nothing
    from that time. A process that has not answered yet is not judged: it may be long in starting. A connection that
    the process keeps open is used again: libvirtd logs every connection that ends. Once `link`, the connection if there
    is one, is readable, `hear` is to be called.
    """

    def __init__(self, path: str, question: str) -> None:
        self._path = path
        self._question = question.encode("latin-1")
        self.link: socket.socket | None = None
        self._waiting = False
        self._answered = False
        self.missed = 0
        self.due = 0.0

    @property
    def hung(self) -> bool:
        """Whether it did answer, and has left too many questions unanswered since."""
        return self._answered and self.missed >= MOST

    @property
    def silent(self) -> float:
        """For how many seconds it has not answered; 0 while it may still be starting."""
        return self.missed * PERIOD if self._answered or self.missed >= SLOW else 0.0

    def begin(self, now: float) -> None:
        """Begin anew, with another process, which is left in peace for the first `PERIOD`."""
        self._close()
        self._answered, self.missed, self.due = False, 0, now + PERIOD

    def ask(self, now: float) -> None:
        """Ask if it is time to; a question that still waits for its answer is then a missed one."""
        if now < self.due or not self._path:
            return
        self.due = now + PERIOD
        if not self._waiting:
            # A connection that was kept may have ended meanwhile.
            self._waiting = self._send() or (self._connect() and self._send())
            self.missed += not self._waiting
        else:
            self.missed += 1

    def hear(self) -> None:
        """Take what came: an answer, or the end of the connection, which takes a process that is awake."""
        if self.link is None:
            return
        answer = b""
        with contextlib.suppress(OSError):
            answer = self.link.recv(4096)
        if self._waiting:
            self._waiting, self._answered, self.missed = False, True, 0
        if not answer:
            self._close()

    def _connect(self) -> bool:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            link.connect(self._path)
        except OSError:
            link.close()
            return False
        self.link = link
        return True

    def _send(self) -> bool:
        if self.link is None:
            return False
        try:
            self.link.send(self._question)
        except OSError:
            self._close()
            return False
        return True

    def _close(self) -> None:
        self._waiting = False
        if self.link is not None:
            self.link.close()
            self.link = None
