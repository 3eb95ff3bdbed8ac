"""A transaction on PostgreSQL: statements without an answer are sent together with the next one that has an answer.

Each statement that is executed by itself costs a round trip, for which the writer's turn is held. The BEGIN is sent
with the first statement, and the last of those that are deferred with the COMMIT.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError, IntegrityError

from pileus.store.direct import StatementResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from pileus.store.direct import StatementText, Texts

ROWS = 16
"""Rows of one INSERT, or UPDATE, at most: a text is kept, and prepared, for each number of them."""

_VALUES = re.compile(r"(?s)(INSERT INTO .*? VALUES )(\([^()]*\))( ON CONFLICT .*)?")
_PLACE = r"%s(?:::\w+)?"
_CHANGES = rf"\w+={_PLACE}(?:, \w+={_PLACE})*"
_CHANGE = re.compile(rf"UPDATE (\w+) SET ({_CHANGES}) WHERE \1\.uuid = ({_PLACE})")  # noqa: S608  (a pattern)


class Pipelined:
    """A transaction's connection. What is deferred is sent before whatever is executed next."""

    first: Any = None

    def __init__(self, connection: Connection, texts: Texts, errors: type[Exception]) -> None:
        self._connection = connection
        self._driver: Any = connection.connection.driver_connection
        self._texts = texts
        self._errors = errors
        self._deferred: list[tuple[str, tuple[Any, ...]]] = []
        self._refusals: dict[str, Exception] = {}
        """The errors to raise where a row of a table is refused, by the table's name."""

    def begin(self, statement: str, /) -> None:
        """Execute it with the next statement."""
        self._deferred.append((statement, ()))

    def execute(self, statement: Any, parameters: Any = None, /) -> Any:
        """As SQLAlchemy's connection does. Raises its errors."""
        many = isinstance(parameters, list)
        first = (parameters[0] if many else parameters) or {}
        text = self._texts.of(statement, first)
        if text is None or (many and len(parameters) > 1):
            self.flush()
            return self._connection.execute(statement, parameters)
        return StatementResult(self._send(text.text, text.arguments(first)), text.row)

    def defer(self, statement: Any, parameters: Any = None, /, *, refusal: Exception | None = None) -> None:
        """Execute it, for each of a list of parameters, before the next statement, or before the commit.

        `refusal` is raised then, where the database refuses the row of some deferred statement by a unique index.
        """
        rows = parameters if isinstance(parameters, list) else [parameters or {}]
        text = self._texts.of(statement, rows[0])
        if text is None:
            self.execute(statement, parameters)
            return
        if refusal is not None:
            self._refusals.setdefault(statement.table.name, refusal)
        self._deferred += _together(text, [text.arguments(row) for row in rows])

    def exec_driver_sql(self, statement: str, parameters: Any = None, /) -> Any:
        """As SQLAlchemy's connection does."""
        self.flush()
        return self._connection.exec_driver_sql(statement, parameters)

    def flush(self) -> None:
        """Execute what is deferred."""
        if self._deferred:
            text, arguments = self._deferred.pop()
            self._send(text, arguments)

    def commit(self) -> None:
        """Execute what is deferred, and commit."""
        if self._deferred:
            self._send("COMMIT", ())

    def _send(self, text: str, arguments: tuple[Any, ...]) -> Any:
        """Execute what is deferred, and this; its answer."""
        deferred, self._deferred = self._deferred, []
        try:
            return self._driver.exchange([*_joined(deferred), (text, arguments)])
        except self._errors as error:
            raise self._refused(text, error) from error

    def _refused(self, text: str, error: Exception) -> Exception:
        """The error to raise; a connection that broke is used no more."""
        words: Any = self._connection.dialect
        lost = words.is_disconnect(error, self._driver, None)
        if lost:
            self._connection.invalidate(error)
        public_error = DBAPIError.instance(
            text, None, error, self._errors, hide_parameters=True, connection_invalidated=lost
        )
        # The driver's errors alone have a `diag`; it names the table of a refused row.
        integrity = isinstance(public_error, IntegrityError)
        table = getattr(getattr(error, "diag", None), "table_name", None) if integrity else None
        return self._refusals.get(table or "", public_error)


def _joined(deferred: Sequence[tuple[str, tuple[Any, ...]]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The statements in order; changes of several rows that follow each other, in the same columns, as one."""
    for text, run in groupby(deferred, key=itemgetter(0)):
        rows = [values for _, values in run]
        change = _CHANGE.fullmatch(text) if len(rows) > 1 else None
        if change is None or len({values[-1] for values in rows}) < len(rows):
            yield from ((text, values) for values in rows)
            continue
        while rows:
            size = min(ROWS, 1 << (len(rows).bit_length() - 1))
            yield _change(change, size) if size > 1 else text, tuple(chain.from_iterable(rows[:size]))
            rows = rows[size:]


@cache
def _change(change: re.Match[str], size: int) -> str:
    """The text of an UPDATE of `size` rows by their uuids."""
    table, changes, key = change.groups()
    columns, places = zip(*(each.split("=", 1) for each in changes.split(", ")), strict=True)
    # A value without a type, of which there may be none but NULL, would be a text to the list of rows.
    row = f"({', '.join(place if '::' in place else f'{place}::FLOAT8' for place in (*places, key))})"
    names = ", ".join(f"c{number}" for number in range(len(columns) + 1))
    sets = ", ".join(f"{column}=rows.c{number}" for number, column in enumerate(columns))
    rows = f"(VALUES {', '.join([row] * size)}) AS rows ({names})"
    return f"UPDATE {table} SET {sets} FROM {rows} WHERE {table}.uuid = rows.c{len(columns)}"  # noqa: S608  (of our own texts)


def _together(text: StatementText, rows: Sequence[tuple[Any, ...]]) -> list[tuple[str, tuple[Any, ...]]]:
    """The statement for each of these rows of values; the rows of an INSERT are one statement, up to `ROWS`."""
    if len(rows) == 1 or (insert := _VALUES.fullmatch(text.text)) is None:
        return [(text.text, values) for values in rows]
    head, place, tail = insert.groups("")
    parts = [rows[first : first + ROWS] for first in range(0, len(rows), ROWS)]
    return [(head + ", ".join([place] * len(part)) + tail, tuple(chain.from_iterable(part))) for part in parts]
