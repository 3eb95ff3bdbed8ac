"""SQLite: a file of this machine, or memory; one writer at a time by the file's own lock."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import StaticPool

from pileus.model import disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection

    from pileus.store.dialect import Durability
    from pileus.store.direct import StatementExecutor

BACKSTOP = 8192
"""Pages (32 MiB) in the log at which a commit copies them into the database's file itself, because nobody tidies."""

LOCKED = 10.0
"""Seconds for which a statement waits for a lock that another program holds."""

_REASONS = {
    5: "locked",  # SQLITE_BUSY
    6: "locked",  # SQLITE_LOCKED
    3: "unreadable",  # SQLITE_PERM
    8: disk.READ_ONLY,  # SQLITE_READONLY
    10: disk.FAILED,  # SQLITE_IOERR
    11: "damaged",  # SQLITE_CORRUPT
    13: disk.FULL,  # SQLITE_FULL
    14: "unreadable",  # SQLITE_CANTOPEN
    26: "damaged",  # SQLITE_NOTADB
}
"""SQLite's primary result codes (https://sqlite.org/rescode.html) that are nobody's mistake here."""


class Sqlite:
    """SQLite in WAL mode."""

    errors = sqlite3.Error
    direct = True
    pipelined = False

    def __init__(self, url: URL, sync: str) -> None:
        self.sql = url
        # An in-memory database is one connection: its readers take turns with its writer.
        self.alone = url.database in (None, "", ":memory:")
        self.file = "" if self.alone else str(url.database)
        pool: dict[str, Any] = {"poolclass": StaticPool} if self.alone else {}
        self.options = {"connect_args": {"check_same_thread": False, "timeout": LOCKED}, **pool}
        self._sync = sync

    def connect(self, **_parameters: Any) -> None:
        """By the driver's own words."""

    def connected(self, connection: Any) -> None:
        """Set a new connection up."""
        connection.isolation_level = None  # transactions are begun here, not by the driver
        connection.text_factory = _text
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={self._sync}",
            f"busy_timeout={LOCKED * 1000:.0f}",
            "cache_size=-32768",
            f"wal_autocheckpoint={BACKSTOP}",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    def begin_read(self, session: StatementExecutor) -> None:
        """A snapshot from the first statement on."""
        session.begin("BEGIN")

    def begin_write(self, session: StatementExecutor, *, lasting: bool = True) -> None:
        """Wait for the file's lock."""
        session.begin("BEGIN IMMEDIATE")

    @contextmanager
    def making(self, connection: Connection) -> Iterator[None]:
        """A transaction holds changes of the schema too."""
        _say(connection, "BEGIN IMMEDIATE")
        yield

    def tidy(self, connection: Connection) -> None:
        """Copy what is in the log into the database's file: others read and write meanwhile, and wait for no disk."""
        connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(PASSIVE)").close()  # type: ignore[union-attr]  # checked out, so there

    def durability(self, connection: Connection) -> Durability:
        """As asked."""
        return "full" if self._sync == "full" else "normal"

    def reason(self, error: Exception) -> str:
        """By SQLite's code."""
        return _REASONS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")


def _text(data: bytes) -> str | bytes:
    """A column's text; the bytes themselves where they are none: their row is damaged, and all others are read."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _say(connection: Connection, word: str) -> None:
    # To the driver itself: with a listener for it, SQLAlchemy would look for listeners at every statement.
    connection.connection.driver_connection.execute(word).close()  # type: ignore[union-attr]  # checked out, so there
