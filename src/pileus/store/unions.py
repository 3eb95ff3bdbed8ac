"""Statements that unite selects of several tables, or of one table by several indexes; each is built once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, literal, select, union_all

from pileus.store import tables

if TYPE_CHECKING:
    from sqlalchemy import CompoundSelect

    from pileus.model.noun import Noun


@cache
def tags(kinds: tuple[str, ...]) -> CompoundSelect[Any]:
    """Kind, id, uuid and tags of the living nouns of `project` that have tags."""
    kind_tables = [(kind, tables.nouns[kind]) for kind in kinds]
    return union_all(
        *(
            select(literal(kind).label("kind"), table.c.id, table.c.uuid, table.c.tags).where(
                table.c.project == bindparam("project"), table.c.gone.is_(None), table.c.tags != "{}"
            )
            for kind, table in kind_tables
        )
    )


@cache
def shared(cls: type[Noun]) -> CompoundSelect[Any]:
    """The living nouns of `project`, of none, and those with a claim in one of `pools`; some of them twice."""
    table, claim = tables.nouns[cls.KIND], tables.claim
    here = claim.c.pool.in_(bindparam("pools", expanding=True)), claim.c.kind == cls.KIND
    # Selects of their own: with OR between the conditions, servers would read every row. Tombstones claim nothing: with
    # a condition for that, SQLite would read every living row by its index.
    return union_all(
        select(table).where(table.c.project == bindparam("project"), table.c.gone.is_(None)),
        select(table).where(table.c.project == "", table.c.gone.is_(None)),
        select(table).where(table.c.uuid.in_(select(claim.c.uuid).where(*here))),
    )


@cache
def counts() -> CompoundSelect[Any]:
    """The kinds, each with its number of living nouns."""
    shown = {kind: (literal(kind).label("kind"), func.count().label("living")) for kind in tables.nouns}
    return union_all(*(select(*shown[kind]).where(table.c.gone.is_(None)) for kind, table in tables.nouns.items()))
