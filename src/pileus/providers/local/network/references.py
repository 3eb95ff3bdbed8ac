"""An index over the replica of the northbound database: rows by what refers to them, and by the noun that owns them.

OVN has no such index: a switch or a group names its ports in a set. Without an index, each order of a port looks into
every switch and every group of the cloud.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

OWNER = "pileus-uuid"
"""The key of `external_ids` that names the noun of a row."""

FOLLOWED: Mapping[str, tuple[str, ...]] = {
    "Logical_Router": ("nat", "policies", "ports", "static_routes"),
    "Logical_Router_Port": ("gateway_chassis",),
    "Logical_Switch": ("ports", "qos_rules"),
    "Port_Group": ("ports",),
}
"""The sets of references by which rows belong to another, by table and column."""

Change = Mapping[str, Any]
"""A change of one row as OVSDB's monitor sends it (`update2` in ovsdb-server(7)): {"insert": columns} and the like."""


class References:
    """The committed references of the replica, kept up with each change that the server sends; all by row uuid."""

    def __init__(self) -> None:
        self._holders: dict[tuple[str, str], dict[uuids.UUID, set[uuids.UUID]]] = {}
        self._rows: dict[str, dict[str, set[uuids.UUID]]] = {}
        self._owner: dict[tuple[str, uuids.UUID], str] = {}
        self.clear()

    def clear(self) -> None:
        """Forget all: the replica begins anew."""
        self._holders = {(table, column): {} for table, columns in FOLLOWED.items() for column in columns}
        self._rows, self._owner = {}, {}

    def holders(self, table: str, column: str, member: uuids.UUID) -> frozenset[uuids.UUID]:
        """The rows of `table` whose set of references `column` names `member`."""
        return frozenset(self._holders[table, column].get(member, ()))

    def owned(self, table: str, owner: str) -> frozenset[uuids.UUID]:
        """The rows of `table` whose marks name the noun `owner`."""
        return frozenset(self._rows.get(table, {}).get(owner, ()))

    def leave(self, table: str, row: uuids.UUID, data: Mapping[str, Any]) -> None:
        """Take in that the row is removed, which had `data` (columns with their values)."""
        for column in FOLLOWED.get(table, ()):
            for member in data[column].values if column in data else ():
                self._set(table, column, row, member.value, present=False)
        self._own(table, row, "")

    def follow(self, table: str, row: uuids.UUID, change: Change, data: Mapping[str, Any]) -> None:
        """Take in a `change` of the row that left it with `data` (columns with their values)."""
        columns = change.get("modify")
        toggled = columns is not None
        if columns is None:
            columns = change.get("insert", change.get("initial", {}))
        for column in FOLLOWED.get(table, ()):
            # A modified set comes as its difference: members that are new, and members that are gone.
            for member in _members(columns.get(column, ["set", []])):
                present = not toggled or row not in self._holders[table, column].get(member, ())
                self._set(table, column, row, member, present=present)
        if "external_ids" in columns:
            marks = data["external_ids"].values
            self._own(table, row, next((value.value for key, value in marks.items() if key.value == OWNER), ""))

    def _set(self, table: str, column: str, row: uuids.UUID, member: uuids.UUID, *, present: bool) -> None:
        by_member = self._holders[table, column]
        if present:
            by_member.setdefault(member, set()).add(row)
        elif member in by_member:
            by_member[member].discard(row)
            if not by_member[member]:
                del by_member[member]

    def _own(self, table: str, row: uuids.UUID, owner: str) -> None:
        by_owner = self._rows.setdefault(table, {})
        before = self._owner.pop((table, row), "")
        if before:
            by_owner[before].discard(row)
            if not by_owner[before]:
                del by_owner[before]
        if owner:
            self._owner[table, row] = owner
            by_owner.setdefault(owner, set()).add(row)


def _members(references: Iterable[Any]) -> Iterator[uuids.UUID]:
    """The row uuids of a set of references in OVSDB's notation (RFC 7047): ["uuid", U], or ["set", [["uuid", U] …]]."""
    kind, value = references
    for _, uuid in [(kind, value)] if kind == "uuid" else value:
        yield uuids.UUID(uuid)
