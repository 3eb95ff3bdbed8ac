"""Statements that are executed again and again, given to the driver as the text that they became before.

SQLAlchemy keeps what it compiled, but works out at every execution how to bind its values and what comes back: 16 to
60 µs around the 1 µs that SQLite takes for a row. Where a driver takes and gives values as they are, that can be saved.
"""

from __future__ import annotations

from collections import namedtuple
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from sqlalchemy import BindParameter, Float, Numeric, SelectBase
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.sql.visitors import iterate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Executable
    from sqlalchemy import Dialect as Words
    from sqlalchemy.sql.compiler import SQLCompiler

LONGEST = 512
"""Values of an IN list up to which texts are kept: one for each power of two."""


class StatementExecutor(Protocol):
    """How a transaction executes its statements: `Direct`, `Pipelined`, or by SQLAlchemy's connection.

    `first` is the result of its first statements, where the transaction was begun with them.
    """

    first: Any

    def begin(self, statement: str, /) -> None:
        """Execute a statement without values that begins the transaction, now or with the first other statement."""

    def execute(self, statement: Any, parameters: Any = None, /) -> Any:
        """Execute it, for each of a list of parameters; what it gave is `StatementResult`, or SQLAlchemy's result."""

    def defer(self, statement: Any, parameters: Any = None, /, *, refusal: Exception | None = None) -> None:
        """Execute it, for each of a list of parameters, now or before the next statement or the commit.

        Raises `refusal`, now or then, where a unique index refuses a row.
        """

    def exec_driver_sql(self, statement: str, parameters: Any = None, /) -> Any:
        """Execute a statement in the database's own words."""

    def flush(self) -> None:
        """Execute what is deferred."""

    def commit(self) -> None:
        """Execute what is deferred; a commit may go with it."""


class StatementResult:
    """The result of a statement, read as SQLAlchemy's results are: rows are named tuples."""

    def __init__(self, cursor: Any, row: Callable[[Any], Any] | None) -> None:
        self._cursor = cursor
        self._row = row or tuple

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        return int(self._cursor.rowcount)

    def all(self) -> list[Any]:
        """Every row."""
        return list(map(self._row, self._cursor.fetchall()))

    def __iter__(self) -> Iterator[Any]:
        return map(self._row, self._cursor.fetchall())

    def scalars(self) -> list[Any]:
        """The first value of every row."""
        return [row[0] for row in self._cursor.fetchall()]

    def first(self) -> Any:
        """The first row, None without one."""
        row = self._cursor.fetchone()
        self._cursor.close()
        return None if row is None else self._row(row)

    def one(self) -> Any:
        """The only row."""
        (row,) = self.all()
        return row

    def scalar(self) -> Any:
        """The first value of the first row, None without one."""
        row = self.first()
        return None if row is None else row[0]


class StatementText:
    """A statement as the driver takes it, for parameters of these names and IN lists of these lengths."""

    def __init__(
        self,
        text: str,
        arguments: Callable[[Mapping[str, Any]], tuple[Any, ...]],
        row: Callable[[Any], Any] | None,
    ) -> None:
        self.text = text
        self.arguments = arguments
        self.row = row


class Texts:
    """The compiled texts of one engine's statements. Only statements that outlive one execution are kept."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._kept: WeakKeyDictionary[Executable, dict[Any, StatementText | None]] = WeakKeyDictionary()
        self._lists: WeakKeyDictionary[Executable, tuple[str, ...]] = WeakKeyDictionary()
        """The names of each statement's IN lists."""

    def of(self, statement: Any, parameters: Mapping[str, Any]) -> StatementText | None:
        """The statement for these parameters; None: SQLAlchemy is to execute it, the first time and some always."""
        texts = self._kept.get(statement)
        if texts is None:
            binds = (each for each in iterate(statement) if isinstance(each, BindParameter))
            self._lists[statement] = tuple({bind.key: None for bind in binds if bind.expanding and bind.required})
            self._kept[statement] = {}
            return None
        key: tuple[object, ...] = tuple(parameters)
        lists = self._lists[statement]
        for name in lists:
            key += (_padded_length(len(parameters[name])),)
        try:
            return texts[key]
        except KeyError:
            texts[key] = self._made(statement, {**parameters, **_padded(parameters, lists)})
            return texts[key]

    def _made(self, statement: Any, parameters: Mapping[str, Any]) -> StatementText | None:
        if any(not 0 < len(parameters[name]) <= LONGEST for name in self._lists[statement]):
            return None
        # As for many rows: the number that a row is given is not asked for.
        compiled = statement.compile(dialect=self._words, column_keys=list(parameters), for_executemany=True)
        if compiled.literal_execute_params or compiled.insert_prefetch or compiled.update_prefetch:
            return None
        row: Callable[[Any], Any] | None = None
        if isinstance(statement, SelectBase):
            columns = statement.selected_columns
            if any(_converts(column.type, self._words) for column in columns):
                return None
            shape: Any = namedtuple("Row", [column.key for column in columns], rename=True)  # type: ignore[misc]  # noqa: PYI024  (made by need)
            row = partial(tuple.__new__, shape)  # its own `_make` is not in C
        elif not statement.is_dml or compiled.effective_returning:
            return None
        expanded = compiled.construct_expanded_state(parameters)
        if expanded.processors or expanded.positiontup is None:
            return None
        arguments = _arguments(compiled, expanded.positiontup, expanded.parameter_expansion, parameters)
        return None if arguments is None else StatementText(expanded.statement, arguments, row)


