"""Shortening the journal: of each noun its newest lines are kept, however fast lines are written, and for years.

The line of its creation is kept beside them for as long as the noun lives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Integer, bindparam, delete, func, select

from pileus.model import bounds
from pileus.store import tables

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Delete, Select

    from pileus.store.reader import Reader
    from pileus.store.store import Store

PAGE = 1000
"""Lines that are looked at, and erased, together."""

LONGEST = 5.0
"""Seconds that one sweep takes at most: 4,000 lines of 20 seconds take 0.2."""

_journal = tables.journal
_MOST: Final = bindparam("most", type_=Integer)
_PAGE: Final[Select[Any]] = (
    select(_journal.c.id, _journal.c.uuid)
    .where(_journal.c.id > bindparam("after"))
    .order_by(_journal.c.id)
    .limit(_MOST)
)
_NEWEST: Final[Select[Any]] = select(func.max(_journal.c.id))
_DROP: Final[Delete] = delete(_journal).where(_journal.c.id.in_(bindparam("ids", expanding=True)))


_FIRST: Final[Select[Any]] = (
    select(_journal.c.id, _journal.c.kind, _journal.c.at)
    .where(_journal.c.uuid == bindparam("key"))
    .order_by(_journal.c.id)
    .limit(1)
)


def _beyond(outcome: ColumnElement[bool], bound: bounds.Bound) -> tuple[Select[Any], Select[Any]]:
    """The newest line beyond `bound` of the noun `key`, among those with this outcome; and `most` of them up to it.

    Both look at lines behind the number `creation`.
    """
    lines = select(_journal.c.id).where(
        _journal.c.uuid == bindparam("key"), outcome, _journal.c.id > bindparam("creation")
    )
    up_to = lines.where(_journal.c.id <= bindparam("newest")).order_by(_journal.c.id).limit(_MOST)
    return lines.order_by(_journal.c.id.desc()).limit(1).offset(bound.most), up_to


_BEYOND: Final = (
    _beyond(_journal.c.outcome != "open", bounds.JOURNAL),
    _beyond(_journal.c.outcome == "open", bounds.OPEN_JOURNAL),
)


class JournalSweep:
    """Follows the journal: each sweep looks at the nouns of the lines that were written since the one before.

    The first sweep of a process begins at the journal's oldest line. A line that settles later counts when its noun
    gets another line.
    """

    def __init__(self) -> None:
        self._after = 0

    def sweep(self, store: Store) -> int:
        """Erase the surplus lines of all nouns that have new lines, for `LONGEST` seconds; the next sweep goes on.

        Returns how many. Raises Unavailable.
        """
        until, erased = store.monotonic() + LONGEST, 0
        with store.read() as tx:
            if (tx.sql.execute(_NEWEST).scalar() or 0) < self._after:
                # The database is an older copy than the one before.
                self._after = 0
        short: set[str] = set()
        while True:
            with store.read() as tx:
                page = tx.sql.execute(_PAGE, {"after": self._after, "most": PAGE}).all()
                beyond = {uuid: _surplus(tx, uuid) for uuid in {row.uuid for row in page} - short}
            short |= {uuid for uuid, lines in beyond.items() if len(lines) < PAGE}
            surplus = [line for lines in beyond.values() for line in lines]
            for start in range(0, len(surplus), PAGE):
                with store.write(lasting=False) as tx:
                    tx.sql.execute(_DROP, {"ids": surplus[start : start + PAGE]})
            erased += len(surplus)
            self._after = page[-1].id if page else self._after
            if len(page) < PAGE or store.monotonic() >= until:
                return erased


def _surplus(tx: Reader, uuid: str) -> list[int]:
    """The oldest lines of a noun that are beyond its bounds: at most `PAGE` settled and as many open ones."""
    lines: list[int] = []
    for newest_beyond, up_to in _BEYOND:
        if tx.sql.execute(newest_beyond, {"key": uuid, "creation": 0}).scalar() is None:
            continue
        these = {"key": uuid, "creation": _creation(tx, uuid)}
        newest = tx.sql.execute(newest_beyond, these).scalar()
        if newest is not None:
            lines += tx.sql.execute(up_to, {**these, "newest": newest, "most": PAGE}).scalars()
    return lines


def _creation(tx: Reader, uuid: str) -> int:
    """The number of the line that tells of a noun's creation; 0 where its first line tells of something else."""
    first = tx.sql.execute(_FIRST, {"key": uuid}).first()
    table = tables.nouns.get(first.kind) if first is not None else None
    if table is None:
        return 0
    # A noun and the line of its creation are of one transaction.
    created = tx.sql.execute(select(table.c.created).where(table.c.uuid == uuid)).scalar()
    return int(first.id) if created == first.at else 0
