"""PostgreSQL by psycopg 3: one writer at a time by an advisory lock that ends with its transaction."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from pileus.model import disk
from pileus.store.dialect import ANSWER, CONNECT, STOPPED, TURN, this_process
from pileus.store.exchange import Exchange
from pileus.store.probe import DatabaseProbe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection

    from pileus.store.dialect import Durability
    from pileus.store.direct import StatementExecutor

WRITER = 0x50494C455553
"""The advisory lock of whoever writes: `PILEUS`. A lock of this kind is one database's, so two clouds never meet."""

_TURN = f"SELECT pg_advisory_xact_lock({WRITER})"

_REASONS = {
    "08": "unreachable",  # connection exceptions
    "25006": disk.READ_ONLY,  # read_only_sql_transaction: a standby, perhaps
    "25P03": "slow",  # idle_in_transaction_session_timeout
    "28": "login",  # invalid authorization
    "3D000": "missing",  # invalid_catalog_name
    "40": "busy",  # serialization failure, deadlock
    "42501": "rights",  # insufficient_privilege
    "53100": disk.FULL,
    "53": "busy",  # too many connections, out of memory
    "55P03": "locked",  # lock_not_available: lock_timeout
    "57014": "slow",  # query_canceled
    "57P": "unreachable",  # shut down, crashed, starting
    "58": disk.FAILED,  # system_error, io_error
    "XX001": "damaged",  # data_corrupted
    "XX002": "damaged",  # index_corrupted
}
"""SQLSTATEs (PostgreSQL's Appendix A), or what they begin with, that are nobody's mistake here."""

_SESSION = {
    "lock_timeout": f"{TURN}s",
    "idle_in_transaction_session_timeout": f"{STOPPED}s",
    "default_transaction_isolation": r"read\ committed",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class Watched(psycopg.Connection[Any]):
    """A connection on which nobody waits for a server that is silent."""

    probe: DatabaseProbe | None = None
    exchange: Exchange

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
        """Wait for the server. Raises OperationalError, and is closed, when that is silent."""
        if self.probe is None:
            return super().wait(gen, *arguments, **named)
        if self.probe.silent:
            self.pgconn.finish()
            raise psycopg.OperationalError("the server does not answer")
        with self.probe.waiting(self.pgconn.socket):
            return super().wait(gen, *arguments, **named)


class Postgresql:
    """PostgreSQL 13 or newer. The URL's query has libpq's options: sslmode, sslrootcert and more."""

    errors = psycopg.Error
    alone = False
    direct = True
    pipelined = True
    file = ""

    def __init__(self, url: URL) -> None:
        self.sql = url.set(drivername="postgresql+psycopg")
        url_options = url.query.get("options", "")
        settings = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
        defaults: dict[str, Any] = {
            "application_name": this_process(),
            "connect_timeout": CONNECT,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": ANSWER * 1000,
        }
        arguments = {name: value for name, value in defaults.items() if name not in url.query}
        words = {**arguments, "options": f"{settings} {url_options}".strip()}
        # Values have places in a statement's text, no names: so a text can go to the driver as it is.
        self.options = {"connect_args": words, "paramstyle": "format"}
        self._parameters: dict[str, Any] = {}
        self._probe = DatabaseProbe(self._answers)

    def connect(self, **parameters: Any) -> psycopg.Connection[Any]:
        """A new connection. Raises OperationalError, at once while the server is known to be silent."""
        self._parameters = parameters
        if self._probe.silent:
            raise psycopg.OperationalError("the server does not answer")
        connection = Watched.connect(**parameters)
        connection.probe = self._probe
        return connection

    def _answers(self) -> bool:
        """Whether the server lets somebody in, or says why not."""
        try:
            psycopg.connect(**self._parameters).close()
        except psycopg.Error as error:
            return self.reason(error) != "unreachable"
        return True

    def connected(self, connection: Any) -> None:
        """Let nobody begin a transaction but the words below: each is one round trip with what it waits for."""
        connection.autocommit = True
        # psycopg prepares nothing by itself: with a rollback it would forget the statements of the exchange too.
        connection.prepare_threshold = None
        connection.exchange = Exchange(connection)

    def begin_read(self, session: StatementExecutor) -> None:
        """A snapshot from the first statement on."""
        session.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def begin_write(self, session: StatementExecutor, *, lasting: bool = True) -> None:
        """Wait for the turn. At READ COMMITTED, the statements after this one see whatever was committed before it."""
        session.begin("BEGIN")
        if not lasting:
            session.begin("SET LOCAL synchronous_commit TO off")
        session.begin(_TURN)

    @contextmanager
    def making(self, connection: Connection) -> Iterator[None]:
        """A transaction holds changes of the schema too."""
        connection.exec_driver_sql(f"BEGIN; {_TURN}")
        yield

    def tidy(self, connection: Connection) -> None:
        """The server does so by itself."""

    def durability(self, connection: Connection) -> Durability:
        """By the server's settings: a commit that is not waited for may be lost with the server's processes."""
        ask = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        fsync, commit = connection.exec_driver_sql(ask).one()
        if commit == "off":
            return "none"
        return "full" if fsync == "on" else "normal"

    def reason(self, error: Exception) -> str:
        """By SQLSTATE; a connection that was lost, or not to be had, may have none."""
        state = getattr(error, "sqlstate", None) or ""
        if not state and isinstance(error, psycopg.OperationalError):
            return _unconnected(str(error))
        return next((_REASONS[state[:length]] for length in (5, 3, 2) if state[:length] in _REASONS), "")


def _unconnected(message: str) -> str:
    """Why there is no connection: libpq tells in words alone."""
    if "authentication failed" in message or "no pg_hba.conf entry" in message or "no password" in message:
        return "login"
    if "FATAL:" in message and "database" in message and "does not exist" in message:
        return "missing"
    if "too many c" in message or "remaining connection slots" in message:
        return "busy"
    return "unreachable"
