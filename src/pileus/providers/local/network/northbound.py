"""A connection to OVN's northbound database: lazy, back by itself when lost, never keeping a caller for long."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

from ovsdbapp.backend.ovs_idl import connection as ovsdb_connection
from ovsdbapp.backend.ovs_idl import transaction as ovsdb_transaction
from ovsdbapp.exceptions import TimeoutException

from pileus.model.errors import Fault
from pileus.model.threads import once
from pileus.providers.local.network.references import References

TABLES = (
    "Logical_Router",
    "Logical_Router_Policy",
    "Logical_Router_Port",
    "Logical_Router_Static_Route",
    "Gateway_Chassis",
    "NAT",
    "Logical_Switch",
    "Logical_Switch_Port",
    "DHCP_Options",
    "Port_Group",
    "ACL",
    "QoS",
    "Copp",
    "Meter",
    "Meter_Band",
)
UNAVAILABLE: Final = "NetworkEngineUnavailable"
"""Code of the Fault for a server that does not answer."""

_RECONNECT = 1000
"""Milliseconds between attempts to connect again; the library's least."""
_POLL = 0.02
_RACES = 5
"""How often a transaction that met another writer's new row is computed again."""

Notify = Callable[[str, str, Any, Any], None]
"""(event, table, row, row of the changed columns' old values); events are `create`, `update`, `delete`."""


class _Database(ovsdb_connection.OvsdbIdl):  # type: ignore[misc]  # ovsdbapp has no types
    """The library's replica of the database, which calls `hook` on each change; all waits for its return.

    `references` follows the changes as the server sends them: the library's own indexes are of values, and tell
    neither the members of a set nor which of them changed. Servers that send whole rows (before OVS 2.6) are not
    followed; the engine's are newer.
    """

    hook: Notify | None = None
    references: References

    def _Idl__process_update2(self, table: Any, uuid: Any, row_update: Any) -> Any:  # noqa: N802  (ovs offers no other way)
        row = table.rows.get(uuid)
        if "delete" in row_update and row is not None:
            self.references.leave(table.name, uuid, row._data)  # noqa: SLF001  (ovs offers no other way)
        notice = super()._Idl__process_update2(table, uuid, row_update)
        row = table.rows.get(uuid)
        if row is not None:
            self.references.follow(table.name, uuid, row_update, row._data)  # noqa: SLF001  (ovs offers no other way)
        return notice

    def _Idl__clear(self) -> None:  # noqa: N802  (ovs offers no other way)
        super()._Idl__clear()
        self.references.clear()

    def notify(self, event: str, row: Any, updates: Any = None) -> None:
        if self.hook is not None:
            self.hook(event, row._table.name, row, updates)  # noqa: SLF001  (the library offers no other way)

    def answers(self) -> bool:
        """Whether the server is connected and the replica is complete."""
        return bool(self.state == self.IDL_S_MONITORING and self._session.is_connected())


class _Step:
    """One computation inside a transaction, in the form that the library's transaction runs."""

    def __init__(self, database: _Database, work: Callable[[Any, Any], None]) -> None:
        self.idl = database
        self.work = work
        self.result = None

    def run_idl(self, transaction: Any) -> None:
        self.work(self.idl, transaction)

    def post_commit(self, transaction: Any) -> None:
        """Have nothing to do afterwards."""


