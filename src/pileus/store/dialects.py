"""Which kind of database a URL is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from pileus.model.errors import InvalidValue

if TYPE_CHECKING:
    from pileus.store.dialect import Dialect


def dialect_of(url: str, sync: str) -> Dialect:
    """The dialect of a URL: sqlite, postgresql, mariadb (or mysql). Raises InvalidValue without repeating the URL."""
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
    except ArgumentError:
        raise _refused("it is no URL") from None
    # Each driver is loaded by those alone who use it.
    if kind == "sqlite":
        from pileus.store.sqlite import Sqlite  # noqa: PLC0415  (commands start quickly)

        return Sqlite(parsed, sync)
    if not parsed.database:
        raise _refused("it names no database after the host")
    if kind == "postgresql":
        from pileus.store.postgresql import Postgresql  # noqa: PLC0415  (commands start quickly)

        return Postgresql(parsed)
    if kind in ("mariadb", "mysql"):
        from pileus.store.mariadb import Mariadb  # noqa: PLC0415  (commands start quickly)

        return Mariadb(parsed)
    raise _refused(f"'{kind}' is none of postgresql, mariadb and sqlite")


def _refused(why: str) -> InvalidValue:
    form = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    return InvalidValue(f"The store's URL cannot be used: {why}. Its form is {form}.", noun="store", reason="url")
