"""The runner: workers that take due wakes, the resync, and the way of reports into the store."""

from __future__ import annotations

import contextlib
import functools
import random
import threading
import time
from typing import TYPE_CHECKING, Protocol

import structlog

from pileus.loops import engine, image, instance, project, report, silence
from pileus.loops.intake import Intake
from pileus.model.backoff import backoff
from pileus.model.errors import Fault, Unavailable
from pileus.model.image import Image
from pileus.model.instance import Instance
from pileus.model.project import Project
from pileus.model.threads import Thread
from pileus.rules import recount

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pileus.bus.messages import Report
    from pileus.loops.recover import Recovery
    from pileus.rules.core import Core
    from pileus.store.store import LeasedWake

RESYNC = 20.0
"""Seconds between resyncs, which find what every wake and message missed."""

ASK = 0.5
"""Seconds between questions to hosts that have not answered yet, when the store was opened."""

QUIET = 0.012
"""Seconds without a verb that woke anything, after which steps begin: a burst of requests is answered first."""

PATIENCE = 0.5
"""Seconds for which steps give way to requests at most."""

LARGEST = 16
"""Steps that a worker takes on together at most."""

_jitter = random.SystemRandom()

KINDS = (Instance.KIND, Image.KIND, Project.KIND, *engine.KINDS)
"""Every kind of noun that has a loop."""

log = structlog.get_logger()


class StepObserver(Protocol):
    """The callback for each step: the wake, the seconds that it took, whether it failed."""

    def __call__(self, wake: LeasedWake, seconds: float, *, failed: bool) -> None:
        """Take note."""


def work(core: Core, observer: StepObserver | None = None, *, stop: Callable[[], bool] = lambda: False) -> bool:
    """Do the steps of all that is due, or until `stop()`, holding nothing then; False when nothing was due.

    Steps are taken one at a time while little is due, for workers share it; then more and more of them together.
    """
    size = 1
    wakes = core.store.lease_wakes(size)
    busy = bool(wakes)
    while wakes:
        size = min(2 * size, LARGEST) if len(wakes) == size else 1
        wakes = _do_steps(core, wakes, observer, 0 if stop() else size)
    return busy


def _do_steps(core: Core, wakes: Sequence[LeasedWake], observer: StepObserver | None, lease: int) -> list[LeasedWake]:
    """Do the steps of leased wakes, and give these back; lease up to `lease` others in the same transaction."""
    began = time.perf_counter()
    outcomes = _steps(core, wakes)
    done: list[tuple[LeasedWake, float | None, bool]] = []
    for wake in wakes:
        outcome = outcomes[wake]
        failed = isinstance(outcome, Exception)
        if isinstance(outcome, Exception):
            shown = isinstance(outcome, Fault | Unavailable)
            with structlog.contextvars.bound_contextvars(request=wake.request or None):
                why = None if shown else outcome
                log.warning("step failed", kind=wake.kind, uuid=wake.uuid, error=str(outcome), exc_info=why)
            done.append((wake, core.store.now() + backoff(wake.tries), failed))
        else:
            done.append((wake, outcome, failed))
    following = core.store.finish_wakes(done, lease=lease)
    if observer is not None:
        seconds = (time.perf_counter() - began) / len(wakes)
        for wake, _, failed in done:
            observer(wake, seconds, failed=failed)
    return following


def _steps(core: Core, wakes: Sequence[LeasedWake]) -> dict[LeasedWake, float | Exception | None]:
    """When each is due again, or why its step failed: those of a kind together, if that can be done."""
    outcomes: dict[LeasedWake, float | Exception | None] = {}
    instances = [wake for wake in wakes if wake.kind == Instance.KIND]
    engine_wakes = [wake for wake in wakes if wake.kind in engine.KINDS]
    # What is wrong with one of several is found out one by one.
    if len(instances) > 1:
        with contextlib.suppress(Exception):
            due = instance.steps(core, {wake.uuid: wake.request for wake in instances})
            outcomes.update({wake: due[wake.uuid] for wake in instances})
    if len(engine_wakes) > 1:
        with contextlib.suppress(Exception):
            engine_outcomes = engine.steps(core, [(wake.kind, wake.uuid) for wake in engine_wakes])
            outcomes.update({wake: engine_outcomes[wake.kind, wake.uuid] for wake in engine_wakes})
    for wake in wakes:
        if wake not in outcomes:
            with structlog.contextvars.bound_contextvars(request=wake.request or None):
                try:
                    outcomes[wake] = _step(core, wake)
                except Exception as error:  # noqa: BLE001  (it is told, and tried again)
                    outcomes[wake] = error
    return outcomes


