"""Statements as PostgreSQL is given them; what is deferred is executed in order, or nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
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


def test_changes_of_rows_by_their_uuids_are_one_statement() -> None:
    text = "UPDATE t SET changed=%s, seen=%s::VARCHAR WHERE t.uuid = %s::VARCHAR"
    rows = [(text, (0.5, "seen", f"k{number}")) for number in range(3)]
    other = ("DELETE FROM t WHERE t.uuid = %s::VARCHAR", ("k0",))
    head = "UPDATE t SET changed=rows.c0, seen=rows.c1 FROM"
    row = "(%s::FLOAT8, %s::VARCHAR, %s::VARCHAR)"
    assert [*pipelined._joined([*rows, other, *rows[:1], *rows[:1]])] == [
        (
            f"{head} (VALUES {row}, {row}) AS rows (c0, c1, c2) WHERE t.uuid = rows.c2",
            (0.5, "seen", "k0", 0.5, "seen", "k1"),
        ),
        rows[2],
        other,
        rows[0],
        rows[0],
    ], "the same row twice is two statements"


def test_many_rows_are_changed_each_by_its_own_values(store: Store) -> None:
    nouns = [flavor(f"f{number}") for number in range(11)]
    with store.write() as tx:
        tx.insert(nouns)
    with store.write() as tx:
        for number, noun in enumerate(nouns):
            tx.want(noun, msgspec.structs.replace(noun.wanted, memory=number + 1), name=f"n{number}")
    with store.read() as tx:
        shown = {noun.uuid: (noun.name, noun.wanted.memory, noun.generation) for noun in tx.list(Flavor)}
    assert shown == {noun.uuid: (f"n{number}", number + 1, noun.generation + 1) for number, noun in enumerate(nouns)}


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
