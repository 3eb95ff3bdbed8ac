"""Writing rows of the northbound database inside one transaction: make equal, attach, detach, refuse the outdated.

Every row that stands for a noun has the noun's uuid as its own row uuid, and rows that belong to it have one
derived from it: two writers can never make the same thing twice, and nothing is ever searched by name. A row's
noun and order stand in its `external_ids`.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterable, Mapping
from typing import Any

from ovs.db import data as ovs_data
from ovs.db import types as ovs_types

from pileus.model.noun import NEVER, Revision
from pileus.model.spec import Spec
from pileus.providers.local.network.references import OWNER, References

AclRule = tuple[str, int, str, str]
"""The content of an access control list: direction, priority, match, action."""

UUID, KIND, REVISION, RECORD = OWNER, "pileus-kind", "pileus-revision", "pileus-record"


class Superseded(Exception):
    """The row was written, or ordered away, by a later order than this one: nothing has to be done."""


def derived(uuid: str, what: str) -> uuids.UUID:
    """The row uuid of what belongs to the noun `uuid`, such as its "gateway"."""
    return uuids.uuid5(uuids.UUID(uuid), what)


def marks(kind: str, uuid: str, revision: Revision) -> dict[str, str]:
    """The `external_ids` of a row that the noun `uuid` of `kind` has by the order `revision`."""
    return {UUID: uuid, KIND: kind, REVISION: f"{revision[0]}.{revision[1]}"}


def marks_of(spec: Spec) -> dict[str, str]:
    """The `external_ids` of the row that the order `spec` writes, its record among them."""
    record_mark = {RECORD: spec.record} if spec.record else {}
    return {**marks(spec.KIND, spec.uuid, spec.revision), **record_mark}


def revision_of(row: Any) -> Revision:
    """The order that wrote `row`; NEVER for one that no order wrote."""
    first, dot, second = row.external_ids.get(REVISION, "").partition(".")
    return (int(first), int(second)) if dot and first.isdecimal() and second.isdecimal() else NEVER


def holds(row: Any, column: str, uuid: uuids.UUID) -> bool:
    """Whether the set of references `column` names `uuid`, as committed; one look-up, however large the set."""
    # Reading the attribute would make a list of rows of the whole set.
    values = row._data[column].values  # noqa: SLF001  (ovs offers no other way)
    return ovs_data.Atom(ovs_types.UuidType, uuid) in values


class NorthboundRows:
    """The rows of one open transaction. `gateway` names the chassis that carries what goes outside, "" for none."""

    def __init__(self, database: Any, transaction: Any, gateway: str = "") -> None:
        self.tables = database.tables
        self.references: References = database.references
        self.gateway = gateway
        self._transaction = transaction

    def get(self, table: str, uuid: uuids.UUID) -> Any:
        """The row, or None."""
        return self.tables[table].rows.get(uuid)

    def holders(self, table: str, column: str, uuid: uuids.UUID) -> list[Any]:
        """The rows of `table` whose set of references `column` names `uuid`, as committed."""
        rows = self.tables[table].rows
        return [rows[holder] for holder in self.references.holders(table, column, uuid) if holder in rows]

    def owned(self, table: str, owner: str) -> list[Any]:
        """The rows of `table` whose marks name the noun `owner`, as committed."""
        rows = self.tables[table].rows
        return [rows[own] for own in self.references.owned(table, owner) if own in rows]

    def guard(self, table: str, uuid: uuids.UUID, revision: Revision) -> Any:
        """The row, or None; raises Superseded when a later order wrote it.

        The commit fails, and all is computed again, when another writer changes the row's marks before it.
        """
        row = self.get(table, uuid)
        if row is not None:
            if revision_of(row) > revision:
                raise Superseded
            _verify(row, "external_ids")
        return row

    def absent(self, table: str, uuid: uuids.UUID) -> None:
        """Demand at commit that there is no such row."""
        self._transaction.add_op(
            {
                "op": "wait",
                "timeout": 0,
                "table": table,
                "where": [["_uuid", "==", ["uuid", str(uuid)]]],
                "columns": ["external_ids"],
                "until": "==",
                "rows": [],
            }
        )

    def put(self, table: str, uuid: uuids.UUID, **columns: Any) -> Any:
        """The row with exactly these values in `columns`, made if there is none."""
        row = self.get(table, uuid)
        if row is None:
            row = self._transaction.insert(self.tables[table], new_uuid=uuid, persist_uuid=True)
        for column, value in columns.items():
            setattr(row, column, value)
        return row

    def attach(self, parent: Any, column: str, child: uuids.UUID) -> None:
        """Put `child` into the set of references `column` of `parent` and of no other row of that table."""
        for row in self.holders(parent._table.name, column, child):  # noqa: SLF001  (ovs offers no other way)
            if row.uuid != parent.uuid:
                row.delvalue(column, child)
        self.include(parent, column, child)

    def include(self, row: Any, column: str, member: uuids.UUID) -> None:
        """Put `member` into the set of references `column` of `row`, which must still be there at commit."""
        if row._data is None or not holds(row, column, member):  # noqa: SLF001  (ovs offers no other way)
            _verify(row, "name")
            row.addvalue(column, member)

    def delete(self, table: str, uuid: uuids.UUID) -> None:
        """Remove the row, and the reference by which another row owns it; nothing when absent."""
        row = self.get(table, uuid)
        if row is None:
            return
        if table in _OWNERS:
            parent, column = _OWNERS[table]
            for holder in self.holders(parent, column, uuid):
                holder.delvalue(column, uuid)
        row.delete()

    def delete_of(self, owner: str) -> None:
        """Remove every row that belongs to the noun `owner` and that another row, or none, refers to."""
        for table in ("DHCP_Options", "Copp", "Meter", *_OWNERS):
            for row in self.owned(table, owner):
                if row.external_ids.get(KIND) != "removed":
                    self.delete(table, row.uuid)

    def acls(self, owner: Any, wanted: Iterable[dict[str, Any]]) -> None:
        """Make the rules of `owner` (a switch or a group) exactly `wanted`; those that are right stay."""
        missing = {meaning(columns): columns for columns in wanted}
        for row in [] if owner._data is None else owner.acls:  # noqa: SLF001  (ovs offers no other way)
            if missing.pop(meaning_of(row), None) is None:
                owner.delvalue("acls", row.uuid)
        for columns in missing.values():
            owner.addvalue("acls", self.put("ACL", uuids.uuid4(), **columns).uuid)


_OWNERS = {
    "Logical_Switch_Port": ("Logical_Switch", "ports"),
    "Logical_Router_Port": ("Logical_Router", "ports"),
    "Logical_Router_Policy": ("Logical_Router", "policies"),
    "Logical_Router_Static_Route": ("Logical_Router", "static_routes"),
    "Gateway_Chassis": ("Logical_Router_Port", "gateway_chassis"),
    "NAT": ("Logical_Router", "nat"),
    "QoS": ("Logical_Switch", "qos_rules"),
}


def _verify(row: Any, column: str) -> None:
    """Demand at commit that `column` is still what was read."""
    # The library heeds the demand only in rows that are written.
    if row._data is not None:  # noqa: SLF001  (ovs offers no other way)
        row.verify(column)
        setattr(row, column, getattr(row, column))


def meaning(columns: Mapping[str, Any]) -> AclRule:
    """The content of a rule that is to be."""
    return columns["direction"], columns["priority"], columns["match"], columns["action"]


def meaning_of(row: Any) -> AclRule:
    """The content of a rule's row."""
    return row.direction, row.priority, row.match, row.action
