"""A database that cannot do its work, as the core's Unavailable: with words for those who ask, and a slug."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from pileus.model import disk
from pileus.model.errors import InvalidValue, Unavailable

if TYPE_CHECKING:
    from pileus.model.errors import PileusError
    from pileus.store.dialect import Dialect

_WORDS = {
    **disk.WORDS,
    "locked": "another program holds its lock",
    "unreadable": "its file cannot be opened",
    "damaged": "its contents are damaged",
    "busy": "too many wait for it",
    "replaced": "its file or its log was deleted or replaced while the cloud ran, which starts anew with what is there",
    "slow": "it took too long",
    "unreachable": "its server does not answer",
    "login": "its server refuses the user or the password of PILEUS_STORE",
    "missing": "its server has no database of the name in PILEUS_STORE",
    "rights": "its user lacks the right to do this; give it all rights on the database that PILEUS_STORE names "
    "(docs/operating.md, The database)",
}

_UNKNOWN = (
    "The cloud's database went away while it was to keep what was asked: it may be done, or not. Look, or ask again "
    "with the same client token."
)


def told(error: Exception, dialect: Dialect, *, committing: bool = False) -> PileusError | None:
    """Return the error to raise instead of `error`; None for a mistake of ours.

    While `committing`, a server that went away may have kept what it was given.
    """
    if isinstance(error, PoolTimeoutError):
        return unavailable("busy")
    cause = error.orig if isinstance(error, DBAPIError) else error
    reason = dialect.reason(cause) if isinstance(cause, dialect.errors) else ""
    if reason in ("unreachable", "slow") and committing:
        return unknown()
    if reason:
        return unavailable(reason)
    if isinstance(error, DataError):
        # PostgreSQL and MariaDB hold a text to its column's length, and PostgreSQL takes no NUL.
        return InvalidValue("A text is too long, or has a character that cannot be stored.", reason="text")
    return None


def unknown() -> Unavailable:
    """For a write that may have been kept, or not."""
    return Unavailable(_UNKNOWN, noun="store", reason="unknown")


def undurable(sync: str) -> Unavailable:
    """For a server that keeps less than `store.sync` promises."""
    text = (
        f"The cloud's database server is set to forget what it has confirmed, and store.sync is '{sync}'. "
        "docs/operating.md, The database, says which of its settings that asks for."
    )
    return Unavailable(text, noun="store", reason="not-durable")


def unavailable(reason: str) -> Unavailable:
    """The error for a database that cannot be used now, `reason` being a slug of `_WORDS`."""
    text = f"The cloud's database cannot be used now: {_WORDS[reason]}. Nothing was changed; ask again later."
    return Unavailable(text, noun="store", reason=reason)
