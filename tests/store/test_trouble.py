"""A database that cannot work says so as the core's Unavailable, keeps nothing half, and works again by itself."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from pileus.model import bounds
from pileus.model.errors import Unavailable
from pileus.model.flavor import Flavor
from pileus.store import engine
from pileus.store.migrate import migrate
from pileus.store.store import Store
from tests.bus.waiting import until
from tests.store.clock import flavor
from tests.store.wakes import finish_wake, lease_wake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db")
    migrate(made.engine)
    yield made
    made.close()


def say(store: Store, *pragmas: str) -> None:
    """Open every connection anew, with these settings."""

    def connected(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    store.close()
    event.listen(store.engine.sql, "connect", connected)


def fill(store: Store) -> None:
    with store.write() as tx:
        tx.add_all([flavor(f"wide-{number}") for number in range(5000)])


def names(store: Store) -> set[str]:
    with store.read() as tx:
        return {one.name for one in tx.list(Flavor)}


def refused(store: Store) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        fill(store)
    assert store.trouble is caught.value
    return caught.value


def test_a_full_disk_keeps_nothing_of_what_was_asked(file_store: Store) -> None:
    with file_store.write() as tx:
        tx.add(flavor("before"))
    say(file_store, "max_page_count=60")
    error = refused(file_store)
    assert error.reason == "disk-full"
    assert "the disk is full" in error.message
    assert names(file_store) == {"before"}
    say(file_store, "max_page_count=100000")
    with file_store.write() as tx:
        tx.add(flavor("after"))
    assert names(file_store) == {"before", "after"}
    assert file_store.trouble is None


def test_a_wake_that_could_not_be_given_back_does_not_wait_for_its_leases_end(file_store: Store) -> None:
    made = flavor("late")
    with file_store.write() as tx:
        tx.wake(tx.add(made))
    leased = lease_wake(file_store)
    assert leased is not None
    say(file_store, "query_only=ON")
    with pytest.raises(Unavailable):
        finish_wake(file_store, leased, file_store.now(), failed=True)
    with pytest.raises(Unavailable):
        lease_wake(file_store)
    say(file_store, "query_only=OFF")
    again = lease_wake(file_store)
    assert again is not None
    assert (again.uuid, again.tries) == (made.uuid, 1)
    finish_wake(file_store, again, None)
    assert lease_wake(file_store) is None


def test_what_was_to_be_stored_is_no_part_of_the_error(file_store: Store) -> None:
    say(file_store, "max_page_count=60")
    cause = refused(file_store).__cause__
    assert "database or disk is full" in str(cause)
    assert "wide-" not in str(cause)


def test_a_read_only_database_can_still_be_read(file_store: Store) -> None:
    say(file_store, "query_only=ON")
    assert refused(file_store).reason == "read-only"
    assert names(file_store) == set()


def test_a_database_that_another_program_locks_is_not_waited_for_without_end(file_store: Store, tmp_path: Path) -> None:
    say(file_store, "busy_timeout=1")
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert refused(file_store).reason == "locked"
    other.execute("ROLLBACK")
    other.close()
    fill(file_store)


@pytest.mark.parametrize("way", ["deleted", "replaced"])
def test_what_is_written_to_a_file_that_has_no_name_any_more_is_not_acknowledged(
    file_store: Store, tmp_path: Path, way: str
) -> None:
    fill(file_store)
    (tmp_path / "store.db").unlink()
    if way == "replaced":
        (tmp_path / "store.db").write_bytes(b"")
    with pytest.raises(Unavailable) as caught, file_store.write() as tx:
        tx.add(flavor("lost"))
    assert caught.value.reason == "replaced"
    assert file_store.replaced
    with pytest.raises(Unavailable):
        names(file_store)
    file_store.engine.abandon()
    assert not (tmp_path / "store.db-wal").exists(), "the next one would apply it to another file"


def alone(file: Path) -> set[str]:
    """The names of the flavors that the database's file has without its log."""
    copy = file.with_name("alone.db")
    copy.write_bytes(file.read_bytes())
    store = Store(f"sqlite:///{copy}")
    found = names(store)
    store.close()
    return found


@pytest.mark.parametrize("deleted", [("-wal",), ("-shm",), ("-wal", "-shm")])
def test_writes_are_refused_once_the_log_is_deleted_and_those_before_are_kept(
    file_store: Store, tmp_path: Path, deleted: tuple[str, ...]
) -> None:
    with file_store.write() as tx:
        tx.add(flavor("acknowledged"))
    for suffix in deleted:
        (tmp_path / f"store.db{suffix}").unlink()
    with pytest.raises(Unavailable) as caught, file_store.write() as tx:
        tx.add(flavor("late"))
    assert caught.value.reason == "unknown"
    assert file_store.replaced
    with pytest.raises(Unavailable) as refusal:
        fill(file_store)
    assert refusal.value.reason == "replaced"
    assert file_store.abandon()
    if "-wal" in deleted:
        assert "acknowledged" in alone(tmp_path / "store.db")
    else:
        assert (tmp_path / "store.db-wal").exists(), "the next process reads it"


def test_a_reader_that_connects_notices_a_deleted_log_and_makes_no_new_one(file_store: Store, tmp_path: Path) -> None:
    with file_store.write() as tx:
        tx.add(flavor("acknowledged"))
    with file_store.read():
        (tmp_path / "store.db-wal").unlink()
        with pytest.raises(Unavailable):
            names(file_store)
    assert not (tmp_path / "store.db-wal").exists()
    assert alone(tmp_path / "store.db") == {"acknowledged"}


def test_a_deleted_log_is_not_mixed_with_the_log_of_another_process(file_store: Store, tmp_path: Path) -> None:
    fill(file_store)
    before = (tmp_path / "store.db").read_bytes()
    (tmp_path / "store.db-wal").rename(tmp_path / "kept")
    (tmp_path / "store.db-wal").write_bytes(b"of another process")
    with pytest.raises(Unavailable), file_store.write() as tx:
        tx.add(flavor("late"))
    assert not file_store.abandon()
    assert (tmp_path / "store.db").read_bytes() == before


def test_readers_do_not_wait_behind_writers_that_another_program_holds_up(
    file_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BRIEF", 0.05)
    monkeypatch.setattr(engine, "_POLL", 0.02)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def write(number: int) -> None:
        with file_store.write() as tx:
            tx.add(flavor(f"late-{number}"))

    with ThreadPoolExecutor(16) as requests:
        writing = [requests.submit(write, number) for number in range(16)]
        assert requests.submit(names, file_store).result(5) == set(), "well before the lock's end"
        until(lambda: sum(done.done() for done in writing) == 16 - 1 - bounds.HELD_UP_WRITERS.most)
        other.execute("ROLLBACK")
        outcomes = [done.exception() for done in writing]
    other.close()
    refused = [error for error in outcomes if error is not None]
    assert len(refused) == 16 - 1 - bounds.HELD_UP_WRITERS.most
    assert {error.reason for error in refused if isinstance(error, Unavailable)} == {"locked"}
    assert len(names(file_store)) == 1 + bounds.HELD_UP_WRITERS.most


def test_a_damaged_file_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database at all\n" * 1000)
    store = Store(f"sqlite:///{tmp_path}/store.db")
    with pytest.raises(Unavailable) as caught:
        migrate(store.engine)
    store.close()
    assert caught.value.reason == "damaged"


def test_a_file_that_cannot_be_opened_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    store = Store(f"sqlite:///{tmp_path}/store.db")
    with pytest.raises(Unavailable) as caught:
        migrate(store.engine)
    store.close()
    assert caught.value.reason == "unreadable"
