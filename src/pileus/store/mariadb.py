"""MariaDB by PyMySQL: one writer at a time by a row that is locked until its transaction ends."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import CR, ER

from pileus.model import disk
from pileus.model.errors import Unavailable
from pileus.store.dialect import ANSWER, CONNECT, STOPPED, TURN
from pileus.store.probe import DatabaseProbe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection

    from pileus.store.dialect import Durability
    from pileus.store.direct import StatementExecutor

_REASONS = {
    0: "unreachable",  # PyMySQL's own: the connection was closed before
    ER.CON_COUNT_ERROR: "busy",
    ER.OUT_OF_RESOURCES: "busy",
    ER.DBACCESS_DENIED_ERROR: "rights",
    ER.ACCESS_DENIED_ERROR: "login",
    ER.TABLEACCESS_DENIED_ERROR: "rights",
    ER.COLUMNACCESS_DENIED_ERROR: "rights",
    ER.SPECIFIC_ACCESS_DENIED_ERROR: "rights",
    ER.BAD_DB_ERROR: "missing",
    ER.SERVER_SHUTDOWN: "unreachable",
    ER.NEW_ABORTING_CONNECTION: "unreachable",
    ER.LOCK_WAIT_TIMEOUT: "locked",
    ER.LOCK_DEADLOCK: "busy",
    ER.CHECKREAD: "busy",
    ER.DISK_FULL: disk.FULL,
    ER.RECORD_FILE_FULL: disk.FULL,
    ER.OPTION_PREVENTS_STATEMENT: disk.READ_ONLY,
    ER.QUERY_INTERRUPTED: "slow",
    1792: disk.READ_ONLY,  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    1836: disk.READ_ONLY,  # ER_READ_ONLY_MODE
    1194: "damaged",  # ER_CRASHED_ON_USAGE
    1927: "unreachable",  # ER_CONNECTION_KILLED
    1969: "slow",  # ER_STATEMENT_TIMEOUT
    CR.CR_CONNECTION_ERROR: "unreachable",
    CR.CR_CONN_HOST_ERROR: "unreachable",
    CR.CR_UNKNOWN_HOST: "unreachable",
    CR.CR_SERVER_GONE_ERROR: "unreachable",
    CR.CR_SERVER_LOST: "unreachable",
    CR.CR_SSL_CONNECTION_ERROR: "unreachable",
}
"""MariaDB's error numbers that are nobody's mistake here."""

_NO_SPACE = 28
_SESSION = (
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    f"lock_wait_timeout = {TURN}",
    f"innodb_lock_wait_timeout = {TURN}",
    f"idle_transaction_timeout = {STOPPED}",
    "sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
)


_Connection: Any = pymysql.Connection


class Watched(_Connection):  # type: ignore[misc]  # the stubs lack the methods that are taken over here
    """A connection on which nobody waits for a server that is silent.

    PyMySQL reads packets, and a query's rows, by the methods that are taken over here; nobody else calls them.
    """

    probe: DatabaseProbe | None = None
    _waits = False

    def _read_packet(self, *arguments: Any, **named: Any) -> Any:
        if self._waits:
            return super()._read_packet(*arguments, **named)
        with self._waiting():
            return super()._read_packet(*arguments, **named)

    def _read_query_result(self, *arguments: Any, **named: Any) -> Any:
        with self._waiting():
            return super()._read_query_result(*arguments, **named)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Wait for the server, all rows being one wait. Raises OperationalError, and is closed, when that is silent."""
        if self.probe is None:
            yield
            return
        if self.probe.silent:
            self._force_close()
            raise pymysql.OperationalError(CR.CR_SERVER_LOST, "the server does not answer")
        self._waits = True
        try:
            with self.probe.waiting(self._sock):
                yield
        finally:
            self._waits = False


class Mariadb:
    """MariaDB 10.6 or newer. The URL's query has PyMySQL's options: ssl_ca, read_default_file and more."""

    errors = pymysql.MySQLError
    alone = False
    direct = False
    pipelined = False
    file = ""

    def __init__(self, url: URL) -> None:
        self.sql = url.set(drivername="mariadb+pymysql")
        self._database = url.database
        self._parameters: dict[str, Any] = {}
        self._probe = DatabaseProbe(self._answers)
        self.options: dict[str, Any] = {
            "connect_args": {
                "charset": "utf8mb4",
                "connect_timeout": CONNECT,
                "read_timeout": ANSWER,
                "write_timeout": ANSWER,
            }
        }

    def connect(self, **parameters: Any) -> Watched:
        """A new connection. Raises OperationalError, at once while the server is known to be silent."""
        self._parameters = parameters
        if self._probe.silent:
            raise pymysql.OperationalError(CR.CR_CONN_HOST_ERROR, "the server does not answer")
        connection = Watched(**parameters, defer_connect=True)
        connection.probe = self._probe
        connection.connect()
        return connection

    def _answers(self) -> bool:
        """Whether the server lets somebody in, or says why not."""
        bounded = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), CONNECT)
        try:
            pymysql.connect(**{**self._parameters, **bounded}).close()
        except pymysql.MySQLError as error:
            return self.reason(error) != "unreachable"
        return True

    def connected(self, connection: Any) -> None:
        """Set the session; a transaction begins with the first statement after a commit."""
        with connection.cursor() as cursor:
            cursor.execute(_SESSION[0])
            cursor.execute(f"SET SESSION {', '.join(_SESSION[1:])}")
        connection.commit()

    def begin_read(self, session: StatementExecutor) -> None:
        """A snapshot from here on."""
        session.begin("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def begin_write(self, session: StatementExecutor, *, lasting: bool = True) -> None:
        """Wait for the turn. A locking read makes no snapshot: the first plain one does, after the lock is had."""
        turn = "SELECT value FROM meta WHERE name = 'incarnation' FOR UPDATE"
        if session.exec_driver_sql(turn).first() is None:
            raise Unavailable("The cloud's database lacks the row that writers lock.", noun="store", reason="damaged")

    @contextmanager
    def making(self, connection: Connection) -> Iterator[None]:
        """A named lock, for a change of the schema ends every transaction."""
        name = f"pileus:{self._database}"[:64]
        if connection.exec_driver_sql("SELECT GET_LOCK(%s, %s)", (name, ANSWER - CONNECT)).scalar() != 1:
            raise Unavailable("Another process is changing the database's schema.", noun="store", reason="locked")
        connection.commit()
        try:
            yield
        finally:
            if not connection.invalidated:
                connection.exec_driver_sql("SELECT RELEASE_LOCK(%s)", (name,))

    def tidy(self, connection: Connection) -> None:
        """The server does so by itself."""

    def durability(self, connection: Connection) -> Durability:
        """By the server's settings; with a binary log, a transaction that is not in it is undone after a power cut."""
        ask = "SELECT @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog"
        flush, logged, synced = connection.exec_driver_sql(ask).one()
        if flush == 0:
            return "none"
        return "full" if flush in (1, 3) and (not logged or synced == 1) else "normal"

    def reason(self, error: Exception) -> str:
        """By MariaDB's number."""
        code = error.args[0] if error.args and isinstance(error.args[0], int) else -1
        if code == ER.GET_ERRNO:  # the storage engine's own: its text ends with the operating system's number
            return disk.FULL if f"{_NO_SPACE} " in str(error.args[-1]) else disk.FAILED
        return _REASONS.get(code, "")
