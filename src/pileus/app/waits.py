"""Answers that are waited for without a thread: looked for again when something of their topics has changed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from pileus.app.shares import Slots
from pileus.model import bounds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.faces.wire.http import Response
    from pileus.faces.wire.streams import Waiting

T = TypeVar("T")
Run = Callable[[Callable[[], T]], Awaitable[T]]

LOOK_AGAIN = 5.0
"""Seconds after which a look is due although nothing was heard: other processes change the same store."""

LOOKS = 2
"""Looks of one project at once: the others wait in turn, without a thread."""

PAUSE = 0.05
"""Seconds between two looks for one answer, at least."""


class Waits:
    """Requests of one process that wait. All but `wake` is for the event loop.

    `shared`: other processes change the same store. Topics are kinds of nouns; a wait without any looks again every few
    seconds.
    """

    def __init__(self, *, shared: bool) -> None:
        self._shared = shared
        self._slots = Slots(bounds.PROJECT_WAITS, bounds.WAITS)
        self._of_topic: dict[str, set[asyncio.Event]] = {}
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._looking: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self, topics: Iterable[str]) -> None:
        """Have all that wait for one of `topics` look again. From any thread; costs nothing where nobody waits."""
        if self._loop is None:
            return
        meant = [topic for topic in topics if topic in self._of_topic]
        if meant:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._wake, meant)

    async def until(self, waiting: Waiting, project: str, run: Run[Response | None]) -> Response:
        """Return the answer, or that of `late` when its time is over; `run` calls in a thread. Raises Throttled."""
        loop = asyncio.get_running_loop()
        end = loop.time() + waiting.seconds
        with self._slots.of(project), self.heard(waiting.topics) as changed:
            while True:
                changed.clear()
                response = await self._look(project, waiting.look, run)
                if response is None and loop.time() >= end:
                    response = await self._look(project, waiting.late, run)
                if response is not None:
                    return response
                await self.pause(changed, end - loop.time(), waiting.topics)

    def slot(self, key: str) -> contextlib.AbstractContextManager[None]:
        """A slot for something else that waits for changes, inside the block. Raises Throttled in it."""
        return self._slots.of(key)

    @contextlib.contextmanager
    def heard(self, topics: frozenset[str]) -> Iterator[asyncio.Event]:
        """Inside the block the event is set when something of the topics has changed."""
        self._loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        for topic in topics:
            self._of_topic.setdefault(topic, set()).add(changed)
        try:
            yield changed
        finally:
            for topic in topics:
                waiting = self._of_topic[topic]
                waiting.discard(changed)
                if not waiting:
                    del self._of_topic[topic]

    async def pause(self, changed: asyncio.Event, seconds: float, topics: frozenset[str]) -> bool:
        """Wait until a look is due, at most `seconds`; whether something has changed."""
        if self._shared or not topics:
            seconds = min(seconds, LOOK_AGAIN * random.uniform(0.8, 1.2))  # noqa: S311  (no secret: a spread of looks)
        await asyncio.sleep(min(PAUSE, max(seconds, 0)))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), max(seconds - PAUSE, 0))
        return changed.is_set()

    async def _look(
        self, project: str, look: Callable[[], Response | None], run: Run[Response | None]
    ) -> Response | None:
        turns = self._turns.setdefault(project, asyncio.Semaphore(LOOKS))
        self._looking[project] += 1
        try:
            async with turns:
                return await run(look)
        finally:
            self._looking[project] -= 1
            if not self._looking[project]:
                del self._looking[project], self._turns[project]

    def _wake(self, topics: Iterable[str]) -> None:
        for topic in topics:
            for changed in self._of_topic.get(topic, ()):
                changed.set()
