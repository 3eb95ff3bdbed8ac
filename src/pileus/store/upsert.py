"""INSERT of rows that may be there already, which are changed then: one statement, in each database's own words."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Insert
from sqlalchemy.ext.compiler import compiles

from pileus.store import tables

_CHANGES = {
    tables.usage.name: {"used": "{old}.{column} + {new}"},
    tables.meta.name: {"value": "{old}.{column} + {new}"},
    tables.keyuse.name: {"at": "{new}", "service": "{new}"},
    tables.wake.name: {
        "wakes": "{old}.{column} + 1",
        "tries": "0",
        "due": "CASE WHEN {old}.{column} IS NULL OR {old}.{column} > {new} THEN {new} ELSE {old}.{column} END",
        "request": "CASE WHEN {new} = '' THEN {old}.{column} ELSE {new} END",
    },
}
"""Changes of the columns of a row that is there, by table: `old` is that row, `new` the value of the new one."""


class Upsert(Insert):
    """A new row of `usage`, `meta`, `keyuse` or `wake`; one that is there is changed as `_CHANGES` says."""

    inherit_cache = True


@compiles(Upsert)
def _upsert(element: Upsert, compiler: Any, **words: Any) -> str:
    own, table, quote = compiler.dialect.name, element.table, compiler.preparer.quote
    excluded = "VALUES({column})" if own in ("mysql", "mariadb") else "excluded.{column}"
    changes = []
    for name, change in _CHANGES[table.name].items():
        column = quote(name)
        new = excluded.format(column=column)
        changes.append(f"{column} = {change.format(old=quote(table.name), column=column, new=new)}")
    if own in ("mysql", "mariadb"):
        conflict = "ON DUPLICATE KEY UPDATE"
    else:
        conflict = f"ON CONFLICT ({', '.join(quote(column.name) for column in table.primary_key)}) DO UPDATE SET"
    return f"{compiler.visit_insert(element, **words)} {conflict} {', '.join(changes)}"
