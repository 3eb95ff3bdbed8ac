"""Where a test's databases are: SQLite, or the server that PILEUS_TEST_STORE names by a URL of its administrator.

The suites of the store, the verbs and the loops are the same on every kind of database; `tests/live/test_stores.py`
starts the servers and runs these suites on them.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, func, insert, select, text

from pileus.model.noun import NEVER
from pileus.store.cache import Cache
from pileus.store.dialect import dialect_of
from pileus.store.migrate import migrate
from pileus.store.store import Store
from pileus.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVER = os.environ.get("PILEUS_TEST_STORE", "")

Image = bytes | dict[str, list[dict[str, Any]]]
"""All that a database holds: SQLite's file, or rows by table."""

_made: list[str] = []


def new() -> str:
    """The URL of a database without tables: in memory, or on the server, where it stays until the server ends."""
    if not SERVER:
        return "sqlite://"
    name = f"pileus_{os.getpid()}_{len(_made)}"
    _made.append(name)
    _say(f"CREATE DATABASE {name}")
    return dialect_of(SERVER, "normal").sql.set(database=name).render_as_string(hide_password=False)


@contextmanager
def folder(path: Path) -> Iterator[Callable[[str], str]]:
    """Makes URLs, each name's always the same: files in `path`, or databases that are dropped afterwards."""
    made: dict[str, str] = {}

    def url(name: str) -> str:
        if name not in made:
            made[name] = new() if SERVER else f"sqlite:///{path}/{name}.db"
        return made[name]

    yield url
    for one in made.values() if SERVER else ():
        _say(f"DROP DATABASE {one.rpartition('/')[2]}", ignored=True)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Databases by name: a file each, or one of the server's."""
    with folder(tmp_path) as made:
        yield made


def _say(words: str, *, ignored: bool = False) -> None:
    dialect = dialect_of(SERVER, "normal")
    engine = create_engine(dialect.sql, isolation_level="AUTOCOMMIT")
    forced = " WITH (FORCE)" if ignored and dialect.sql.get_backend_name() == "postgresql" else ""
    with engine.connect() as connection:
        connection.execute(text(words + forced))
    engine.dispose()


def opened(now: Callable[[], float], image: Image | None = None) -> Store:
    """A store of one's own with every table, and with what `image` holds."""
    store = Store(new(), now=now)
    if image is None or SERVER:
        migrate(store.engine)
    if image is not None:
        load(store, image)
    return store


def copy(store: Store) -> Image:
    """All that the store's database holds."""
    if not SERVER:
        return _raw(store).serialize()  # type: ignore[no-any-return]
    with store.engine.read() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in metadata.sorted_tables
        }


def load(store: Store, image: Image) -> None:
    """Have the store's database hold this, and nothing else; the store is as one that was opened after that."""
    replace(store, image)
    forget(store)


def forget(store: Store) -> None:
    """Have the store know nothing of what its database was."""
    store._cache = Cache()
    store.reached, store.guarded = NEVER, False
    store._leased.clear()


def replace(store: Store, image: Image) -> None:
    """Have the store's database hold this, and nothing else, without the knowledge of whoever has it open."""
    if isinstance(image, bytes):
        _raw(store).deserialize(image)
    else:
        with store.engine.write() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
                rows = image.get(table.name)
                if rows:
                    connection.execute(insert(table), rows)
                if "id" in table.c and connection.dialect.name == "postgresql":
                    highest = max((row["id"] for row in rows or ()), default=0)
                    sequence = func.pg_get_serial_sequence(f'"{table.name}"', "id")
                    connection.execute(select(func.setval(sequence, max(highest, 1), highest > 0)))


def _raw(store: Store) -> Any:
    return store.engine.sql.raw_connection().driver_connection