def _step(core: Core, wake: LeasedWake) -> float | None:
    if wake.kind == Instance.KIND:
        return instance.step(core, wake.uuid, wake.request)
    if wake.kind == Image.KIND:
        return image.step(core, wake.uuid, wake.request)
    if wake.kind == Project.KIND:
        return project.step(core, wake.uuid)
    if wake.kind in engine.KINDS:
        return engine.step(core, wake.kind, wake.uuid)
    return None


def resync(core: Core) -> None:
    """The resync: wake all that lives, forget what ended long ago, lower usage that was withheld.

    Nothing while the store is closed.
    """
    if core.store.closed:
        return
    core.store.wake_everything(KINDS)
    core.store.forget_tombstones()
    core.store.shorten_journal()
    recount.catch_up(core)


def spread_notifications(core: Core) -> None:
    """From now on tell the cloud's other processes after each commit that woke something; a Runner does so itself."""
    notify = getattr(core.hosts, "notify", None)
    if notify is not None:
        core.store.listen(lambda woken, _touched: notify() if woken else None)


class Runner:
    """Threads that run the loops of one process. Any number of processes may have one."""

    def __init__(
        self, core: Core, workers: int = 4, observer: StepObserver | None = None, recovery: Recovery | None = None
    ) -> None:
        self._core = core
        self._recovery = recovery
        self._observer = observer
        self._woken = threading.Condition()
        self._pending = 0
        self._asked = self._waiting = 0.0
        self._inside = threading.local()
        """`now`: whether this thread does the loops' own work, and no request's."""
        self._stopping = threading.Event()
        thread_functions = {f"loop-{number}": self._work for number in range(workers)}
        thread_functions |= {"resync": self._resync, "hosts": self._watch_hosts, "tidy": self._tidy}
        if recovery is not None:
            thread_functions["recovery"] = functools.partial(self._compare, recovery)
        self._threads = [Thread(name, iterate, self._stopping) for name, iterate in thread_functions.items()]
        core.store.listen(self._committed)
        self._intake = Intake(self._reports)
        listen = getattr(core.hosts, "listen", None)
        if listen is not None:
            listen(self._intake.put)
        spread_notifications(core)
        on_notification = getattr(core.hosts, "on_notification", None)
        if on_notification is not None:
            on_notification(self._notified)

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()
        self._intake.start()

    def stop(self) -> None:
        """End, after the steps that are under way."""
        self._stopping.set()
        self._core.store.engine.untidy.set()
        with self._woken:
            self._woken.notify_all()
        for thread in self._threads:
            thread.join(timeout=10)
        self._intake.stop()

    def _notified(self) -> None:
        """Another process woke something: look at the queue now."""
        with self._woken:
            self._pending += 1
            self._woken.notify()

    def _committed(self, woken: bool, _touched: set[str]) -> None:  # noqa: FBT001  (the store calls its listeners)
        if not woken:
            return
        self._notified()
        if not getattr(self._inside, "now", False):
            self._asked = time.monotonic()
            self._waiting = self._waiting or self._asked

    def _reports(self, reports: Sequence[Report]) -> None:
        self._inside.now = True
        if self._recovery is not None:
            self._recovery.heard_all(reports)
        else:
            report.absorb_all(self._core, reports)

    def _work(self) -> None:
        self._inside.now = True
        self._give_way()
        seen = self._pending
        if not work(self._core, self._observer, stop=self._stopping.is_set):
            self._waiting = 0.0
            self._rest(seen)

    def _give_way(self) -> None:
        """Steps and requests share an interpreter: while requests come in, steps wait."""
        while self._waiting and not self._stopping.is_set():
            now = time.monotonic()
            remaining = min(self._asked + QUIET, self._waiting + PATIENCE) - now
            if remaining <= 0:
                return
            self._stopping.wait(remaining)

    def _rest(self, seen: int) -> None:
        """Wait for a wake, or for the next stored due time; other processes notify it, or are noticed in a second."""
        due = self._core.store.next_due()
        now = self._core.store.now()
        pause = 1.0 if due is None else min(1.0, max(0.01, due - now))
        with self._woken:
            if self._pending == seen and not self._stopping.is_set():
                self._woken.wait(pause)

    def _resync(self) -> None:
        if not self._stopping.wait(RESYNC * _jitter.uniform(0.8, 1.2)):
            resync(self._core)

    def _tidy(self) -> None:
        engine = self._core.store.engine
        engine.untidy.wait()
        if not self._stopping.is_set():
            engine.tidy()

    def _watch_hosts(self) -> None:
        self._inside.now = True
        if not self._stopping.wait(silence.LOOK):
            silence.watch(self._core)

    def _compare(self, recovery: Recovery) -> None:
        recovery.tick()
        self._stopping.wait(1.0 if recovery.opened else ASK)
