"""A cloud is healthy while its store answers and a host has reported lately; what is missing is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.app import health
from pileus.model.errors import Unavailable
from pileus.model.host import LOST_AFTER, Host, Seen
from pileus.model.ids import new_uuid
from pileus.store.migrate import migrate
from pileus.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path


def test_a_silent_host_and_a_store_without_tables_are_missing(tmp_path: Path) -> None:
    time = [1000.0]
    store = Store(f"sqlite:///{tmp_path}/pileus.db", now=lambda: time[0])
    try:
        assert list(health.missing(store, dict)) == ["store"]
        migrate(store.engine)
        assert list(health.missing(store, dict)) == ["host"]
        with store.write() as tx:
            tx.see(tx.add(Host(uuid=new_uuid(), name="one")), Seen(epoch=1, heard=tx.now))
        assert health.missing(store, dict) == {}
        time[0] += LOST_AFTER - 1
        assert health.missing(store, dict) == {}
        time[0] += 1
        assert list(health.missing(store, dict)) == ["host"]
    finally:
        store.close()


def test_a_process_that_is_asked_nothing_while_it_is_not_well_finds_out_by_itself_that_it_is(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/pileus.db")
    try:
        migrate(store.engine)
        with store.write() as tx:
            tx.see(tx.add(Host(uuid=new_uuid(), name="one")), Seen(epoch=1, heard=tx.now))
        store.engine.trouble = Unavailable("gone")
        assert list(health.missing(store, dict)) == ["store"]
        store.shared = True
        assert health.missing(store, dict) == {}
    finally:
        store.close()
