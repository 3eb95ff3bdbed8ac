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


class Pulse:
    """Asks `question` at the socket `path`; any answer will do. Times in monotonic seconds.

    Unanswered questions are counted, not the time since the last answer: whoever slept himself (a machine that was
    suspended) learns nothing from that. What has not answered yet is not judged: it may be long in starting.
    """

    def __init__(self, path: str, question: str) -> None:
        self._path = path
        self._question = question.encode("latin-1")
        self._link: socket.socket | None = None
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

    @property
    def link(self) -> socket.socket | None:
        """The connection at which an answer is waited for; readable once `hear` is to be called."""
        return self._link

    def begin(self, now: float) -> None:
        """Begin anew, with another process, which is left in peace for the first `PERIOD`."""
        self._close()
        self._answered, self.missed, self.due = False, 0, now + PERIOD

    def ask(self, now: float) -> None:
        """Ask if it is time to; the question before that is then a missed one."""
        if now < self.due or not self._path:
            return
        self.missed += self._link is not None
        self._close()
        self.due = now + PERIOD
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            link.connect(self._path)
            link.send(self._question)
        except OSError:
            link.close()
            self.missed += 1
        else:
            self._link = link

    def hear(self) -> None:
        """Take what came: an answer, or the end of the connection, which takes a process that is awake."""
        link = self._link
        if link is not None:
            with contextlib.suppress(OSError):
                link.recv(4096)
            self._close()
            self._answered, self.missed = True, 0

    def _close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
