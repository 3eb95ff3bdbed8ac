"""Questions over the bus that wait for an answer, for a bounded time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pileus.model.errors import Fault, Unavailable
from pileus.model.provider import Access

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.bus.messages import Open, Opened

PATIENCE = 10.0


class Calls:
    """Questions that are under way, by their call id."""

    def __init__(self) -> None:
        self._waiting: dict[str, threading.Event] = {}
        self._answers: dict[str, Opened] = {}

    def ask(self, request: Open, send: Callable[[], object] | None) -> Access:
        """Send and wait; Unavailable when there is nobody to send to or no answer in time, Fault as answered."""
        if send is None:
            raise Unavailable("The host is not connected now; try again later.", noun="host")
        event = self._waiting[request.call] = threading.Event()
        try:
            send()
            if not event.wait(PATIENCE):
                raise Unavailable("The host does not answer now; try again later.", noun="host")
            answer = self._answers.pop(request.call)
        finally:
            self._waiting.pop(request.call, None)
        if answer.code:
            raise Fault(answer.code, answer.message)
        return Access(address=answer.address, ticket=answer.ticket)

    def answer(self, answer: Opened) -> None:
        """An answer arrived; one that nobody waits for any more is dropped."""
        event = self._waiting.get(answer.call)
        if event is not None:
            self._answers[answer.call] = answer
            event.set()