def _padded_length(length: int) -> int:
    """The length to which an IN list is padded: 0, or the next power of two."""
    return 1 << (length - 1).bit_length() if length else 0


def _padded(parameters: Mapping[str, Any], lists: Iterable[str]) -> dict[str, list[Any]]:
    """These IN lists, padded by their last value, which changes no result: few texts are compiled and prepared."""
    padded: dict[str, list[Any]] = {}
    for name in lists:
        values = list(parameters[name])
        padded[name] = values + values[-1:] * (_padded_length(len(values)) - len(values))
    return padded


_FLOAT8 = 701
"""PostgreSQL's number of the type of floats: SQLAlchemy asks for it before it says whether it converts one."""


def _converts(kind: Any, words: Words) -> bool:
    """Whether SQLAlchemy converts values of this type that the driver gives."""
    code = _FLOAT8 if isinstance(kind, Float | Numeric) else None
    return kind.dialect_impl(words).result_processor(words, code) is not None


def _constants(compiled: SQLCompiler) -> dict[str, Any]:
    """The values that the statement has in it."""
    return {bind.key: bind.effective_value for bind in compiled.bind_names if not bind.required}


def _arguments(
    compiled: SQLCompiler,
    positions: Sequence[str],
    expansion: Mapping[str, Sequence[str]],
    parameters: Mapping[str, Any],
) -> Callable[[Mapping[str, Any]], tuple[Any, ...]] | None:
    """How parameters become the values of the text's places."""
    binds: dict[str, BindParameter[Any]] = {name: bind for bind, name in compiled.bind_names.items()}
    keys = {name: bind.key for name, bind in binds.items()}
    constants = {key: value for key, value in _constants(compiled).items() if key not in parameters}
    within = {part: (keys[name], index) for name, parts in expansion.items() for index, part in enumerate(parts)}
    places: list[tuple[str, int | None]] = [within.get(name) or (keys[name], None) for name in positions]
    if any(key not in parameters and key not in constants for key, _ in places):
        return None
    if not places:
        return lambda _: ()
    if constants or within:
        lists = {name for name, _ in within.values()}.difference(constants)

        def found(arguments: Mapping[str, Any]) -> tuple[Any, ...]:
            values = {**constants, **arguments, **_padded(arguments, lists)}
            return tuple([values[key] if index is None else values[key][index] for key, index in places])

        return found
    if len(places) == 1:
        only = places[0][0]
        return lambda arguments: (arguments[only],)
    return itemgetter(*(key for key, _ in places))


class Immediate:
    """A transaction's connection, which executes each statement at once."""

    first: Any = None

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, statement: str, /) -> None:
        """Execute it."""
        self._connection.exec_driver_sql(statement)

    def execute(self, statement: Any, parameters: Any = None, /) -> Any:
        """As SQLAlchemy's connection does."""
        return self._connection.execute(statement, parameters)

    def defer(self, statement: Any, parameters: Any = None, /, *, refusal: Exception | None = None) -> None:
        """Execute it. Raises `refusal` where a unique index refuses a row."""
        try:
            self.execute(statement, parameters)
        except IntegrityError as error:
            if refusal is None:
                raise
            raise refusal from error

    def exec_driver_sql(self, statement: str, parameters: Any = None, /) -> Any:
        """As SQLAlchemy's connection does."""
        return self._connection.exec_driver_sql(statement, parameters)

    def flush(self) -> None:
        """Nothing is deferred."""

    def commit(self) -> None:
        """Nothing is deferred."""


class Direct(Immediate):
    """A transaction's connection, which gives the driver itself what it has a text for."""

    def __init__(self, connection: Connection, texts: Texts, errors: type[Exception]) -> None:
        super().__init__(connection)
        self._driver: Any = connection.connection.driver_connection
        self._texts = texts
        self._errors = errors

    def begin(self, statement: str, /) -> None:
        """Execute it: by the driver, for SQLAlchemy would look for listeners at every statement."""
        self._driver.execute(statement).close()

    def execute(self, statement: Any, parameters: Any = None, /) -> Any:
        """As SQLAlchemy's connection does. Raises its errors."""
        many = isinstance(parameters, list)
        first = (parameters[0] if many else parameters) or {}
        text = self._texts.of(statement, first)
        if text is None:
            return self._connection.execute(statement, parameters)
        try:
            if many and len(parameters) > 1:
                cursor = self._driver.executemany(text.text, [*map(text.arguments, parameters)])
            else:
                cursor = self._driver.execute(text.text, text.arguments(first))
        except self._errors as error:
            raise DBAPIError.instance(text.text, None, error, self._errors, hide_parameters=True) from error
        return StatementResult(cursor, text.row)
