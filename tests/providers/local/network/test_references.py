"""The index over the replica holds the same as a search of all rows, after any changes that a server sends."""

from __future__ import annotations

import random
import uuid as uuids
from typing import Any

from ovs.db.data import Atom, Datum
from ovs.db.types import BaseType, StringType, Type, UuidType

from pileus.providers.local.network.references import OWNER, References

TABLE, COLUMN = "Logical_Switch", "ports"
_SET = Type(BaseType(UuidType), None, 0, 1 << 20)
_MAP = Type(BaseType(StringType), BaseType(StringType), 0, 1 << 20)


class Replica:
    """Rows of one table, changed as the library changes them when a server says so."""

    def __init__(self) -> None:
        self.references = References()
        self.rows: dict[uuids.UUID, dict[str, Datum]] = {}

    def insert(self, row: uuids.UUID, members: set[uuids.UUID], owner: str) -> None:
        self.rows[row] = {COLUMN: _datum(members), "external_ids": _marks(owner)}
        change = {COLUMN: _json(members), "external_ids": ["map", [[OWNER, owner]]]}
        self.references.follow(TABLE, row, {"insert": change}, self.rows[row])

    def modify(self, row: uuids.UUID, difference: set[uuids.UUID], owner: str | None = None) -> None:
        columns: dict[str, Any] = {COLUMN: _json(difference)}
        self.rows[row][COLUMN] = _datum(self.members(row) ^ difference)
        if owner is not None:
            columns["external_ids"] = ["map", [[OWNER, owner]]]
            self.rows[row]["external_ids"] = _marks(owner)
        self.references.follow(TABLE, row, {"modify": columns}, self.rows[row])

    def delete(self, row: uuids.UUID) -> None:
        self.references.leave(TABLE, row, self.rows.pop(row))

    def members(self, row: uuids.UUID) -> set[uuids.UUID]:
        return {member.value for member in self.rows[row][COLUMN].values}

    def check(self, ports: list[uuids.UUID], owners: list[str]) -> None:
        for port in ports:
            searched = {row for row in self.rows if port in self.members(row)}
            assert self.references.holders(TABLE, COLUMN, port) == searched
        for owner in owners:
            marked = {row for row, data in self.rows.items() if data["external_ids"].get(OWNER) == owner}
            assert self.references.owned(TABLE, owner) == marked


def test_the_index_holds_what_a_search_would_find() -> None:
    chance = random.Random(13)
    ports, switches = ([uuids.UUID(int=chance.getrandbits(128)) for _ in range(count)] for count in (12, 5))
    owners = ["red", "blue", "green"]
    replica = Replica()
    for _ in range(400):
        switch, members = chance.choice(switches), set(chance.sample(ports, chance.randrange(4)))
        if switch not in replica.rows:
            replica.insert(switch, members, chance.choice(owners))
        elif chance.random() < 0.2:
            replica.delete(switch)
        else:
            replica.modify(switch, members, chance.choice([None, *owners]))
        replica.check(ports, owners)


def test_a_row_is_in_no_index_once_all_is_forgotten() -> None:
    port, switch = uuids.UUID(int=1), uuids.UUID(int=2)
    replica = Replica()
    replica.insert(switch, {port}, "red")
    replica.references.clear()
    assert not replica.references.holders(TABLE, COLUMN, port)
    assert not replica.references.owned(TABLE, "red")


def _datum(members: set[uuids.UUID]) -> Datum:
    return Datum(_SET, {Atom(UuidType, member): None for member in members})


def _marks(owner: str) -> Datum:
    return Datum(_MAP, {Atom(StringType, OWNER): Atom(StringType, owner)})


def _json(members: set[uuids.UUID]) -> list[Any]:
    references = [["uuid", str(member)] for member in sorted(members)]
    return references[0] if len(references) == 1 else ["set", references]
