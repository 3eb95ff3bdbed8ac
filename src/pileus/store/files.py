"""The files of an open SQLite database: whether each is still the one that was opened, and rescue of a deleted log."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, suppress
from typing import Final, Literal

Loss = Literal["", "database", "log"]
"""The deleted or replaced files: none; the database's own file; its log, or the index of its log, alone."""

FileIdentity = tuple[int, int] | None
"""Device and inode of a file; None when there is none."""

WAIT: Final = 1.0
"""Seconds for which a rescue waits for this process's readers; it copies what they allow after that."""

_SUFFIXES: Final = ("", "-wal", "-shm")


class DatabaseFiles:
    """The database at `path`, its log (`-wal`) and that log's index (`-shm`).

    One connection is kept open for as long as they are watched. SQLite deletes the log when the last connection closes;
    while this one is open, a log that is gone was deleted by somebody else.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[FileIdentity, ...] = ()
        """The identities of the files when they were opened; empty while they are not watched."""

    def watch(self) -> None:
        """Note the identities of the files, unless that was done. Raises sqlite3.Error."""
        with self._lock:
            if self._opened:
                return
            connection = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None, check_same_thread=False)
            # The first question opens the log, and creates it where there is none.
            connection.execute("PRAGMA journal_mode=WAL").close()
            self._connection, self._opened = connection, self._identities()

    def loss(self) -> Loss:
        """Return what is not the file that was opened."""
        if not self._opened:
            return ""
        now = self._identities()
        if now == self._opened:
            return ""
        return "log" if now[0] == self._opened[0] else "database"

    def rescue(self) -> bool:
        """Copy a deleted log into the database's file; return whether all of it is there now.

        Nothing is copied while the database's file or its log is another one that has contents: a new log belongs to
        a process that writes without regard to this one, and its pages and those of the old log do not fit together.
        Nor is anything copied while the log itself is in place: the next process to open the database reads it.
        """
        with self._lock:
            connection, log = self._connection, f"{self.path}-wal"
            if connection is None or _identity(self.path) != self._opened[0]:
                return False
            if _identity(log) == self._opened[1]:
                return True
            with suppress(OSError):
                if os.stat(log).st_size:  # noqa: PTH116  (as below)
                    return False
            try:
                return _copied(connection, "FULL") or _copied(connection, "PASSIVE")
            except sqlite3.Error:
                return False

    def abandon(self) -> None:
        """Remove the log of a database's file that was replaced, for a process that ends without closing connections.

        SQLite would apply that log to the file that is there now. A log that belongs to that file stays.
        """
        own = {_identity(descriptor.path) for descriptor in os.scandir("/proc/self/fd")}
        for log in (f"{self.path}-wal", f"{self.path}-shm"):
            if _identity(log) in own - {None}:
                os.unlink(log)  # noqa: PTH108  (as below)

    def close(self) -> None:
        """Watch the files no longer. Every other connection is to be closed before."""
        with self._lock:
            connection, self._connection, self._opened = self._connection, None, ()
        if connection is not None:
            connection.close()

    def _identities(self) -> tuple[FileIdentity, ...]:
        return tuple([_identity(self.path + suffix) for suffix in _SUFFIXES])


def _copied(connection: sqlite3.Connection, mode: str) -> bool:
    """Copy the log into the database's file; whether that was done and all of it is there. Raises sqlite3.Error."""
    with closing(connection.execute(f"PRAGMA wal_checkpoint({mode})")) as cursor:
        busy, pages, copied = cursor.fetchone()
    return bool(not busy and pages == copied)


def _identity(file: str) -> FileIdentity:
    try:
        status = os.stat(file)  # noqa: PTH116  (at each commit; a Path takes longer to make)
    except OSError:
        return None
    return status.st_dev, status.st_ino
