"""Which statements a store executes, by whatever way they reach the database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psycopg
from sqlalchemy import event

from pileus.store.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.store.store import Store


_FRAME = ("BEGIN", "SET LOCAL", "SELECT pg_advisory_xact_lock", "COMMIT")
"""How the statements begin that PostgreSQL begins and ends a transaction with."""


@contextmanager
def executed(store: Store) -> Iterator[list[str]]:
    """The texts of what is executed inside the block, in order."""
    engine, found = store.engine.sql, list[str]()

    def traced(connection: Any, *_: object) -> None:
        connection.set_trace_callback(found.append)

    def untraced(connection: Any, *_: object) -> None:
        connection.set_trace_callback(None)

    def told(*call: Any) -> None:
        found.append(call[2])

    if store.engine.dialect.pipelined:
        with _sent(found):
            yield found
        return
    # SQLite is given most of its statements directly; it tells of every one itself.
    direct = store.engine.dialect.direct
    listeners = [("checkout", traced), ("checkin", untraced)] if direct else [("before_cursor_execute", told)]
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        yield found
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)


@contextmanager
def _sent(texts: list[str]) -> Iterator[None]:
    """Note what psycopg is given, by SQLAlchemy or directly; what begins or ends a transaction is none of it."""
    execute, exchange = psycopg.Cursor.execute, Exchange.__call__

    def noted(cursor: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        texts.append(query)
        return execute(cursor, query, *arguments, **named)

    def exchanged(connection: Any, statements: Any) -> Any:
        texts.extend(text for text, _ in statements if not text.startswith(_FRAME))
        return exchange(connection, statements)

    with patch.object(psycopg.Cursor, "execute", noted), patch.object(Exchange, "__call__", exchanged):
        yield
