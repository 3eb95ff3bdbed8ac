"""Answers that are waited for: looked for again when something has changed, in turn, and not for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app import waits
from pileus.app.waits import LOOKS, Waits
from pileus.faces.wire.http import Response
from pileus.faces.wire.streams import Waiting
from pileus.model import bounds
from pileus.model.bounds import Bound
from pileus.model.errors import Throttled

if TYPE_CHECKING:
    from collections.abc import Callable

THERE, LATE = Response(200, {}, b"there"), Response(200, {}, b"late")


class Fact:
    """Something that is not so yet; `looks` counts those who looked, `most` how many did at once."""

    def __init__(self) -> None:
        self.true = False
        self.looks = self.most = self._now = 0
        self._lock = threading.Lock()

    def look(self) -> Response | None:
        """The answer, once it is so."""
        with self._lock:
            self.looks += 1
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.001)  # the work of a look: others would begin beside it
        with self._lock:
            self._now -= 1
        return THERE if self.true else None

    def waiting(self, seconds: float, *topics: str) -> Waiting:
        """Wait for it."""
        return Waiting(self.look, lambda: LATE, frozenset(topics), seconds)


async def run(work: Callable[[], Any]) -> Any:
    """Work in a thread."""
    return await asyncio.to_thread(work)


def test_a_change_of_its_topic_has_it_looked_for_again() -> None:
    fact = Fact()

    async def test() -> None:
        hub = Waits(shared=False)
        waiting = [asyncio.ensure_future(hub.until(fact.waiting(20, "keypair"), "p", run)) for _ in range(200)]
        while fact.looks < 200:  # noqa: ASYNC110  (threads count)
            await asyncio.sleep(0.01)
        await asyncio.sleep(2 * waits.PAUSE)
        await asyncio.to_thread(hub.wake, {"instance"})
        await asyncio.sleep(0.1)
        assert fact.looks == 200
        fact.true = True
        await asyncio.to_thread(hub.wake, {"keypair", "instance"})
        assert await asyncio.gather(*waiting) == [THERE] * 200
        assert (fact.looks, fact.most) == (400, LOOKS)
        assert not hub._of_topic
        assert not hub._turns

    asyncio.run(asyncio.wait_for(test(), 30))


def test_it_is_late_after_its_time_and_nothing_stays() -> None:
    fact = Fact()

    async def test() -> None:
        hub = Waits(shared=False)
        began = time.monotonic()
        assert await hub.until(fact.waiting(0.2, "keypair"), "p", run) == LATE
        assert 0.2 <= time.monotonic() - began < 5
        assert await hub.until(fact.waiting(0, "keypair"), "p", run) == LATE
        gone = asyncio.ensure_future(hub.until(fact.waiting(20, "keypair"), "p", run))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert not hub._of_topic

    asyncio.run(asyncio.wait_for(test(), 30))


def test_the_late_answer_is_made_in_a_thread() -> None:
    """It may ask the store: the event loop does not stand still meanwhile."""
    threads: list[str] = []

    def late() -> Response:
        threads.append(threading.current_thread().name)
        return LATE

    async def test() -> None:
        assert await Waits(shared=False).until(Waiting(lambda: None, late, frozenset(), 0), "p", run) == LATE

    asyncio.run(asyncio.wait_for(test(), 30))
    assert threads != [threading.main_thread().name]


def test_what_other_processes_change_is_looked_for_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "LOOK_AGAIN", 0.1)
    fact = Fact()

    async def test() -> None:
        waiting = asyncio.ensure_future(Waits(shared=True).until(fact.waiting(20, "keypair"), "p", run))
        await asyncio.sleep(0.05)
        fact.true = True
        assert await waiting == THERE

    asyncio.run(asyncio.wait_for(test(), 30))


def test_a_project_has_a_share_of_all_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "PROJECT_WAITS", Bound(what="waits", per="project", most=2, answer="Throttled"))
    fact = Fact()

    async def test() -> None:
        hub = Waits(shared=False)
        waiting = [asyncio.ensure_future(hub.until(fact.waiting(0.2, "a"), "greedy", run)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(Throttled):
            await hub.until(fact.waiting(1, "a"), "greedy", run)
        assert await hub.until(fact.waiting(0, "a"), "other", run) == LATE
        assert await asyncio.gather(*waiting) == [LATE, LATE]

    asyncio.run(asyncio.wait_for(test(), 30))
