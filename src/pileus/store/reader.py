"""Reading: nouns by id, by project, by what they refer to; claims, usage and the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from sqlalchemy import and_, func, select

from pileus.model.errors import NotFound
from pileus.model.noun import Noun
from pileus.store import tables
from pileus.store.rows import SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

N = TypeVar("N", bound=Noun)

_CHUNK = 500
"""How many values one IN list holds: engines bound it, and a longer list is two statements."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the journal. `outcome`: open, done, failed, superseded."""

    id: int
    at: float
    project: str
    kind: str
    uuid: str
    verb: str
    goal: int
    user: str
    face: str
    request: str
    outcome: str
    detail: str
    ended: float | None


class Reader:
    """What may be asked in one snapshot, or in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self.sql = connection

    def get(self, cls: type[N], uuid: str) -> N | None:
        """The noun with this uuid, tombstones included; None when there is none."""
        table = tables.nouns[cls.KIND]
        row = self.sql.execute(select(table).where(table.c.uuid == uuid)).first()
        return SHAPES[cls].noun(row) if row else None

    def need(self, cls: type[N], uuid: str) -> N:
        """The living noun with this uuid; NotFound otherwise."""
        noun = self.get(cls, uuid)
        if noun is None or noun.gone is not None:
            raise NotFound(f"The {cls.KIND} '{uuid}' does not exist.", noun=cls.KIND, ident=uuid)
        return noun

    def many(self, cls: type[N], uuids: Iterable[str]) -> dict[str, N]:
        """The nouns with these uuids, by uuid; those that do not exist are left out."""
        return {noun.uuid: noun for noun in self._where_in(cls, "uuid", uuids)}

    def by_ec2(self, cls: type[N], ids: Iterable[str]) -> dict[str, N]:
        """The nouns with these EC2 ids, by EC2 id, tombstones included."""
        return {noun.ec2_id: noun for noun in self._where_in(cls, "ec2_id", ids)}

    def _where_in(self, cls: type[N], column: str, values: Iterable[str]) -> list[N]:
        table, shape = tables.nouns[cls.KIND], SHAPES[cls]
        found: list[N] = []
        for part in _chunks(values):
            statement = select(table).where(table.c[column].in_(part)).order_by(table.c.id)
            found.extend(shape.noun(row) for row in self.sql.execute(statement))
        return found

    def list(
        self,
        cls: type[N],
        *,
        project: str | None = None,
        name: str | None = None,
        dead: bool = False,
        after: int = 0,
        limit: int | None = None,
    ) -> list[N]:
        """Nouns in the order of their making, from behind the id `after`; tombstones only with `dead`."""
        table, shape = tables.nouns[cls.KIND], SHAPES[cls]
        statement = select(table)
        if project is not None:
            statement = statement.where(table.c.project == project)
        if name is not None:
            statement = statement.where(table.c.name == name)
        if not dead:
            statement = statement.where(table.c.gone.is_(None))
        if after:
            statement = statement.where(table.c.id > after)
        statement = statement.order_by(table.c.id)
        if limit is not None:
            statement = statement.limit(limit)
        return [shape.noun(row) for row in self.sql.execute(statement)]

    def referring(self, cls: type[N], targets: Iterable[str], *, dead: bool = False) -> list[N]:
        """The nouns of `cls` that refer to any of the uuids `targets`, in the order of their making."""
        table, shape, ref = tables.nouns[cls.KIND], SHAPES[cls], tables.reference
        found: dict[str, N] = {}
        for part in _chunks(targets):
            sources = select(ref.c.source).where(ref.c.target.in_(part), ref.c.source_kind == cls.KIND)
            statement = select(table).where(table.c.uuid.in_(sources)).order_by(table.c.id)
            if not dead:
                statement = statement.where(table.c.gone.is_(None))
            found.update((row.uuid, shape.noun(row)) for row in self.sql.execute(statement))
        return list(found.values())

    def referrers(self, uuid: str) -> Sequence[tuple[str, str, str]]:
        """Every living (kind, uuid, use) that refers to `uuid`: references of tombstones are removed with them."""
        ref = tables.reference
        rows = self.sql.execute(select(ref.c.source_kind, ref.c.source, ref.c.use).where(ref.c.target == uuid))
        return [(kind, source, use) for kind, source, use in rows]

    def claimed(self, pool: str, value: str) -> tuple[str, str] | None:
        """Who holds `value` of `pool`: (kind, uuid)."""
        table = tables.claim
        row = self.sql.execute(
            select(table.c.kind, table.c.uuid).where(and_(table.c.pool == pool, table.c.value == value))
        ).first()
        return (row.kind, row.uuid) if row else None

    def claims(self, *, pool: str | None = None, uuid: str | None = None) -> list[tuple[str, str, str]]:
        """Claims as (pool, value, uuid), of one pool or one holder or all."""
        table = tables.claim
        statement = select(table.c.pool, table.c.value, table.c.uuid)
        if pool is not None:
            statement = statement.where(table.c.pool == pool)
        if uuid is not None:
            statement = statement.where(table.c.uuid == uuid)
        return [(row.pool, row.value, row.uuid) for row in self.sql.execute(statement)]

    def usage(self, scope: str | None = None) -> dict[tuple[str, str], int]:
        """What is used, by (scope, resource); zeros are left out."""
        statement = select(tables.usage)
        if scope is not None:
            statement = statement.where(tables.usage.c.scope == scope)
        return {(row.scope, row.resource): row.used for row in self.sql.execute(statement) if row.used}

    def journal(self, uuid: str | None = None, *, open_only: bool = False, limit: int = 50) -> list[Entry]:
        """The newest lines, of one noun or of all, oldest first."""
        table = tables.journal
        statement = select(table).order_by(table.c.id.desc()).limit(limit)
        if uuid is not None:
            statement = statement.where(table.c.uuid == uuid)
        if open_only:
            statement = statement.where(table.c.outcome == "open")
        return [Entry(**row._mapping) for row in self.sql.execute(statement)][::-1]

    def meta(self, name: str) -> int:
        """A number that the store keeps about itself: `incarnation`, `counter`."""
        row = self.sql.execute(select(tables.meta.c.value).where(tables.meta.c.name == name)).first()
        return int(row.value) if row else 0

    def due(self, kind: str, uuid: str) -> float | None:
        """When a loop looks at this noun next, without being woken; None: at the next scan."""
        table = tables.wake
        row = self.sql.execute(select(table.c.due).where(table.c.kind == kind, table.c.uuid == uuid)).first()
        return row.due if row else None

    def next_due(self) -> float | None:
        """The earliest stored due time."""
        return self.sql.execute(select(func.min(tables.wake.c.due))).scalar()


def _chunks(values: Iterable[str]) -> Iterable[Sequence[str]]:
    unique: list[Any] = list(dict.fromkeys(values))
    return (unique[i : i + _CHUNK] for i in range(0, len(unique), _CHUNK))
