"""The statements of transactions and of the queue, built once: building one costs more than running it.

Parameters that are no columns have names of their own; what a statement sets besides is given by its columns' names.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, Double, Integer, bindparam, case, delete, insert, select, update

from pileus.model import bounds
from pileus.store import tables
from pileus.store.upsert import Upsert

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Delete, Insert, Select, Table, Update

_wake, _usage, _meta, _claim = tables.wake, tables.usage, tables.meta, tables.claim


@cache
def add_noun(kind: str) -> Insert:
    """A new row of a noun."""
    return insert(tables.nouns[kind])


@cache
def change_noun(kind: str) -> Update:
    """Columns of the noun `key`."""
    table = tables.nouns[kind]
    return update(table).where(table.c.uuid == bindparam("key"))


@cache
def drop_noun(kind: str) -> Delete:
    """The row of the noun `key`, gone."""
    table = tables.nouns[kind]
    return delete(table).where(table.c.uuid == bindparam("key"))


@cache
def noun_ids(kind: str) -> Select[Any]:
    """The numbers that the nouns `uuids` were given."""
    table = tables.nouns[kind]
    return select(table.c.uuid, table.c.id).where(table.c.uuid.in_(bindparam("uuids", expanding=True)))


@cache
def old(kind: str) -> tuple[Select[Any], Delete, Delete, Delete]:
    """One tombstone from `before`; and, of all of them, the wakes, the journal's lines, and the rows themselves."""
    table = tables.nouns[kind]
    here = table.c.gone < bindparam("before", type_=Double)
    return select(table.c.uuid).where(here).limit(1), *_forgotten(table, here)


@cache
def ended(kind: str) -> tuple[Delete, Delete, Delete]:
    """Of the tombstones among the nouns `uuids`: the wakes, the journal's lines, and the rows themselves."""
    table = tables.nouns[kind]
    return _forgotten(table, table.c.uuid.in_(bindparam("uuids", expanding=True)) & table.c.gone.is_not(None))


def _forgotten(table: Table, here: ColumnElement[bool]) -> tuple[Delete, Delete, Delete]:
    uuids = select(table.c.uuid).where(here)
    wakes, lines = (delete(other).where(other.c.uuid.in_(uuids)) for other in (_wake, tables.journal))
    return wakes, lines, delete(table).where(here)


@cache
def living(kind: str) -> tuple[Select[Any], Delete]:
    """Uuids of `most` nouns of a kind that live, from the first above `after`; the wakes of the dead ones, gone."""
    table = tables.nouns[kind]
    dead = select(table.c.uuid).where(table.c.gone.is_not(None))
    here = table.c.gone.is_(None), table.c.uuid > bindparam("after")
    living_ones = select(table.c.uuid).where(*here).order_by(table.c.uuid).limit(bindparam("most"))
    return living_ones, delete(_wake).where(_wake.c.uuid.in_(dead))


ADD_REFERENCE: Final[Insert] = insert(tables.reference)
DROP_REFERENCES: Final[Delete] = delete(tables.reference).where(tables.reference.c.source == bindparam("key"))

ADD_CLAIM: Final[Insert] = insert(_claim)
DROP_CLAIMS: Final[Delete] = delete(_claim).where(_claim.c.uuid == bindparam("key"))
DROP_CLAIM: Final[Delete] = delete(_claim).where(
    _claim.c.pool == bindparam("of_pool"), _claim.c.value == bindparam("of_value"), _claim.c.uuid == bindparam("key")
)

ADD_USAGE: Final[Insert] = Upsert(_usage)
"""Adds to what is used already."""

ADD_JOURNAL: Final[Insert] = insert(tables.journal)
SETTLE: Final[Update] = update(tables.journal).where(tables.journal.c.id.in_(bindparam("ids", expanding=True)))

LAST_TOKEN: Final[Select[Any]] = (
    select(tables.idempotency.c.token)
    .where(tables.idempotency.c.project == bindparam("of_project"), tables.idempotency.c.verb == bindparam("of_verb"))
    .limit(1)
    .offset(bounds.TOKENS.most - 1)
)
"""A row when a project has as many tokens of a verb as it may have."""

STEP: Final[Insert] = Upsert(_meta)
"""Adds to a number that there is already."""
ADD_META: Final[Insert] = insert(_meta)

_THESE = (_wake.c.kind == bindparam("of_kind")) & _wake.c.uuid.in_(bindparam("uuids", expanding=True))
ADD_WAKE: Final[Insert] = insert(_wake)
WAKE: Final[Insert] = Upsert(_wake)
"""One that there is already is woken once more; an earlier due time stays."""

NEXT_WAKE: Final[Select[Any]] = (
    select(_wake)
    .where(_wake.c.due <= bindparam("at"), _wake.c.until <= bindparam("at"))
    .order_by(_wake.c.due)
    .limit(bindparam("most"))
)
LEASE_WAKES: Final[Update] = update(_wake).where(_THESE)
_LEASED = _THESE & (_wake.c.until == bindparam("leased_until"))
END_LEASES: Final[Update] = update(_wake).where(_wake.c.until > bindparam("beyond", type_=Double)).values(until=0.0)
BRING_FORWARD: Final[Update] = (
    update(_wake).where(_wake.c.due > bindparam("beyond", type_=Double)).values(due=bindparam("at", type_=Double))
)
CANCEL_LATER_WAKES: Final[Update] = (
    update(_wake).where(_THESE, _wake.c.due > bindparam("at", type_=Double), _wake.c.until == 0.0).values(due=None)
)
_UNSEEN = _wake.c.wakes == bindparam("seen", type_=BigInteger)
GIVE_WAKES: Final[Update] = (
    update(_wake)
    .where(_LEASED)
    .values(
        until=0.0,
        due=case((_UNSEEN, bindparam("later", type_=Double)), else_=bindparam("now", type_=Double)),
        tries=case((_UNSEEN, bindparam("failed", type_=Integer)), else_=_wake.c.tries),
    )
)
"""Give wakes back, that are due `later`; one that was woken meanwhile is due `now`."""
