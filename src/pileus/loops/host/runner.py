"""The host's threads: orders in, steps when due, reports out."""

from __future__ import annotations

import heapq
import threading
import time
from typing import TYPE_CHECKING, Protocol

import structlog

from pileus.bus.messages import Ask, Open, Opened, Order
from pileus.loops.runner import backoff
from pileus.model.errors import Fault
from pileus.model.provider import Ref
from pileus.model.threads import Thread, once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.bus.messages import Report, ToHost
    from pileus.loops.host.agent import Agent
    from pileus.model.spec import InstanceSpec

SURVEY = 10.0
"""Seconds between looks at every body, named or not."""

BEAT = 5.0
"""Seconds between reports when nothing happens."""

REPEAT = 30.0
"""Seconds between full ones: the cloud asks when it missed anything."""

GATHER = 0.03
"""Seconds for which news is gathered into one report."""

log = structlog.get_logger()


class Link(Protocol):
    """The host's end of the bus."""

    def listen(self, on_message: Callable[[ToHost], None]) -> None:
        """Call `on_message` with everything that the cloud sends, from a thread of the link's own."""

    def send(self, message: Report | Opened) -> None:
        """Send, at once or not at all. Never blocks, never raises."""


class HostRunner:
    """Runs one agent. `on_specs` is told the specs held after every change of them.

    `now` is a clock that nobody sets: a look that is due in a second is not due in an hour when the machine's time is
    put back.
    """

    def __init__(
        self,
        agent: Agent,
        link: Link,
        *,
        workers: int = 4,
        on_specs: Callable[[Iterable[InstanceSpec]], None] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.agent = agent
        self._link = link
        self._on_specs = on_specs
        self._now = now
        self._due: list[tuple[float, str]] = []
        self._when: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._wake = threading.Condition()
        self._news = threading.Event()
        self._full = False
        self._stopping = threading.Event()
        turns = {f"host-worker-{number}": self._work for number in range(workers)}
        turns |= {"host-reports": self._report, "host-survey": self._survey}
        self._threads = [Thread(name, turn, self._stopping) for name, turn in turns.items()]
        self._repeated = -REPEAT

    def start(self) -> None:
        """Begin: what the book holds is made true, whether or not the cloud answers."""
        self.agent.stir = self.wake
        self.agent.provider.watch(lambda ref: self.wake(ref.uuid))
        self._link.listen(self._message)
        self._specs_changed()
        for uuid in list(self.agent.book.entries):
            self.wake(uuid)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, after the steps that are under way; bodies stay as they are."""
        self._stopping.set()
        self._news.set()
        with self._wake:
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout=10)

    def wake(self, uuid: str, after: float = 0.0) -> None:
        """Have a body looked at, `after` seconds from now; an earlier look stays."""
        when = self._now() + after
        with self._wake:
            if uuid in self._when and self._when[uuid] <= when:
                return
            self._when[uuid] = when
            heapq.heappush(self._due, (when, uuid))
            self._wake.notify()

    def _message(self, message: ToHost) -> None:
        if isinstance(message, Order):
            if self.agent.take(message):
                self._specs_changed()
                self.wake(message.uuid)
            elif self.agent.news:
                self._news.set()
        elif isinstance(message, Ask) and message.call:
            self._link.send(self.agent.answer(message))
        elif isinstance(message, Ask):
            self._full = True
            self._news.set()
        elif isinstance(message, Open):
            once("open", lambda: self._open(message))

    def _specs_changed(self) -> None:
        if self._on_specs is not None:
            try:
                self._on_specs(self.agent.specs().values())
            except Exception:
                log.exception("specs not passed on")

    def _open(self, message: Open) -> None:
        ref = Ref(kind=message.kind, uuid=message.uuid)
        try:
            access = self.agent.provider.open(ref, message.channel, message.port)
        except Fault as fault:
            answer = Opened(call=message.call, code=fault.code, message=fault.message)
        except Exception as error:
            log.exception("channel not opened", uuid=message.uuid, channel=message.channel)
            answer = Opened(call=message.call, code="Internal", message=type(error).__name__)
        else:
            answer = Opened(call=message.call, address=access.address, ticket=access.ticket)
        self._link.send(answer)

    # -- steps ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        uuid = self._next()
        if uuid is None:
            return
        after: float | None = backoff(1)
        try:
            after = self._step(uuid)
        finally:
            with self._wake:
                self._busy.discard(uuid)
                again = uuid in self._again
                self._again.discard(uuid)
            if again:
                after = 0.0
            if after is not None:
                self.wake(uuid, after)
            if self.agent.news:
                self._news.set()

    def _next(self) -> str | None:
        """The next body that is due and that no other worker is at; None after a rest."""
        with self._wake:
            now = self._now()
            while self._due and self._due[0][0] <= now:
                when, uuid = heapq.heappop(self._due)
                if self._when.get(uuid) != when:
                    continue
                del self._when[uuid]
                if uuid in self._busy:
                    self._again.add(uuid)
                    continue
                self._busy.add(uuid)
                return uuid
            pause = min(1.0, self._due[0][0] - now) if self._due else 1.0
            if not self._stopping.is_set():
                self._wake.wait(max(pause, 0.001))
            return None

    def _step(self, uuid: str) -> float | None:
        held = uuid in self.agent.book.entries
        try:
            after = self.agent.step(uuid)
        except Exception as error:
            if not isinstance(error, Fault):
                log.exception("step failed", uuid=uuid)
            self._tries[uuid] = self._tries.get(uuid, 0) + 1
            return backoff(self._tries[uuid])
        self._tries.pop(uuid, None)
        if held and uuid not in self.agent.book.entries:
            self._specs_changed()
        return after

    # -- reports -------------------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Send one report: at once the first time, then with news, or when the next one is due."""
        told = self._repeated >= 0 and self._news.wait(BEAT)
        if told:
            self._news.clear()
            self._stopping.wait(GATHER)
        due = not told and time.monotonic() - self._repeated >= REPEAT
        full, self._full = self._full or due, False
        try:
            self._link.send(self.agent.report(full=full))
        except Exception:
            # The agent may have counted as reported what this one was to say.
            self._full = True
            raise
        self._repeated = time.monotonic() if full else self._repeated

    def _survey(self) -> None:
        """Look at every body; the backend may be away, and then the next survey finds out."""
        for uuid in self.agent.survey():
            self.wake(uuid)
        if self.agent.news:
            self._news.set()
        self._stopping.wait(SURVEY)
