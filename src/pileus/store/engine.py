"""Connections and transactions: SQLite now, one writer at a time; other engines by URL."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from sqlalchemy import StaticPool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from pileus.store.trouble import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from pileus.model.errors import Unavailable


class Engine:
    """Opens `url`. `sync` full: a commit survives a power cut; normal: it survives the death of every process.

    `trouble` is what the database could not be used for when that was tried last; None since it could be written.
    """

    def __init__(self, url: str, *, sync: str = "normal") -> None:
        self.url = url
        memory = url in ("sqlite://", "sqlite:///:memory:")
        options: dict[str, Any] = {"poolclass": StaticPool} if memory else {"pool_size": 16, "max_overflow": 32}
        # What is stored may be secret: it is no part of an error's text.
        options["hide_parameters"] = True
        self.sql = create_engine(url, connect_args={"check_same_thread": False, "timeout": 30.0}, **options)
        self.trouble: Unavailable | None = None
        self._sync = sync
        self._writing = threading.RLock()
        # An in-memory database is one connection: its readers take turns with its writer.
        self._reading = self._writing if memory else None
        event.listen(self.sql, "connect", self._connected)

    def _connected(self, connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun here, not by the driver
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={self._sync}",
            "busy_timeout=30000",
            "cache_size=-32768",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot; nothing that is done in it is kept. Raises Unavailable."""
        with self._telling(), self._reading or nullcontext(), self.sql.connect() as connection:
            _begin(connection, "BEGIN")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, alone among writers; committed when the block ends, rolled back when it raises.

        Raises Unavailable, and then nothing was changed.
        """
        with self._telling(), self._writing, self.sql.connect() as connection, connection.begin():
            _begin(connection, "BEGIN IMMEDIATE")
            yield connection
        self.trouble = None

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            told = unavailable(error)
            if told is None:
                raise
            self.trouble = told
            raise told from error

    def close(self) -> None:
        """Close every connection."""
        self.sql.dispose()


def _begin(connection: Connection, word: str) -> None:
    # To the driver itself: with a listener for it, SQLAlchemy would look for listeners at every statement.
    connection.connection.driver_connection.execute(word).close()  # type: ignore[union-attr]
