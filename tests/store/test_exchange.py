"""Statements as PostgreSQL is given them; what is deferred is executed in order, or nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy.exc import IntegrityError

from pileus.model.errors import Duplicate
from pileus.model.flavor import Flavor
from pileus.store import exchange, pipelined
from pileus.store.direct import StatementText
from tests.store.clock import flavor

if TYPE_CHECKING:
    from pileus.store.store import Store


def test_places_are_numbered() -> None:
    assert exchange._numbered("SELECT %s::VARCHAR, 5 %% 2, %s") == b"SELECT $1::VARCHAR, 5 % 2, $2"


def test_values_have_the_types_that_the_server_is_told() -> None:
    assert exchange._encoded(("a\u00e4", 5, 0.5, None, True)) == (
        ["a\u00e4".encode(), b"5", b"0.5", None, b"True"],
        (0, 20, 701, 0, 16),
    )
    with pytest.raises(psycopg.DataError):
        exchange._encoded(("a\0b",))


def test_rows_of_an_insert_are_one_statement() -> None:
    text = StatementText(
        "INSERT INTO t (a, b) VALUES (%s::VARCHAR, %s) ON CONFLICT (a) DO UPDATE SET b = 1", tuple, None
    )
    rows = [(f"k{number}", number) for number in range(18)]
    first, last = pipelined._together(text, rows)
    assert first[0].count("(%s::VARCHAR, %s)") == pipelined.ROWS
    assert last == (
        "INSERT INTO t (a, b) VALUES (%s::VARCHAR, %s), (%s::VARCHAR, %s) ON CONFLICT (a) DO UPDATE SET b = 1",
        ("k16", 16, "k17", 17),
    )
    other = StatementText("UPDATE t SET b = %s WHERE a = %s", tuple, None)
    assert len(pipelined._together(other, rows)) == 18


def test_a_claim_that_cannot_be_had_undoes_the_transaction(store: Store) -> None:
    one, other = flavor("one"), flavor("other")
    with pytest.raises(Duplicate), store.write() as tx:  # noqa: PT012  (the end of the transaction raises)
        tx.insert([one])
        tx.claim_all([(("pool", "value"), one), (("pool", "value"), other)])
    with pytest.raises(IntegrityError), store.write() as tx:  # noqa: PT012  (the end of the transaction raises)
        tx.insert([other])
        tx.insert([other])
    with store.write() as tx:
        assert tx.list(Flavor) == []
        assert tx.claimed("pool", "value") is None
        tx.claim_all([(("pool", "value"), tx.add(one))])
    with store.read() as tx:
        assert tx.claimed("pool", "value") == ("flavor", one.uuid)
