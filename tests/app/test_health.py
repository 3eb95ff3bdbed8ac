"""A cloud is healthy while its store answers and its work is done; what is missing, and what is late, is named."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from pileus.app import health
from pileus.app.health import Checks, Health, look
from pileus.app.metrics import Metrics
from pileus.loops import standing
from pileus.model.errors import Unavailable
from pileus.model.host import LOST_AFTER, Host, Seen
from pileus.model.ids import new_uuid
from pileus.model.threads import Thread
from pileus.store.migrate import migrate
from pileus.store.store import Store
from tests.bus.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def yes() -> bool:
    return True


def test_without_its_store_a_cloud_refuses_and_without_a_host_it_is_late(tmp_path: Path) -> None:
    time = [1000.0]
    store = Store(f"sqlite:///{tmp_path}/pileus.db", now=lambda: time[0])
    try:
        assert list(look(store, dict, yes).missing) == ["store"]
        migrate(store.engine)
        assert list(look(store, dict, yes).late) == ["host"]
        with store.write() as tx:
            tx.see(tx.add(Host(uuid=new_uuid(), name="one")), Seen(epoch=1, heard=tx.now))
        assert look(store, dict, yes) == Health()
        time[0] += LOST_AFTER - 1
        assert look(store, dict, yes) == Health()
        time[0] += 1
        assert look(store, dict, yes).missing == {}
        assert list(look(store, dict, yes).late) == ["host"]
    finally:
        store.close()


def test_without_its_broker_or_any_loops_one_of_several_processes_is_late(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/pileus.db")
    store.shared = True
    try:
        migrate(store.engine)
        with store.write() as tx:
            tx.see(tx.add(Host(uuid=new_uuid(), name="one")), Seen(epoch=1, heard=tx.now))
        assert list(look(store, dict, lambda: False).late) == ["broker", "loops"]
        with store.write() as tx:
            tx.keep_meta(standing.OPEN, tx.meta("incarnation"))
            tx.keep_meta(standing.OPEN_UNTIL, int(tx.now + standing.STANDING))
        assert look(store, dict, yes) == Health()
    finally:
        store.close()


def test_a_process_that_is_asked_nothing_while_it_is_not_well_finds_out_by_itself_that_it_is(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/pileus.db")
    try:
        migrate(store.engine)
        with store.write() as tx:
            tx.see(tx.add(Host(uuid=new_uuid(), name="one")), Seen(epoch=1, heard=tx.now))
        store.engine.trouble = Unavailable("gone")
        assert list(look(store, dict, yes).missing) == ["store"]
        store.shared = True
        assert look(store, dict, yes).missing == {}
    finally:
        store.close()


def test_a_thread_that_fails_is_named(tmp_path: Path) -> None:
    store, stopping = Store(f"sqlite:///{tmp_path}/pileus.db"), threading.Event()

    def iterate() -> None:
        raise OSError(24, "Too many open files")

    thread = Thread("bus-accept", iterate, stopping)
    try:
        migrate(store.engine)
        with store.write() as tx:
            tx.see(tx.add(Host(uuid=new_uuid(), name="one")), Seen(epoch=1, heard=tx.now))
        thread.start()
        until(lambda: look(store, dict, yes).late)
        late = look(store, dict, yes).late
        assert list(late) == ["threads"]
        assert "bus-accept" in late["threads"]
        assert 'pileus_thread_failing{thread="bus-accept"} 1.0' in Metrics(store).page().body.decode()
    finally:
        stopping.set()
        thread.join(10)
        store.close()


def test_a_host_that_was_gone_on_without_is_named_with_its_reason(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/pileus.db")
    try:
        migrate(store.engine)
        with store.write() as tx:
            tx.see(tx.add(Host(uuid=new_uuid(), name="one")), Seen(epoch=1, heard=tx.now))
        health = look(store, dict, yes, lambda: {"host two": "Its disk is full."})
        assert (health.missing, health.late, health.unanswered) == ({}, {}, {"host two": "Its disk is full."})
    finally:
        store.close()


class Looks:
    """Counts looks at a health, each of which waits until it may end."""

    def __init__(self) -> None:
        self.count = 0
        self.may_end = asyncio.Event()
        self.health = Health()

    async def __call__(self) -> Health:
        """Look."""
        self.count += 1
        await self.may_end.wait()
        return self.health


def test_all_that_ask_at_once_wait_for_one_look() -> None:
    async def test() -> None:
        looks = Looks()
        checks = Checks(looks, loops=True)
        tasks = [asyncio.create_task(checks.answer(repeat=number % 2 == 0)) for number in range(100)]
        await asyncio.sleep(0)
        tasks.pop(0).cancel()
        await asyncio.sleep(0)
        looks.may_end.set()
        assert {answer.status for answer in await asyncio.gather(*tasks)} == {200}
        assert looks.count == 1
        looks.health = Health(late={"host": "none"})
        assert (await checks.answer(repeat=False)).status == 503
        assert looks.count == 2

    asyncio.run(asyncio.wait_for(test(), 20))


def test_an_answer_is_repeated_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        looks = Looks()
        looks.may_end.set()
        checks = Checks(looks, loops=True)
        assert (await checks.answer(repeat=True)).body == b"ok\n"
        looks.health = Health(missing={"store": "none"})
        assert [(await checks.answer(repeat=True)).status for _ in range(10)] == [200] * 10
        assert looks.count == 1
        assert (await checks.answer(repeat=False)).status == 503
        looks.health = Health()
        monkeypatch.setattr(health, "REPEATED", 0.0)
        assert (await checks.answer(repeat=True)).status == 200

    asyncio.run(asyncio.wait_for(test(), 20))


def test_a_store_that_does_not_answer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.01)

    async def test() -> None:
        checks = Checks(Looks(), loops=False)
        for _ in range(2):
            answer = await checks.answer(repeat=False)
            assert (answer.status, b"does not answer" in answer.body) == (503, True)

    asyncio.run(asyncio.wait_for(test(), 20))
