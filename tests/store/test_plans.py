"""No list, and no look-up in the journal, reads the rows of others: the database answers each by an index."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pileus.model.nouns import NOUNS
from pileus.store.direct import Immediate
from pileus.store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.store.store import Store

QUESTIONS: dict[str, Callable[[Reader, Any], object]] = {
    "by uuid": lambda tx, cls: tx.many(cls, ["a"]),
    "by uuids": lambda tx, cls: tx.many(cls, ["a", "b"]),
    "by EC2 ids": lambda tx, cls: tx.by_ec2(cls, ["a", "b"]),
    "identities": lambda tx, cls: tx.identities(cls, ["a"]),
    "of a project": lambda tx, cls: tx.list(cls, project="p"),
    "of a project, with tags": lambda tx, cls: tx.tags([cls.KIND], "p"),
    "of a project, ended ones too": lambda tx, cls: tx.list(cls, project="p", dead=True),
    "a page of a project": lambda tx, cls: tx.list(cls, project="p", dead=True, after=1, limit=2),
    "by name": lambda tx, cls: tx.list(cls, name="n"),
    "by name in a project": lambda tx, cls: tx.list(cls, project="p", name="n"),
    "changes of a project": lambda tx, cls: tx.changed_since(cls, 5.0, project="p"),
    "a page of changes of a project": lambda tx, cls: tx.changed_since(cls, 5.0, project="p", after=1, limit=2),
    "changes of all, ended ones too": lambda tx, cls: tx.changed_since(cls, 5.0, dead=True),
    "of a project and by pools of claims": lambda tx, cls: tx.shared(cls, "p", ["public", "q"]),
    "by what they refer to": lambda tx, cls: tx.referring(cls, ["a"]),
}
"""Every way to list nouns of a kind."""

JOURNAL: dict[str, Callable[[Reader], object]] = {
    "by number": lambda tx: tx.journal_line(5),
    "of a noun": lambda tx: tx.journal("a"),
    "of a noun, open": lambda tx: tx.journal("a", open_only=True, limit=None),
    "of a project": lambda tx: tx.journal(project="p"),
    "an earlier page of a project": lambda tx: tx.journal(project="p", before=9),
    "of a request": lambda tx: tx.journal(request="r"),
    "of a request in a project": lambda tx: tx.journal(request="r", project="p"),
    "open lines of nouns": lambda tx: tx.unsettled(["a", "b"]),
}
"""Every way to look lines of the journal up."""


class _Explained(Immediate):
    """Executes statements as a transaction does, and keeps the database's plan of each."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.plans: list[str] = []

    def execute(self, statement: Any, parameters: Any = None, /) -> Any:
        """Execute it, after asking for its plan."""
        values = parameters or {}
        compiled = statement.compile(
            dialect=self._connection.dialect, column_keys=list(values)
        ).construct_expanded_state(values)
        text, arguments = compiled.statement, compiled.parameters
        if compiled.positiontup is not None:
            arguments = tuple(compiled.parameters[name] for name in compiled.positiontup)
        word = "EXPLAIN QUERY PLAN" if self._connection.dialect.name == "sqlite" else "EXPLAIN"
        plan = self._connection.exec_driver_sql(f"{word} {text}", arguments).all()
        self.plans.append("\n".join(" ".join(map(str, line)) for line in plan))
        return self._connection.execute(statement, values)

    def defer(self, statement: Any, parameters: Any = None, /, *, refusal: Exception | None = None) -> None:
        """Refuse a change: these are questions."""
        raise AssertionError(f"{statement} of a reader, with {parameters} and {refusal}")


def _unindexed(dialect: str, plan: str) -> list[str]:
    """The steps of a plan that read a whole table, or all of its living rows."""
    lines = plan.splitlines()
    if dialect == "sqlite":
        return [line for line in lines if " SCAN " in f" {line} " or "(gone=" in line]
    if dialect == "postgresql":
        return [line for line in lines if "Seq Scan" in line]
    # It reads an empty table whole where it has an index too, and lists that as possible.
    return [line for line in lines if " ALL None " in f" {line} "]


def _asked(store: Store, question: Callable[[Reader], object]) -> list[str]:
    """The plans of the statements of one question."""
    with store.engine.read() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explained = _Explained(connection)
        question(Reader(explained))
        return [step for plan in explained.plans for step in _unindexed(connection.dialect.name, plan)]


@pytest.mark.parametrize("kind", sorted(NOUNS))
def test_lists_of_nouns_are_answered_by_an_index(store: Store, kind: str) -> None:
    cls = NOUNS[kind]
    unindexed = {name: _asked(store, partial(_of, question, cls)) for name, question in QUESTIONS.items()}
    assert {name: steps for name, steps in unindexed.items() if steps} == {}


def _of(question: Callable[[Reader, Any], object], cls: Any, tx: Reader) -> object:
    return question(tx, cls)


@pytest.mark.parametrize("name", sorted(JOURNAL))
def test_lines_of_the_journal_are_found_by_an_index(store: Store, name: str) -> None:
    assert _asked(store, JOURNAL[name]) == []
