"""The host's threads: orders in, steps when due, reports out."""

from __future__ import annotations

import functools
import heapq
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Protocol

import structlog

from pileus.bus.messages import Ask, Open, Opened, Order
from pileus.host.inbox import Inbox
from pileus.model import bounds
from pileus.model.backoff import backoff
from pileus.model.errors import Fault
from pileus.model.noun import NEVER
from pileus.model.provider import BodyRef
from pileus.model.spec import InstanceSpec
from pileus.model.threads import Thread, once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.bus.messages import Report, ToHost
    from pileus.host.agent import Agent

SURVEY = 10.0
"""Seconds between looks at every body, named or not."""

REPORT_INTERVAL = 5.0
"""Seconds between reports when nothing happens."""

REPEAT = 30.0
"""Seconds between full ones: the cloud asks when it missed anything."""

GATHER = 0.03
"""Seconds for which news is gathered into one report."""

REST = 5.0
"""Seconds for which a worker without work waits at most."""

log = structlog.get_logger()


class Link(Protocol):
    """The host's end of the bus."""

    def listen(self, on_message: Callable[[ToHost], None]) -> None:
        """Call `on_message` with everything that the cloud sends, from a thread of the link's own.

        `on_message` returns soon for an order, which then waits in the host's inbox.
        """

    def send(self, message: Report | Opened) -> None:
        """Send, at once or not at all. Never blocks, never raises."""


class _WorkerPool:
    """The workers for the bodies of one backend, and the queue of the bodies that are due.

    A backend that hangs holds its own workers: the workers of another backend go on. A project of which `share` bodies
    are worked at waits, whatever takes so long: the workers beyond the share are for the other projects. All is done
    under `lock`.
    """

    def __init__(self, lock: threading.Lock, share: int, workers: list[Thread]) -> None:
        self.due: list[tuple[float, str]] = []
        self.changed = threading.Condition(lock)
        self.workers = workers
        self._share = share
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, dict[str, None]] = {}

    def add(self, when: float, uuid: str) -> None:
        """Have a body looked at when it is time."""
        heapq.heappush(self.due, (when, uuid))
        self.changed.notify()

    def begin(self, project: str, uuid: str) -> bool:
        """Count a step for `project`; False, and the body waits, where the project has its share."""
        if project and self._running[project] >= self._share:
            self._waiting.setdefault(project, {})[uuid] = None
            return False
        self._running[project] += 1
        return True

    def end(self, project: str, times: dict[str, float]) -> None:
        """Count a step for `project` no more: the next body of it that waits is due. `times` are those of all looks."""
        self._running[project] -= 1
        if not self._running[project]:
            del self._running[project]
        waiting = self._waiting.get(project, {})
        while waiting:
            uuid = next(iter(waiting))
            del waiting[uuid]
            if uuid in times:
                self.add(times[uuid], uuid)
                break
        else:
            self._waiting.pop(project, None)

    def begin_workers(self) -> None:
        """Start the workers that have not begun: at times the machine has no thread left."""
        for worker in self.workers:
            if not worker.begun:
                worker.start()


