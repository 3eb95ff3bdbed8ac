"""The last uses of access keys: when, and for which service."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, delete, select

from pileus.store import tables
from pileus.store.reader import chunks
from pileus.store.upsert import Upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

_keyuse = tables.keyuse
_OF = select(_keyuse).where(_keyuse.c.uuid.in_(bindparam("uuids", expanding=True)))
_PUT = Upsert(_keyuse)
_DROP = delete(_keyuse).where(_keyuse.c.uuid.not_in(select(tables.nouns["credential"].c.uuid)))


class KeyUse(NamedTuple):
    """The last use of an access key: when, in seconds since the epoch, and for which service."""

    at: float
    service: str


def last_uses(tx: Reader, uuids: Iterable[str]) -> dict[str, KeyUse]:
    """The last uses of access keys, by the uuids of their rows; keys that were never used are absent."""
    uses: dict[str, KeyUse] = {}
    for part in chunks(uuids):
        rows = tx.sql.execute(_OF, {"uuids": part}).all()
        uses.update((row.uuid, KeyUse(row.at, row.service)) for row in rows)
    return uses


def put_uses(tx: Writer, uses: Mapping[str, KeyUse]) -> None:
    """Write the last uses of access keys, in the place of earlier ones."""
    tx.sql.defer(_PUT, [{"uuid": uuid, "at": use.at, "service": use.service} for uuid, use in uses.items()])


def drop_uses(tx: Writer) -> None:
    """Forget the uses of access keys that have no row any more."""
    tx.sql.execute(_DROP)