class Northbound:
    """The database at `remote` (a connection string), for any number of threads; `NAME` and `SCHEMA` say which.

    Every method ends within about `timeout` seconds, by Fault `NetworkEngineUnavailable` when the server does not
    answer. While it does not, one caller at a time waits for it, and the others are refused at once: what needs no
    network must not wait behind all that does.
    """

    NAME: ClassVar[str] = "northbound"
    SCHEMA: ClassVar[str] = "OVN_Northbound"
    TABLES: ClassVar[tuple[str, ...]] = TABLES

    def __init__(self, remote: str, timeout: float = 5.0) -> None:
        self._remote = remote
        self._timeout = timeout
        self._lock = threading.Lock()
        self._connecting: threading.Thread | None = None
        self._connection: ovsdb_connection.Connection | None = None
        self._hook: Notify | None = None
        self._silent = False
        self._turn = threading.Lock()
        self.references = References()
        """The index of the tables that `read` yields; it stands still with them."""

    def notify(self, hook: Notify) -> None:
        """From now on, while connected, call `hook` on every change; it must return at once."""
        self._hook = hook
        with contextlib.suppress(Fault), self.read():
            pass

    @contextlib.contextmanager
    def read(self) -> Iterator[Any]:
        """The tables (by name, each with `rows` by UUID), which stand still meanwhile. Raises Fault."""
        with self._asking(), self._answering(time.monotonic() + self._timeout) as connection:
            yield connection.idl.tables

    def transact(self, work: Callable[[Any, Any], None]) -> None:
        """Commit what `work` (database, transaction) writes, all or nothing. Raises Fault and what `work` raises.

        `work` is called again when what it read has changed before the commit; it must only compute. A call that
        ended in `NetworkEngineUnavailable` may yet be committed when the server answers again.
        """
        with self._asking():
            self._transact(work)

    def _transact(self, work: Callable[[Any, Any], None]) -> None:
        with self._answering(time.monotonic() + self._timeout) as connection:
            database = connection.idl
        for attempt in range(1, _RACES + 1):
            transaction = ovsdb_transaction.Transaction(
                _Step(database, work), connection, self._timeout, check_error=True, log_errors=False
            )
            transaction.add(_Step(database, work))
            try:
                transaction.commit()
            except TimeoutException as error:
                raise self._unavailable("no answer in time") from error
            except RuntimeError as error:
                self._judge(str(error), attempt)
            else:
                return

    def close(self) -> None:
        """Disconnect; the next call connects again."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.stop(self._timeout)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Take one's turn, if the server did not answer the last one who asked. Raises Fault when it is another's."""
        alone = self._silent
        if alone and not self._turn.acquire(blocking=False):
            raise self._unavailable("it does not answer")
        try:
            yield
        except Fault as fault:
            self._silent = fault.code == UNAVAILABLE
            raise
        else:
            self._silent = False
        finally:
            if alone:
                self._turn.release()

    def _judge(self, message: str, attempt: int) -> None:
        """Return when the transaction is worth computing again; raises Fault."""
        if "timed out" in message:
            raise self._unavailable(message)
        # Another writer made the same row first: the replica has, or soon gets, that row.
        raced = "duplicate uuid" in message or "constraint violation" in message
        if not raced or attempt == _RACES:
            raise Fault("NetworkEngineRefused", message)
        time.sleep(_POLL)

    def _unavailable(self, why: str) -> Fault:
        return Fault(UNAVAILABLE, f"the {self.NAME} database at {self._remote}: {why}")

    @contextlib.contextmanager
    def _answering(self, until: float) -> Iterator[ovsdb_connection.Connection]:
        """The connection, its lock held and the server connected. Raises Fault after `until` (monotonic)."""
        connection = self._connected(until)
        while True:
            if not connection.lock.acquire(timeout=max(0.0, until - time.monotonic())):
                raise self._unavailable("it is busy, or does not answer")
            try:
                if connection.idl.answers():
                    yield connection
                    return
            finally:
                connection.lock.release()
            if time.monotonic() > until:
                raise self._unavailable("not connected")
            time.sleep(_POLL)

    def _connected(self, until: float) -> ovsdb_connection.Connection:
        """The connection, made first if there is none. Raises Fault."""
        with self._lock:
            if self._connection is not None:
                return self._connection
            if self._connecting is None or not self._connecting.is_alive():
                # The library waits without bound for a server that accepts and then says nothing.
                self._connecting = once(self.NAME, self._connect)
            connecting = self._connecting
        connecting.join(max(0.0, until - time.monotonic()))
        connection = self._connection_made()
        if connection is None:
            raise self._unavailable("cannot connect")
        return connection

    def _connection_made(self) -> ovsdb_connection.Connection | None:
        with self._lock:
            return self._connection

    def _connect(self) -> None:
        try:
            database = _Database.from_server(self._remote, self.SCHEMA, helper_tables=self.TABLES)
            database.hook = self._changed
            self.references.clear()
            database.references = self.references
            database._session.reconnect.set_backoff(_RECONNECT, _RECONNECT)  # noqa: SLF001  (ovs offers no other way)
            connection = ovsdb_connection.Connection(database, self._timeout)
            connection.start()
        except Exception:  # noqa: BLE001  (the library raises bare ones; who waits sees that there is no connection)
            return
        with self._lock:
            self._connection = connection

    def _changed(self, event: str, table: str, row: Any, old: Any) -> None:
        if self._hook is not None:
            self._hook(event, table, row, old)
