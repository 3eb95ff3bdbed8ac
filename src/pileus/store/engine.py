"""Connections and transactions: SQLite now, one writer at a time; other engines by URL."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import StaticPool, create_engine, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


class Engine:
    """Opens `url`. `sync` full: a commit survives a power cut; normal: it survives the death of every process."""

    def __init__(self, url: str, *, sync: str = "normal") -> None:
        self.url = url
        memory = url in ("sqlite://", "sqlite:///:memory:")
        options: dict[str, Any] = {"poolclass": StaticPool} if memory else {"pool_size": 16, "max_overflow": 32}
        self.sql = create_engine(url, connect_args={"check_same_thread": False, "timeout": 30.0}, **options)
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
        """A snapshot; nothing that is done in it is kept."""
        if self._reading is None:
            with self.sql.connect() as connection:
                _begin(connection, "BEGIN")
                yield connection
            return
        with self._reading, self.sql.connect() as connection:
            _begin(connection, "BEGIN")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, alone among writers; committed when the block ends, rolled back when it raises."""
        with self._writing, self.sql.connect() as connection, connection.begin():
            _begin(connection, "BEGIN IMMEDIATE")
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.sql.dispose()


def _begin(connection: Connection, word: str) -> None:
    # To the driver itself: with a listener for it, SQLAlchemy would look for listeners at every statement.
    connection.connection.driver_connection.execute(word).close()  # type: ignore[union-attr]
