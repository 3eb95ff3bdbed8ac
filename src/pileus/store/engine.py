"""Connections and transactions: one writer at a time on every kind of database, and snapshots for readers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pileus.model import bounds
from pileus.model.errors import Unavailable
from pileus.store import trouble
from pileus.store.dialect import TURN, dialect_of
from pileus.store.direct import Direct, Immediate, Texts
from pileus.store.files import DatabaseFiles
from pileus.store.pipelined import Pipelined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from pileus.store.direct import StatementExecutor

UNTIDY = 64
"""Commits after which somebody is to call `tidy`."""

BRIEF = 1.0
"""Seconds that a writer waits for the database's own lock before it counts as held up by somebody else's."""

PATIENCE = 10.0
"""Seconds that other writers of this process wait behind one that is held up."""

_POLL = 0.25
"""Seconds between looks at whether the writer whose turn it is has been held up."""

FirstStatements = Callable[["StatementExecutor"], object]
"""Executes the first statements of a transaction, which may happen twice: its connection may have died unused."""


def _no_statement(_session: StatementExecutor) -> None:
    """Leave the first statement to the block."""


_RANK = {"none": 0, "normal": 1, "full": 2}


class Database:
    """Opens `url`. `sync` full: a commit survives a power cut; normal: it survives the death of every process.

    `trouble` is what the database could not be used for when that was tried last; None since it could be written.
    `replaced`: the database's file or its log was deleted, or another one took its place; nothing is read or written
    from then on.
    Raises InvalidValue for a URL that is none.
    """

    def __init__(self, url: str, *, sync: str = "normal") -> None:
        self.dialect = dialect_of(url, sync)
        options: dict[str, Any] = {**self.dialect.options}
        if not self.dialect.alone:
            options |= {"pool_size": 16, "max_overflow": 32}
        # What is stored may be secret: it is no part of an error's text.
        self.sql = create_engine(self.dialect.sql, hide_parameters=True, **options)
        self._texts = Texts(self.sql.dialect) if self.dialect.direct else None
        self.trouble: Unavailable | None = None
        self.replaced = False
        self._files = DatabaseFiles(self.dialect.file) if self.dialect.file else None
        self._sync = sync
        self._lasting = {yes: partial(self.dialect.begin_write, lasting=yes) for yes in (True, False)}
        self.untidy = threading.Event()
        """Set when `tidy` is to be called."""
        self._commits = 0
        # Writers of one process queue here, with no connection each; the database's own lock is between processes.
        self._writing = threading.RLock()
        self._behind = threading.BoundedSemaphore(bounds.HELD_UP_WRITERS.most)
        self._asked = 0.0
        """When the writer whose turn it is began to wait for the database's own lock; 0 once it has that."""
        event.listen(self.sql, "connect", self._connected)
        event.listen(self.sql, "do_connect", self._connect)

    def _connect(self, _dialect: object, _record: object, _words: object, parameters: dict[str, Any]) -> Any:
        """A connection of the driver's, where the dialect makes its own; None otherwise."""
        return self.dialect.connect(**parameters)

    def _connected(self, connection: Any, _record: object) -> None:
        # Before its first statement: that would make a new log where the old one was deleted.
        self._look()
        self.dialect.connected(connection)
        if self._files is not None:
            self._files.watch()
        self._look()

    def _look(self, *, committed: bool = False) -> None:
        """Raise Unavailable once the database's file, or its log, is not the one that was opened.

        Writes then go to a file that has no name any more, and reads come from there. The content of a deleted
        log is copied into the database's file at once: so a write that was `committed` may be kept.
        """
        loss = "" if self._files is None else self._files.loss()
        if not loss and not self.replaced:
            return
        first, self.replaced = not self.replaced, True
        self.trouble = trouble.unavailable("replaced")
        if self._files is not None and loss == "log":
            if first:
                self._files.rescue()
            if committed:
                raise trouble.unknown()
        raise self.trouble

    @contextmanager
    def read(self, first: FirstStatements = _no_statement) -> Iterator[Connection]:
        """A snapshot; nothing that is done in it is kept. Raises Unavailable.

        `first` executes the first statements; a server that takes many at once is given them with the BEGIN. Its result
        is `first` of the statement executor.
        """
        if self.dialect.alone:
            with self._writing, self._telling(), closing(self._begun(self.dialect.begin_read, first)) as connection:
                yield connection
        else:
            with self._telling(), closing(self._begun(self.dialect.begin_read, first)) as connection:
                yield connection

    def look(self, statement: FirstStatements) -> Any:
        """The result of `statement`, which executes a single one. Raises Unavailable."""
        if not self.dialect.pipelined:
            with self.read(statement) as connection:
                return self.direct(connection).first
        # Outside a transaction a statement is a snapshot, for one round trip in the place of two.
        with self._telling(), closing(self._begun(_no_statement, statement)) as connection:
            return self.direct(connection).first

    @contextmanager
    def write(self, *, lasting: bool = True, first: FirstStatements = _no_statement) -> Iterator[Connection]:
        """One transaction, alone among writers; committed when the block ends, rolled back when it raises.

        `first` executes the first statements, as in `read`.

        One that is not `lasting` need not be waited for by the disk: a crash of the server may take the last such ones
        back, and never one that a lasting one came after.

        Raises Unavailable, and then nothing was changed; but when the server went away during the commit itself, that
        is not known, and its reason is `unknown`.
        """
        with self._turn(), self._telling(), closing(self._begun_write(first, lasting=lasting)) as connection:
            yield connection
            with self._telling(committing=True):
                self.direct(connection).commit()
                connection.commit()
            # After the commit: a file that is deleted later has what was acknowledged.
            self._look(committed=True)
            self._commits += 1
            if self._commits >= UNTIDY:
                self.untidy.set()
        self.trouble = None

    @contextmanager
    def making(self) -> Iterator[Connection]:
        """As `write`, to change the schema; on a server that knows no such transaction, each change is kept at once."""
        with self._turn(), self._telling(), self.sql.connect() as connection:
            connection.begin()
            with self.dialect.making(connection):
                yield connection
                connection.commit()

    def tidy(self) -> None:
        """Do what would otherwise be done in the way of some commit. Raises Unavailable."""
        self.untidy.clear()
        self._commits = 0
        if self.dialect.alone:
            return
        with self._telling(), self.sql.connect() as connection:
            self.dialect.tidy(connection)

    def check(self) -> None:
        """Raise Unavailable when the server would lose what `sync` promises to keep."""
        with self._telling(), self.sql.connect() as connection:
            server_durability = self.dialect.durability(connection)
        if _RANK[server_durability] < _RANK[self._sync]:
            raise trouble.undurable(self._sync)

    def direct(self, connection: Connection) -> StatementExecutor:
        """The way to execute statements that are built once, within a transaction that was begun above."""
        session: StatementExecutor = connection.info["session"]
        return session

    def _session(self, connection: Connection) -> StatementExecutor:
        if self._texts is None:
            return Immediate(connection)
        executor = Pipelined if self.dialect.pipelined else Direct
        return executor(connection, self._texts, self.dialect.errors)

    def _begun_write(self, first: FirstStatements, *, lasting: bool) -> Connection:
        """A connection in a transaction that is alone among writers."""
        self._asked = time.monotonic()
        try:
            return self._begun(self._lasting[lasting], first)
        finally:
            self._asked = 0.0

    def _begun(self, begin: Callable[[StatementExecutor], None], first: FirstStatements) -> Connection:
        """A connection in a transaction. One that died while nobody used it is no trouble: there are others."""
        if self.replaced:
            self._look()
        for again in (True, False):
            connection = self.sql.connect()
            try:
                connection.begin()
                session = connection.info["session"] = self._session(connection)
                begin(session)
                session.first = first(session)
                session.flush()
            except DBAPIError as error:
                connection.close()
                if again and error.connection_invalidated:
                    continue
                raise
            except BaseException:
                connection.close()
                raise
            return connection
        raise AssertionError

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._writing.acquire(blocking=False):
            self._wait()
        try:
            yield
        finally:
            self._writing.release()

    def _wait(self) -> None:
        """Wait for this process's other writers. Raises Unavailable.

        While the one whose turn it is waits for another program's lock, few wait behind it, and not for long: each
        holds a thread that could answer somebody who only reads.
        """
        began, behind = time.monotonic(), False
        try:
            while not self._writing.acquire(timeout=_POLL):
                now, waiting_since = time.monotonic(), self._asked
                if waiting_since and now - waiting_since > BRIEF:
                    behind = behind or self._behind.acquire(blocking=False)
                    if not behind or now - began > PATIENCE:
                        raise trouble.unavailable("locked")
                if now - began > 2 * TURN:
                    raise trouble.unavailable("busy")  # too long behind others of this process
        finally:
            if behind:
                self._behind.release()

    @contextmanager
    def _telling(self, *, committing: bool = False) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self.dialect.errors) as error:
            public_error = trouble.told(error, self.dialect, committing=committing)
            if public_error is None:
                raise
            if isinstance(public_error, Unavailable):
                self.trouble = public_error
            raise public_error from error

    def abandon(self) -> bool:
        """Leave files that were deleted or replaced as the next process needs them, for a process that ends at once.

        A deleted log is copied into the database's file; the log of a database's file that was replaced is removed.
        Returns whether all that was committed is in the database's file, or in a log that is still beside it.
        """
        if self._files is None:
            return True
        if self._files.loss() == "database":
            self._files.abandon()
            return False
        return self._files.rescue()

    def close(self) -> None:
        """Close every connection."""
        self.sql.dispose()
        if self._files is not None:
            self._files.close()
