"""A database that cannot do its work, as the core's Unavailable: with words for those who ask, and a slug."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from pileus.model import disk
from pileus.model.errors import Unavailable

if TYPE_CHECKING:
    import sqlite3

    from sqlalchemy.exc import SQLAlchemyError

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

_WORDS = {
    **disk.WORDS,
    "locked": "another program holds its lock",
    "unreadable": "its file cannot be opened",
    "damaged": "its file is damaged",
    "busy": "too many wait for it",
}


def unavailable(error: SQLAlchemyError | sqlite3.Error) -> Unavailable | None:
    """What to tell instead of `error`; None for one that is a mistake of ours."""
    if isinstance(error, PoolTimeoutError):
        reason = "busy"
    else:
        cause = error.orig if isinstance(error, DBAPIError) else error
        reason = _REASONS.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF, "")
    if not reason:
        return None
    text = f"The cloud's database cannot be used now: {_WORDS[reason]}. Nothing was changed; ask again later."
    return Unavailable(text, noun="store", reason=reason)
