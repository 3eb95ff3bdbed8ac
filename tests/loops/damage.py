"""Rows of the database that cannot be decoded for a while: in a drawn column there is something else.

Their chance is their own: worlds without damage are the same whether or not there could be some.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from sqlalchemy import literal, literal_column, select, type_coerce, update

from pileus.model.instance import Instance
from pileus.model.noun import Noun
from pileus.model.nouns import NOUNS
from pileus.store import tables
from pileus.store.cache import Cache
from pileus.store.rows import SHAPES

if TYPE_CHECKING:
    from sqlalchemy import Table

    from tests.loops.world import World

N = TypeVar("N", bound=Noun)

SPARED = ("host", "user", "project", "credential")
"""Kinds without which the users of the world could ask nothing, or its hosts not be told anything."""

KINDS = tuple(kind for kind in NOUNS if kind not in SPARED)
JOURNAL = "journal"

JSON = ("wanted", "assigned", "seen", "tags")
PLAIN = ("name", "generation", "created", "counter")
LINE = ("at", "goal")

CUT_SHORT = "'{\"host\": 7'"
NO_TEXT = "CAST(x'7b22ff' AS TEXT)"
"""What SQLite takes for a text, and what is none in UTF-8."""

OF_JSON = (CUT_SHORT, NO_TEXT, "x'ff'", "'[]'", "7")
OF_PLAIN = ("x'ff'", NO_TEXT)


class Damaged(msgspec.Struct, frozen=True):
    """One damaged row: its key, the column, what was there, and the words for what is there now."""

    kind: str
    key: str
    column: str
    was: Any
    now: str


class Damage:
    """Damages rows amid the storm, and puts back what was there after a while; all of it at the calm."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random.Random(f"{world.seed} damage")
        self.held: dict[str, Damaged] = {}
        """What is damaged now, by uuid, or by `journal ID`."""
        self.kinds: set[str] = set()
        self.lines: set[str] = set()
        """The ids of lines of the journal that ever were: one that was open then is not closed afterwards."""

    def begin(self) -> None:
        """Begin."""
        self._world.after(self._random.uniform(2, 6), self._next)

    def _next(self) -> None:
        if self._world.storm:
            kinds = ("instance", "port", "volume", *KINDS, JOURNAL)
            self._damage(self._random.choice(kinds))
            self._world.after(self._random.expovariate(1 / 3), self._next)

    def _damage(self, kind: str) -> None:
        table = _table(kind)
        with self._world.store.engine.read() as connection:
            among = select(_key(table)).order_by(table.c.id)
            if kind != JOURNAL:
                among = among.where(table.c.gone.is_(None))
            keys = [str(key) for (key,) in connection.execute(among)]
        keys = [key for key in keys if _name(kind, key) not in self.held]
        if not keys:
            return
        key = self._random.choice(keys)
        plain = kind == JOURNAL or self._random.random() < 0.3
        column = self._random.choice(LINE if kind == JOURNAL else PLAIN if plain else JSON)
        now = self._random.choice(OF_PLAIN if plain else OF_JSON)
        with self._world.store.engine.write() as connection:
            row = _key(table) == key
            was = connection.execute(select(type_coerce(table.c[column], table.c[column].type)).where(row)).scalar()
            connection.execute(update(table).where(row).values({column: literal_column(now)}))
        damaged = Damaged(kind, key, column, was, now)
        self.held[_name(kind, key)] = damaged
        self.kinds.add(kind)
        if kind == JOURNAL:
            self.lines.add(key)
        if self._random.random() < 0.5:
            self._world.store._cache = Cache()  # its process began anew
        self._world.log("damaged:", kind, key, column, now)
        self._put_back_later(damaged)

    def restored(self, damaged_rows: dict[str, Damaged]) -> None:
        """The database was replaced by a copy, made when `damaged_rows` were damaged."""
        self.held = dict(damaged_rows)
        for damaged in damaged_rows.values():
            self._put_back_later(damaged)

    def _put_back_later(self, damaged: Damaged) -> None:
        self._world.after(self._random.uniform(1, 30), lambda: self._put_back(damaged))

    def mend(self) -> None:
        """Put back what was in every row."""
        for damaged in list(self.held.values()):
            self._put_back(damaged)

    def _put_back(self, damaged: Damaged) -> None:
        """Unless something was written there since, as of a noun that the process had in memory."""
        if self.held.get(_name(damaged.kind, damaged.key)) is not damaged:
            return
        del self.held[_name(damaged.kind, damaged.key)]
        table = _table(damaged.kind)
        with self._world.store.engine.write() as connection:
            same = table.c[damaged.column].op("IS")(literal_column(damaged.now))
            row = _key(table) == damaged.key
            connection.execute(update(table).where(row, same).values({damaged.column: damaged.was}))
        self._world.store._cache = Cache()
        self._world.log("put back:", damaged.kind, damaged.key, damaged.column)

    def instances(self) -> dict[str, Instance]:
        """The instances whose rows are damaged, as they were, by uuid."""
        uuids = [damaged.key for damaged in self.held.values() if damaged.kind == Instance.KIND]
        rows = {uuid: self.row(Instance, uuid) for uuid in uuids}
        return {uuid: row for uuid, row in rows.items() if row is not None}

    def row(self, cls: type[N], uuid: str) -> N | None:
        """The noun, as it was if its row is damaged, and was not made anew since; None when there is none."""
        with self._world.store.truth() as tx:
            readable = tx.many(cls, [uuid]).get(uuid)
        damaged = self.held.get(uuid)
        if damaged is None or readable is not None:
            return readable
        table = tables.nouns[cls.KIND]
        columns = [
            literal(damaged.was, column.type) if column.name == damaged.column else column for column in table.columns
        ]
        with self._world.store.engine.read() as connection:
            row = connection.execute(select(*columns).where(table.c.uuid == uuid)).first()
        noun: N | None = SHAPES[cls].noun(row) if row is not None else None
        return noun


def _table(kind: str) -> Table:
    return tables.journal if kind == JOURNAL else tables.nouns[kind]


def _key(table: Table) -> Any:
    return table.c.id if table is tables.journal else table.c.uuid


def _name(kind: str, key: str) -> str:
    return f"{JOURNAL} {key}" if kind == JOURNAL else key
