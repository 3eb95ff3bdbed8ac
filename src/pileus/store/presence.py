"""The API processes that live: each counts its heartbeats under its own name, and the others watch the number."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select

from pileus.store import tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.store.store import Store

LIVING = 30
"""Seconds after its last heartbeat from which on a process counts no longer."""

_PREFIX = "api:"
_meta = tables.meta
_ALL = select(_meta).where(_meta.c.name.startswith(_PREFIX))
_DROP = delete(_meta).where(_meta.c.name.in_(bindparam("names", expanding=True)))


class Heartbeats:
    """The heartbeats of the process `name` (28 characters at most), and of the other processes as it sees them.

    No time is compared with another process's: their clocks may differ. A process lives while its number changes, by
    the monotonic clock, in seconds, of the one that looks. A number that is seen for the first time counts as changed.
    """

    def __init__(self, store: Store, name: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._name = f"{_PREFIX}{name}"
        self._monotonic = monotonic
        self._count = 0
        self._seen: dict[str, tuple[int, float]] = {}
        """The number of each process, and when this one saw it change, by name."""

    def send(self) -> int:
        """Raise the number of this process; return how many processes live, this one included. Raises Unavailable."""
        self._count += 1
        with self._store.write(lasting=False) as tx:
            tx.keep_meta(self._name, self._count)
            numbers = {row.name: row.value for row in tx.sql.execute(_ALL).all()}
            now, before = self._monotonic(), self._seen
            self._seen = {
                name: before[name] if name in before and before[name][0] == number else (number, now)
                for name, number in numbers.items()
            }
            silent = [name for name, (_, changed) in self._seen.items() if now - changed > LIVING]
            if silent:
                tx.sql.execute(_DROP, {"names": silent})
        return len(numbers) - len(silent)