class HostRunner:
    """Runs one agent. `on_specs` is told the specs held after every change of them.

    A thread takes the orders that wait in the inbox: the link's own thread waits for the book only where a question
    has to be answered.

    `workers` are for each backend, `share` of them at most for one project.

    `now` is a clock that nobody sets: a look that is due in a second is not due in an hour when the machine's time is
    put back.
    """

    def __init__(
        self,
        agent: Agent,
        link: Link,
        *,
        workers: int = bounds.HOST_STEPS.most,
        share: int = bounds.PROJECT_HOST_STEPS.most,
        on_specs: Callable[[Iterable[InstanceSpec]], None] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.agent = agent
        self._link = link
        self._on_specs = on_specs
        self._now = now
        self._workers = workers
        self._share = share
        self._worker_pools: dict[str, _WorkerPool] = {}
        self._when: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._full = False
        self._stopping = threading.Event()
        self._inbox = Inbox(agent.project_of)
        self._taking = threading.Lock()
        thread_functions = {"host-orders": self._take_orders, "host-reports": self._report, "host-survey": self._survey}
        self._threads = [Thread(name, iterate, self._stopping) for name, iterate in thread_functions.items()]
        self._started = False
        self._repeated = -REPEAT

    def start(self) -> None:
        """Begin: what the book holds is made true, whether or not the cloud answers."""
        self.agent.wake = self.wake
        self.agent.provider.watch(lambda ref: self.wake(ref.uuid))
        self._link.listen(self._message)
        self._specs_changed()
        for uuid in list(self.agent.book.entries):
            self.wake(uuid)
        with self._lock:
            self._started = True
            for thread in self._threads:
                thread.start()
            for pool in self._worker_pools.values():
                self._begin_workers(pool)

    def stop(self) -> None:
        """End, after the steps that are under way; bodies stay as they are."""
        self._stopping.set()
        self._news.set()
        self._inbox.close()
        with self._lock:
            for pool in self._worker_pools.values():
                pool.changed.notify_all()
        for thread in [*self._threads, *(worker for pool in self._worker_pools.values() for worker in pool.workers)]:
            thread.join(timeout=10)

    def wake(self, uuid: str, after: float = 0.0) -> None:
        """Have a body looked at, `after` seconds from now; an earlier look stays."""
        with self._lock:
            when = self._now() + after
            if uuid in self._when and self._when[uuid] <= when:
                return
            self._when[uuid] = when
            entry = self.agent.book.entries.get(uuid)
            self._worker_pool(entry.backend if entry is not None else "").add(when, uuid)

    def _worker_pool(self, backend: str) -> _WorkerPool:
        """The worker pool of a backend, which gets its workers when there is something to do for it."""
        pool = self._worker_pools.get(backend)
        if pool is None:
            pool = self._worker_pools[backend] = _WorkerPool(self._lock, self._share, [])
            for number in range(self._workers):
                name = f"host-{backend or 'removal'}-{number}"
                pool.workers.append(Thread(name, functools.partial(self._work, pool), self._stopping))
            self._begin_workers(pool)
        return pool

    def _begin_workers(self, pool: _WorkerPool) -> None:
        if self._started and not self._stopping.is_set():
            try:
                pool.begin_workers()
            except RuntimeError as error:
                log.warning("workers not started", reason=str(error))

    def _message(self, message: ToHost) -> None:
        if isinstance(message, Order):
            self._inbox.put(message)
        elif isinstance(message, Ask):
            self._asked(message)
        elif isinstance(message, Open):
            once("open", lambda: self._open(message))

    def _take_orders(self) -> None:
        """Take the next order, waiting for it `REST` seconds at most."""
        if self._inbox.wait(REST):
            self._take_next()

    def _take_next(self) -> bool:
        """Take the next order that waits; False where none does, and no other thread is at one.

        An error of an order ends neither the thread nor the taking of other orders: it is logged, and the cloud sends
        that order again.
        """
        with self._taking:
            order = self._inbox.pop()
            if order is None:
                return False
            try:
                self._take(order)
            except Exception:
                log.exception("order not taken", uuid=order.uuid)
            return True

    def _take(self, order: Order) -> None:
        if self.agent.take(order):
            self._specs_changed()
            self.wake(order.uuid)
        elif self.agent.news:
            self._news.set()

    def _asked(self, ask: Ask) -> None:
        if ask.call or ask.forget > NEVER:
            # The answer tells what is held: every order that came before the question is part of that.
            while self._take_next():
                pass
            for page in self.agent.answer(ask):
                self._link.send(page)
        elif self.agent.heed(ask) or not ask.epoch:
            self._full = True
            self._news.set()

    def _specs_changed(self) -> None:
        if self._on_specs is not None:
            try:
                self._on_specs(self.agent.specs().values())
            except Exception:
                log.exception("specs not passed on")

    def _open(self, message: Open) -> None:
        ref = BodyRef(kind=message.kind, uuid=message.uuid)
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

    def _work(self, pool: _WorkerPool) -> None:
        step = self._next(pool)
        if step is None:
            return
        uuid, project = step
        after: float | None = backoff(1)
        try:
            after = self._step(uuid)
        finally:
            with self._lock:
                pool.end(project, self._when)
                self._busy.discard(uuid)
                again = uuid in self._again
                self._again.discard(uuid)
            if again:
                after = 0.0
            if after is not None:
                self.wake(uuid, after)
            if self.agent.news:
                self._news.set()

    def _next(self, pool: _WorkerPool) -> tuple[str, str] | None:
        """The next body that is due and that no other worker is at, and its project; None after a rest."""
        with self._lock:
            now = self._now()
            while pool.due and pool.due[0][0] <= now:
                when, uuid = heapq.heappop(pool.due)
                if self._when.get(uuid) != when:
                    continue
                if uuid in self._busy:
                    del self._when[uuid]
                    self._again.add(uuid)
                    continue
                entry = self.agent.book.entries.get(uuid)
                project = entry.project if entry is not None else ""
                if not pool.begin(project, uuid):
                    continue
                del self._when[uuid]
                self._busy.add(uuid)
                return uuid, project
            pause = min(REST, pool.due[0][0] - now) if pool.due else REST
            if not self._stopping.is_set():
                pool.changed.wait(max(pause, 0.001))
            return None

    def _step(self, uuid: str) -> float | None:
        had_entry = uuid in self.agent.book.entries
        try:
            after = self.agent.step(uuid)
        except Exception as error:
            if not isinstance(error, Fault):
                log.exception("step failed", uuid=uuid)
            self._tries[uuid] = self._tries.get(uuid, 0) + 1
            return backoff(self._tries[uuid])
        self._tries.pop(uuid, None)
        if had_entry and uuid not in self.agent.book.entries:
            self._specs_changed()
        return after

    # -- reports -------------------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Send one report: at once the first time, then with news, or when the next one is due."""
        has_news = self._repeated >= 0 and self._news.wait(REPORT_INTERVAL)
        if has_news:
            self._news.clear()
            self._stopping.wait(GATHER)
        due = not has_news and time.monotonic() - self._repeated >= REPEAT
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
        with self._lock:
            for pool in self._worker_pools.values():
                self._begin_workers(pool)
        if self.agent.news:
            self._news.set()
        self._stopping.wait(SURVEY)
