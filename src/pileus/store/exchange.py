"""Statements and their answers in one round trip, on a connection of psycopg's.

psycopg's own pipelines look at the socket after each statement, which the server is woken by. Here all are written into
libpq's buffer first. Statements are prepared under names of our own.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.waiting import Ready, Wait

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from psycopg.pq.abc import PGconn, PGresult

PREPARED = 400
"""Statements that a connection has prepared at most: texts for lists of each length are many."""

_TYPES = {bool: 16, int: 20, float: 701}
"""PostgreSQL's number of the type of a value; it finds out by itself what a text, or None, is."""


class Answer:
    """The result of a statement, as `StatementResult` reads it."""

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def fetchall(self) -> list[Any]:
        """Every row."""
        return self._rows

    def fetchone(self) -> Any:
        """The first row, None without one."""
        return self._rows[0] if self._rows else None

    def close(self) -> None:
        """Every row is here already."""


class Exchange:
    """The statements that one connection has prepared, and how it is given many at once."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._transformer = Transformer(connection)
        self._names: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self._prepared_count = 0

    def __call__(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> Answer:
        """Execute them in order; the answer to the last one. Raises psycopg.Error as the first that fails does.

        Within a transaction: what comes after one that fails is not executed.
        """
        pgconn = self._connection.pgconn
        encoded = [(text, *_encoded(values)) for text, values in statements]
        new_names: dict[tuple[str, tuple[int, ...]], bytes] = {}
        pgconn.enter_pipeline_mode()
        try:
            for text, values, types in encoded:
                self._write(pgconn, text, values, types, new_names)
            pgconn.pipeline_sync()
            results = self._connection.wait(_results(pgconn))
        finally:
            with contextlib.suppress(psycopg.Error):
                pgconn.exit_pipeline_mode()
        for result in results:
            if result.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE):
                raise psycopg.errors.error_from_result(result)
        if pgconn.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError("the connection to the server is lost")
        self._names.update(new_names)
        return self._answer(results[-1])

    def _write(
        self,
        pgconn: PGconn,
        text: str,
        values: list[bytes | None],
        types: tuple[int, ...],
        new_names: dict[tuple[str, tuple[int, ...]], bytes],
    ) -> None:
        key = (text, types)
        name = self._names.get(key) or new_names.get(key)
        if name is None and self._prepared_count < PREPARED:
            # Of statements that failed together some were prepared: their names are not given again.
            self._prepared_count += 1
            name = new_names[key] = b"pileus%d" % self._prepared_count
            pgconn.send_prepare(name, _numbered(text), types)
        if name is None:
            pgconn.send_query_params(_numbered(text), values, types)
        else:
            pgconn.send_query_prepared(name, values)

    def _answer(self, result: PGresult) -> Answer:
        if not result.nfields:
            return Answer([], result.command_tuples or 0)
        self._transformer.set_pgresult(result)
        return Answer(self._transformer.load_rows(0, result.ntuples, tuple), result.ntuples)


def _encoded(values: tuple[Any, ...]) -> tuple[list[bytes | None], tuple[int, ...]]:
    """Values as the server reads them, and the numbers of their types."""
    out: list[bytes | None] = []
    types: list[int] = []
    for value in values:
        if value is None:
            out.append(None)
        elif isinstance(value, str):
            if "\0" in value:
                raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
            out.append(value.encode())
        else:
            out.append(repr(value).encode())
        types.append(_TYPES.get(type(value), 0))
    return out, tuple(types)


def _numbered(text: str) -> bytes:
    """The statement with its places numbered, as the server has them."""
    head, *parts = text.split("%s")
    numbered = head + "".join(f"${number}{part}" for number, part in enumerate(parts, 1))
    return numbered.replace("%%", "%").encode()


def _results(pgconn: PGconn) -> Generator[Wait, Ready | int, list[PGresult]]:
    """The results of all that was written, once all of it was sent and answered."""
    results: list[PGresult] = []
    while True:
        ready = yield Wait.RW if pgconn.flush() else Wait.R
        if not ready & Ready.R:
            continue
        pgconn.consume_input()
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                if pgconn.status == pq.ConnStatus.BAD:
                    return results
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                return results
            else:
                results.append(result)
