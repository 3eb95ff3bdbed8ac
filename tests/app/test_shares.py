"""Threads that projects share: turns, shares, bounds, and slots for what takes long."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app import shares
from pileus.app.shares import Answering, Slots, Workers
from pileus.model import bounds
from pileus.model.bounds import Bound
from pileus.model.errors import Throttled, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Work:
    """Jobs that note when they begin, and end when they may."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = threading.Event()

    def job(self, name: str) -> Callable[[], str]:
        """A job of this name, which is its result."""

        def run() -> str:
            self.begun.append(name)
            assert self.may_end.wait(20)
            return name

        return run


async def until(true: Callable[[], bool]) -> None:
    """Wait for a condition, while the event loop goes on."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  (threads set no asyncio.Event)
            await asyncio.sleep(0.001)


def run(test: Callable[[Workers, Work], Awaitable[None]], count: int = 4, share: int = 1) -> None:
    """Run `test` with `count` threads."""
    workers, work = Workers(count, share), Work()
    try:
        asyncio.run(asyncio.wait_for(test(workers, work), 30))
    finally:
        work.may_end.set()
        workers.close()


def test_a_project_has_its_share_of_the_threads_while_others_are_there() -> None:
    async def test(workers: Workers, work: Work) -> None:
        assert await workers.run("other", lambda: 1) == 1
        jobs = [asyncio.ensure_future(workers.run("loud", work.job(f"loud {n}"))) for n in range(20)]
        await until(lambda: sorted(work.begun) == ["loud 0", "loud 1"])
        # Others begin at once, each on a thread of its own.
        jobs += [asyncio.ensure_future(workers.run(name, work.job(name))) for name in ("ann", "bob")]
        await until(lambda: len(work.begun) == 4)
        assert set(work.begun) == {"loud 0", "loud 1", "ann", "bob"}
        work.may_end.set()
        await asyncio.gather(*jobs)

    run(test, count=8, share=2)


def test_a_project_that_is_alone_has_nearly_all_threads() -> None:
    async def test(workers: Workers, work: Work) -> None:
        jobs = [asyncio.ensure_future(workers.run("only", work.job(str(n)))) for n in range(20)]
        await until(lambda: len(work.begun) == 3)
        jobs.append(asyncio.ensure_future(workers.run("next", work.job("next"))))
        await until(lambda: "next" in work.begun)
        assert len(work.begun) == 4
        work.may_end.set()
        await asyncio.gather(*jobs)

    run(test)


def test_projects_that_wait_take_turns() -> None:
    order: list[str] = []

    async def test(workers: Workers, work: Work) -> None:
        blocks = [asyncio.ensure_future(workers.run(f"block {n}", work.job("block"))) for n in range(2)]
        await until(lambda: len(work.begun) == 2)
        jobs = [
            asyncio.ensure_future(workers.run(project, functools.partial(order.append, project)))
            for project in ("loud", "loud", "loud", "ann", "bob")
        ]
        await asyncio.sleep(0)
        work.may_end.set()
        await asyncio.gather(*blocks, *jobs)

    run(test, count=2)
    # Two threads take jobs: only neighbours may change places.
    assert order.index("ann") < 4
    assert order.index("bob") < 5
    assert order[-1] == "loud"


def test_an_identified_request_goes_on_or_waits_its_projects_turn() -> None:
    async def test(workers: Workers, work: Work) -> None:
        def identified(name: str) -> Callable[[], Any]:
            return lambda: Answering("loud", work.job(name), lambda error: f"{name}: {error.code}")

        await workers.run("other", lambda: None)
        jobs = [asyncio.ensure_future(workers.identify("here", identified(str(n)))) for n in range(3)]
        await until(lambda: len(work.begun) == 1)
        # Those that wait keep nobody from being identified.
        assert await workers.identify("here", lambda: "nobody") == "nobody"
        work.may_end.set()
        assert await asyncio.gather(*jobs) == ["0", "1", "2"]

    run(test)


def test_too_many_that_wait_are_refused_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Bound(what="requests", per="project", most=2, answer="Throttled")
    monkeypatch.setattr(bounds, "REQUESTS_WAITING", few)

    async def test(workers: Workers, work: Work) -> None:
        await workers.run("other", lambda: None)
        jobs = [asyncio.ensure_future(workers.run("loud", work.job(str(n)))) for n in range(3)]
        await until(lambda: len(work.begun) == 1)
        with pytest.raises(Throttled):
            await workers.run("loud", work.job("one too many"))
        answering = Answering("loud", work.job("and another"), lambda error: error.code)
        assert await workers.identify("here", lambda: answering) == "Throttled"
        assert await workers.run("ann", lambda: "ann") == "ann"
        work.may_end.set()
        assert await asyncio.gather(*jobs) == ["0", "1", "2"]

    run(test)


def test_at_the_total_the_key_with_most_jobs_gives_up_its_oldest() -> None:
    few, total = (Bound(what="requests", per="process", most=most, answer="") for most in (4, 6))
    workers, work = Workers(1, 1, few, total), Work()

    async def test() -> None:
        jobs = {"first": asyncio.ensure_future(workers.run("first", work.job("first")))}
        await until(lambda: work.begun == ["first"])
        names = ["loud 1", "loud 2", "loud 3", "loud 4", "ann 1", "ann 2", "bob 1", "bob 2", "bob 3"]
        for name in names:
            jobs[name] = asyncio.ensure_future(workers.run(name.partition(" ")[0], work.job(name)))
            await asyncio.sleep(0)
        work.may_end.set()
        results = await asyncio.gather(*jobs.values(), return_exceptions=True)
        refused = [name for name, result in zip(jobs, results, strict=True) if isinstance(result, Throttled)]
        assert refused == ["loud 1", "loud 2", "bob 3"]

    try:
        asyncio.run(asyncio.wait_for(test(), 30))
    finally:
        work.may_end.set()
        workers.close()


def test_what_a_job_raises_is_its_callers_and_threads_go_on() -> None:
    async def test(workers: Workers, _: Work) -> None:
        def broken() -> None:
            raise ZeroDivisionError

        for _number in range(10):
            with pytest.raises(ZeroDivisionError):
                await workers.run("ann", broken)
            with pytest.raises(ZeroDivisionError):
                await workers.identify("here", lambda: Answering("ann", broken, str))
        assert await workers.run("ann", lambda: 1) == 1

    run(test, count=2)


def test_what_waits_at_the_end_is_cancelled() -> None:
    async def test() -> None:
        workers, work = Workers(1, 1), Work()
        jobs = [asyncio.ensure_future(workers.run("ann", work.job(str(n)))) for n in range(2)]
        await until(lambda: bool(work.begun))
        closing = asyncio.ensure_future(asyncio.to_thread(workers.close))
        with pytest.raises(asyncio.CancelledError):
            await jobs[1]
        work.may_end.set()
        assert await jobs[0] == "0"
        await closing

    asyncio.run(test())


def test_a_project_is_known_as_active_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "ALONE", 0.0)

    async def test(workers: Workers, work: Work) -> None:
        await workers.run("other", lambda: None)
        jobs = [asyncio.ensure_future(workers.run("loud", work.job(str(n)))) for n in range(3)]
        await until(lambda: len(work.begun) == 3)
        work.may_end.set()
        await asyncio.gather(*jobs)

    run(test)


def test_slots_are_bounded_by_key_and_in_all() -> None:
    share = Bound(what="streams", per="project", most=2, answer="")
    total = Bound(what="streams", per="process", most=3, answer="")
    slots = Slots(share, total)
    with slots.of("ann"), slots.of("ann"):
        with pytest.raises(Throttled, match="2 streams now, the most for a project"), slots.of("ann"):
            pass
        with slots.of("bob"), pytest.raises(Throttled, match="3 streams now"), slots.of("eve"):
            pass
        with slots.of("eve"):
            pass
    with slots.of("ann"):
        pass


def test_a_thread_that_cannot_begin_takes_no_share_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> threading.Thread:
        raise RuntimeError("can't start new thread")

    async def test(workers: Workers, _work: Work) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(shares, "once", refused)
            for _ in range(5):
                with pytest.raises(RuntimeError):
                    await asyncio.wait_for(workers.run("a", lambda: 1), 5)
        assert await workers.run("a", lambda: 1) == 1

    run(test)


def test_proven_keys_do_not_wait_behind_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "IDENTIFYING", Bound(what="requests", per="process", most=1, answer="it waits"))

    async def test(workers: Workers, work: Work) -> None:
        jobs = [asyncio.ensure_future(workers.identify("first", work.job("first")))]
        await until(lambda: work.begun == ["first"])
        jobs += [asyncio.ensure_future(workers.identify(f"s{n}", work.job(f"stranger {n}"))) for n in range(30)]
        jobs += [asyncio.ensure_future(workers.identify("ann", work.job("ann"), proven=True))]
        work.may_end.set()
        await asyncio.gather(*jobs)
        assert work.begun.index("ann") <= 2
        assert len(work.begun) == 32

    run(test)


def test_jobs_that_come_after_the_end_are_refused() -> None:
    async def test(workers: Workers, _work: Work) -> None:
        assert await workers.run("ann", lambda: 1) == 1
        workers.close()
        for job in (workers.run("ann", lambda: 2), workers.identify("here", lambda: 2)):
            with pytest.raises(Unavailable, match="is ending"):
                await asyncio.wait_for(job, 5)

    run(test)
