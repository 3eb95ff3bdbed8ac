"""A cloud is healthy while its store answers and its work is done; what is missing, and what is late, is named."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pileus.app.health import Health, look
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

    def turn() -> None:
        raise OSError(24, "Too many open files")

    thread = Thread("bus-accept", turn, stopping)
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
        found = look(store, dict, yes, lambda: {"host two": "Its disk is full."})
        assert (found.missing, found.late, found.unanswered) == ({}, {}, {"host two": "Its disk is full."})
    finally:
        store.close()
