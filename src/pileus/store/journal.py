"""Shortening the journal: of each noun that lives its newest lines are kept, whatever is asked of it for years."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, func, select

from pileus.model import bounds
from pileus.store import tables

if TYPE_CHECKING:
    from sqlalchemy import Delete, Select

    from pileus.store.store import Store

AGE = 7 * 24 * 3600.0
"""Seconds for which every line is kept."""

AHEAD = 3600.0
"""Seconds beyond now from which on a line's time counts as wrong: more than the clocks of processes differ."""

PAGE = 1000
"""Lines that one sweep looks at: fifty a second, for it comes every twenty seconds."""

_journal = tables.journal
_PAGE: Final[Select[Any]] = (
    select(_journal.c.id, _journal.c.uuid, _journal.c.at, _journal.c.outcome)
    .where(_journal.c.id > bindparam("after"))
    .order_by(_journal.c.id)
    .limit(PAGE)
)
_NEWER: Final[Select[Any]] = select(func.count()).select_from(
    select(_journal.c.id)
    .where(_journal.c.uuid == bindparam("key"), _journal.c.id > bindparam("after"))
    .limit(bounds.JOURNAL.most)
    .subquery()
)
_DROP: Final[Delete] = delete(_journal).where(_journal.c.id.in_(bindparam("ids", expanding=True)))


class JournalSweep:
    """Goes through the journal from its oldest line, some lines at a time, and begins anew at its end."""

    def __init__(self) -> None:
        self._after = 0

    def sweep(self, store: Store) -> int:
        """Erase the settled lines of the next page that are older than `AGE` and not among their noun's newest.

        Returns how many. Lines that are open stay: something waits for them. A line whose time is no number, or was
        written while a clock was ahead, counts as old: it tells nothing of when the line was written.
        """
        now = store.now()
        with store.read() as tx:
            page = tx.sql.execute(_PAGE, {"after": self._after}).all()
            old = {line.id for line in page if _is_old(line.at, now)}
            newer = Counter(line.uuid for line in page)
            if old:
                last = {"after": page[-1].id}
                for uuid in {line.uuid for line in page if line.id in old}:
                    newer[uuid] += tx.sql.execute(_NEWER, {"key": uuid, **last}).scalar() or 0
        surplus = []
        for line in page:
            newer[line.uuid] -= 1
            if line.id in old and line.outcome != "open" and newer[line.uuid] >= bounds.JOURNAL.most:
                surplus.append(line.id)
        if surplus:
            with store.write(lasting=False) as tx:
                tx.sql.execute(_DROP, {"ids": surplus})
        # What follows a line that is too young is younger still.
        self._after = page[-1].id if len(page) == PAGE and page[-1].id in old else 0
        return len(surplus)


def _is_old(at: object, now: float) -> bool:
    # SQLite keeps a value of any type in a column of any type.
    return not isinstance(at, (int, float)) or not now - AGE <= at <= now + AHEAD
