"""Fair shares of what a process of the cloud has few of: its request threads, and slots for what takes long.

A request passes two stages in the same threads: its caller is identified (the clients' addresses take turns), then it
is answered (projects take turns). Nobody's queue is another's, and a project that is not alone never has more than its
share of the threads: Python computes in one thread at a time, so every thread that one project keeps busy slows the
others down.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from pileus.model import bounds
from pileus.model.errors import Throttled, Unavailable
from pileus.model.threads import once

if TYPE_CHECKING:
    from pileus.model.bounds import Bound

ALONE = 60.0
"""Seconds after the last request of any other project from which on a project may have nearly all threads."""


class Answering(NamedTuple):
    """The result of an identification: `run` makes the answer, within the share of the project `project`.

    `refuse` makes the answer where too many requests of the project wait. One that only `reads` waits for no writer.
    """

    project: str
    run: Callable[[], Any]
    refuse: Callable[[Throttled], Any]
    reads: bool = False


@dataclass(slots=True)
class _Job:
    """Work for a thread, and the future that gets its result; `project` is empty while the caller is identified."""

    run: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    project: str = ""


class _Turns:
    """Jobs that wait, by key; the keys take turns. At most `bound` jobs wait under one key, at most `total` of all."""

    def __init__(self, bound: Bound, total: Bound | None = None) -> None:
        self._bound = bound
        self._total = total
        self._waiting: OrderedDict[str, deque[_Job]] = OrderedDict()

    def put(self, key: str, job: _Job) -> _Job | None:
        """Let `job` wait; return the job that makes room for it, if any. Raises Throttled.

        At the total the key that has most jobs gives up its oldest one, unless `key` would have as many then.
        """
        count, displaced = len(self._waiting.get(key, ())), None
        if count >= self._bound.most:
            raise _crowded(count)
        if self._total is not None and sum(map(len, self._waiting.values())) >= self._total.most:
            largest = max(self._waiting.values(), key=len)
            if len(largest) <= count + 1:
                raise _crowded(self._total.most)
            displaced = largest.popleft()
        self._waiting.setdefault(key, deque()).append(job)
        return displaced

    def take(self, allowed: Callable[[str], bool]) -> _Job | None:
        """The first job of the first key in turn that is allowed; the key goes to the end of the line."""
        key = next((key for key in self._waiting if allowed(key)), None)
        if key is None:
            return None
        jobs = self._waiting.pop(key)
        job = jobs.popleft()
        if jobs:
            self._waiting[key] = jobs
        return job

    def clear(self) -> list[_Job]:
        """All jobs that wait; none does afterwards."""
        jobs = [job for waiting in self._waiting.values() for job in waiting]
        self._waiting.clear()
        return jobs


def _crowded(waiting: int) -> Throttled:
    return Throttled(f"{waiting} requests wait already; send fewer at once.", reason="waiting")


class Workers:
    """`count` threads, started as they are needed; each project that is not alone has at most `share` at once.

    Few of them identify callers at once: what nobody has proven costs the others little. `waiting` bounds the requests
    of one project that wait for a thread, by default as the faces do; `total` those of all projects, if it is given.
    """

    def __init__(self, count: int, share: int, waiting: Bound | None = None, total: Bound | None = None) -> None:
        self._count = count
        self._share = share
        self._lock = threading.Lock()
        self._arrivals = _Turns(bounds.ARRIVALS_WAITING)
        self._proven = _Turns(bounds.ARRIVALS_WAITING)
        self._strangers_turn = False
        self._requests = _Turns(waiting or bounds.REQUESTS_WAITING, total)
        self._running: Counter[str] = Counter()
        # The project of the last request, that of the last one of any other project, and when these came.
        self._latest, self._other = ("", -ALONE), ("", -ALONE)
        self._idle: list[SimpleQueue[_Job | None]] = []
        self._threads: list[threading.Thread] = []
        self._closed = False

    async def identify(self, key: str, work: Callable[[], Any], *, proven: bool = False) -> Any:
        """The result of `work`, done in turn with that of other keys; of its Answering, where it gives one.

        Keys of credentials that were `proven` before have every second turn, however many strangers there are. Raises
        Throttled, Unavailable after the end, and whatever the work does.
        """
        return await self._submit(self._proven if proven else self._arrivals, key, work, "")

    async def run(self, project: str, work: Callable[[], Any]) -> Any:
        """The result of `work`, done within the share of `project`.

        Raises Throttled, Unavailable after the end, and whatever the work does.
        """
        return await self._submit(self._requests, project, work, project)

    def idle(self) -> bool:
        """Whether no job is under way, and none waits."""
        return not self._running

    def close(self) -> None:
        """End the threads, after the jobs that are under way; those that wait are cancelled, new ones refused."""
        with self._lock:
            self._closed = True
            waiting = self._proven.clear() + self._arrivals.clear() + self._requests.clear()
            for inbox in self._idle:
                inbox.put(None)
            self._idle = []
        for job in waiting:
            self._give(job, None, asyncio.CancelledError(), counted=False)
        for thread in self._threads:
            thread.join()

    def _submit(self, turns: _Turns, key: str, work: Callable[[], Any], project: str) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future(), project)
        with self._lock:
            if self._closed:
                raise Unavailable("This process of the cloud is ending; ask again.")
            if project:
                self._came(project)
            self._displace(turns.put(key, job))
            self._dispatch()
        return job.future

    def _displace(self, job: _Job | None) -> None:
        """Refuse a job that waited, and makes room for another one."""
        if job is not None:
            text = "Too many requests wait, and most of them are of the same origin; send fewer at once."
            self._give(job, None, Throttled(text, reason="waiting"), counted=False)

    def _dispatch(self) -> None:
        """Hand jobs that may begin to threads that have none. Under the lock."""
        while (self._idle or len(self._threads) < self._count) and (job := self._take()) is not None:
            if self._idle:
                # The one that was idle last: its caches are warm.
                self._idle.pop().put(job)
            else:
                name = f"request-{len(self._threads)}"
                try:
                    self._threads.append(once(name, functools.partial(self._work, job)))
                except RuntimeError as error:  # the machine has no thread left
                    self._give(job, None, error)
                    return

    def _take(self) -> _Job | None:
        """A job that may begin, counted as running. Under the lock."""
        job = None
        if self._running[""] < bounds.IDENTIFYING.most:
            lines = (self._arrivals, self._proven) if self._strangers_turn else (self._proven, self._arrivals)
            job = lines[0].take(lambda _: True) or lines[1].take(lambda _: True)
            self._strangers_turn = not self._strangers_turn
        if job is None:
            job = self._requests.take(self._below_share)
        if job is not None:
            self._running[job.project] += 1
        return job

    def _below_share(self, project: str) -> bool:
        other = self._other if self._latest[0] == project else self._latest
        alone = time.monotonic() - other[1] >= ALONE
        # A thread is left for whoever comes next.
        return self._running[project] < (max(self._share, self._count - 1) if alone else self._share)

    def _came(self, project: str) -> None:
        """A request of `project` is there. Under the lock."""
        if self._latest[0] != project:
            self._other = self._latest
        self._latest = project, time.monotonic()

    def _ended(self, project: str) -> None:
        """A job is not running any more. Under the lock."""
        self._running[project] -= 1
        if not self._running[project]:
            del self._running[project]

    def _work(self, first: _Job) -> None:
        inbox: SimpleQueue[_Job | None] = SimpleQueue()
        job: _Job | None = first
        while job is not None:
            self._do(job)
            del job  # what it holds is not kept while this thread waits
            with self._lock:
                job = self._take()
                if job is None:
                    if self._closed:
                        return
                    self._idle.append(inbox)
            if job is None:
                job = inbox.get()

    def _do(self, job: _Job) -> None:
        try:
            result = job.run()
            if isinstance(result, Answering):
                if not self._goes_on(job, result):
                    return
                result = job.run()
        except BaseException as error:  # noqa: BLE001  (whatever it is, it is the caller's to handle)
            self._give(job, None, error)
        else:
            self._give(job, result)

    def _give(self, job: _Job, result: Any, error: BaseException | None = None, *, counted: bool = True) -> None:
        """Give the result, or the error, to the event loop, which ends a `counted` job when the answer is on its way.

        A project's next request begins after that: the event loop answers in the order of arrival, and would be kept
        busy by a project of many connections and quick requests.
        """
        try:
            job.loop.call_soon_threadsafe(self._settle, job, result, error, counted)
        except RuntimeError:  # the loop is closed
            if counted:
                self._end(job.project)

    def _settle(self, job: _Job, result: Any, error: BaseException | None, counted: bool) -> None:  # noqa: FBT001  (of two callers here)
        if job.future.done():
            pass
        elif isinstance(error, asyncio.CancelledError):
            job.future.cancel()
        elif error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)
        if counted:
            # Behind the step of whoever waits for the future.
            job.loop.call_soon(self._end, job.project)

    def _goes_on(self, job: _Job, answering: Answering) -> bool:
        """Whether the request of an identified caller is answered now, in this thread; else it waits, or is refused."""
        job.run = answering.run
        with self._lock:
            self._came(answering.project)
            go_on = self._below_share(answering.project)
            if not go_on:
                try:
                    self._displace(self._requests.put(answering.project, job))
                except Throttled as error:
                    job.run = functools.partial(answering.refuse, error)
                    return True
            self._ended("")
            job.project = answering.project
            if go_on:
                self._running[job.project] += 1
            # Another caller may be identified now.
            self._dispatch()
        return go_on

    def _end(self, project: str) -> None:
        with self._lock:
            self._ended(project)
            self._dispatch()


class Slots:
    """Slots for things of one kind that go on for long: at most `share` of one key, at most `total` of all.

    Bounds name the things: "streams".
    """

    def __init__(self, share: Bound, total: Bound) -> None:
        self._share = share
        self._total = total
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    @contextlib.contextmanager
    def of(self, key: str) -> Iterator[None]:
        """Have a slot inside the block. Raises Throttled at once where there is none."""
        with self._lock:
            for bound, used_slots in ((self._share, self._taken[key]), (self._total, self._taken.total())):
                if used_slots >= bound.most:
                    raise Throttled(
                        f"There are {used_slots} {bound.what} now, the most for a {bound.per}; ask again later."
                    )
            self._taken[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[key] -= 1
                if not self._taken[key]:
                    del self._taken[key]
