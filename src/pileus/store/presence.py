"""Which processes answer requests now: each writes the time under a name of its own, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from pileus.store import tables

if TYPE_CHECKING:
    from pileus.store.store import Store

LIVING = 30
"""Seconds after its last word from which on a process counts no longer."""

_PREFIX = "api:"


def beat(store: Store, name: str) -> int:
    """Say that the process `name` (28 characters at most) lives; how many live, this one included.

    Raises Unavailable.
    """
    meta = tables.meta
    ours = meta.c.name.startswith(_PREFIX)
    with store.write(lasting=False) as tx:
        now = int(tx.now)
        tx.keep_meta(f"{_PREFIX}{name}", now)
        # A time to come was written before a clock was set back.
        silent = (meta.c.value < now - LIVING) | (meta.c.value > now + LIVING)
        tx.sql.execute(delete(meta).where(ours & silent))
        return len(tx.sql.execute(select(meta.c.name).where(ours)).all())
