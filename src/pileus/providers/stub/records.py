"""A pretended network engine's database, which the processes of a cloud share as they share a real one."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import msgspec

from pileus.model.noun import NEVER
from pileus.model.provider import Recalled, SeenBody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pileus.model.provider import BodyRef
    from pileus.model.spec import Spec

_TABLE = "CREATE TABLE IF NOT EXISTS record (kind, uuid, incarnation, counter, told, seen, PRIMARY KEY (kind, uuid))"
"""Of each body its revision, what was told (JSON of `Recalled`), and itself (JSON of `SeenBody`; NULL once removed)."""


class Records:
    """The bodies in the file `path`, and what was told of them; it outlives every process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def observe(self, ref: BodyRef) -> SeenBody | None:
        """Return one body."""
        with self._open() as link:
            row = link.execute("SELECT seen FROM record WHERE kind = ? AND uuid = ?", (ref.kind, ref.uuid)).fetchone()
        return msgspec.json.decode(row[0], type=SeenBody) if row and row[0] else None

    def scan(self) -> list[SeenBody]:
        """Return every body."""
        with self._open() as link:
            rows = link.execute("SELECT seen FROM record WHERE seen IS NOT NULL").fetchall()
        return [msgspec.json.decode(seen, type=SeenBody) for (seen,) in rows]

    def recall(self) -> list[Recalled]:
        """Return what was told last of each body, removals too."""
        with self._open() as link:
            rows = link.execute("SELECT told FROM record").fetchall()
        return [msgspec.json.decode(encoded, type=Recalled) for (encoded,) in rows]

    def ensure(self, spec: Spec, seen: SeenBody) -> None:
        """Keep the body of `spec`, unless a later order, or its removal, is there."""
        self._keep(Recalled(kind=spec.KIND, uuid=spec.uuid, revision=spec.revision, record=spec.record), seen)

    def remove(self, ref: BodyRef) -> None:
        """Have a body gone, unless a later order is there; one that nobody ordered, in any case."""
        if ref.revision == NEVER:
            with self._open() as link:
                link.execute(
                    "DELETE FROM record WHERE kind = ? AND uuid = ? AND seen IS NOT NULL", (ref.kind, ref.uuid)
                )
            return
        self._keep(Recalled(kind=ref.kind, uuid=ref.uuid, revision=ref.revision, gone=True), None)

    def _keep(self, record: Recalled, seen: SeenBody | None) -> None:
        row = (
            record.kind,
            record.uuid,
            *record.revision,
            msgspec.json.encode(record),
            seen and msgspec.json.encode(seen),
        )
        with self._open() as link:
            # An order of a removal's own revision does nothing; a removal of a body's own revision removes it.
            link.execute(
                "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " incarnation = excluded.incarnation, counter = excluded.counter, told = excluded.told,"
                " seen = excluded.seen WHERE (excluded.incarnation, excluded.counter) > (incarnation, counter)"
                " OR ((excluded.incarnation, excluded.counter) = (incarnation, counter) AND seen IS NOT NULL)",
                row,
            )

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # One connection a call: threads of several processes come here, and one of them may be killed at any moment.
        with contextlib.closing(sqlite3.connect(self._path, timeout=60, isolation_level=None)) as link:
            link.execute("PRAGMA synchronous = OFF")
            link.execute(_TABLE)
            yield link
