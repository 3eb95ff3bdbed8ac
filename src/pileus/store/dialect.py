"""The interface to one kind of database; everything else in this room is the same for all kinds."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from pileus.model.errors import InvalidValue

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, Connection

    from pileus.store.direct import StatementExecutor

Durability = Literal["none", "normal", "full"]
"""The events that a commit survives: no end of the database server; the end of every process; a power cut as well."""

STOPPED: Final = 10
"""Seconds of silence after which the server ends a transaction: its process is stopped, or cut off."""

TURN: Final = 25
"""Seconds for which a transaction waits for its turn: longer than one that was stopped can hold the others up."""

ANSWER: Final = 40
"""Seconds after which a server that says nothing at all counts as gone."""

CONNECT: Final = 5
"""Seconds for a new connection."""


class Dialect(Protocol):
    """One kind of database.

    `sql` is what SQLAlchemy opens and `options` how. `alone` means that readers take turns with the writer, for there
    is one connection, `direct` that the driver takes and gives every value as it is, and `pipelined` that it sends many
    statements in one round trip. `file` is the path of the database where that is a file, else empty.
    """

    sql: URL
    options: dict[str, Any]
    alone: bool
    direct: bool
    pipelined: bool
    file: str

    @property
    def errors(self) -> type[Exception]:
        """The class of the driver's exceptions."""

    def connect(self, **parameters: Any) -> Any:
        """A new connection of the driver, where it takes more than the driver's own words; else None."""

    def connected(self, connection: Any) -> None:
        """Set a new connection of the driver up: no transaction is begun but by the two words below."""

    def begin_read(self, session: StatementExecutor) -> None:
        """Begin a snapshot, at once or with the first statement."""

    def begin_write(self, session: StatementExecutor, *, lasting: bool = True) -> None:
        """Begin a transaction as the only writer, at once or with the first statement.

        What it reads is all that others have committed.
        The commit of one that is not `lasting` waits for no disk, where the server lets that be chosen.
        """

    def making(self, connection: Connection) -> AbstractContextManager[None]:
        """Be the only one who changes the schema. On MariaDB each change is for good when it is made."""

    def tidy(self, connection: Connection) -> None:
        """Do what the engine would otherwise do in the way of some commit. Outside a transaction."""

    def durability(self, connection: Connection) -> Durability:
        """Return the durability of a commit on this server."""

    def reason(self, error: Exception) -> str:
        """The slug of why the database could not do it; empty for what is a mistake of ours."""


def this_process() -> str:
    """How a server's list of connections shows this one."""
    return f"pileus@{socket.gethostname()}"


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
