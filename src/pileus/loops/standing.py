"""Whether a shared store is open, as any process of the cloud reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pileus.rules.core import Core
    from pileus.store.reader import Reader

OPEN, OPEN_UNTIL = "open", "open-until"
"""The numbers in `meta` that say for which incarnation the store was compared, and until when that holds."""

STANDING = 30
"""Seconds for which a comparison holds. Processes with loops renew it; a process that starts later compares anew.

Longer than such a process pauses, shorter than an operator needs to put an old copy in the database's place.
"""


def stands(tx: Reader, now: float) -> bool:
    """Whether a shared store is open: some process that compared it has said so lately, and nobody recovers it."""
    until = tx.meta(OPEN_UNTIL)
    # A clock that was set back leaves a time that nobody could have written.
    lately = now < until <= now + 2 * STANDING
    return lately and tx.meta(OPEN) == tx.incarnation and not tx.recovering


class Awaited:
    """A shared store as a process without loops sees it: closed until some process with loops has compared it."""

    outcome = None

    def __init__(self, core: Core) -> None:
        self._store = core.store
        self._store.shared = self._store.guarded = self._store.closed = True
        self.opened = False

    @property
    def deserted(self) -> bool:
        """Always False: a process without loops asks no host."""
        return False

    def unanswered(self) -> dict[str, str]:
        """Always empty: a process without loops asks no host."""
        return {}

    def missing(self) -> dict[str, str]:
        """Return the reasons why the store stays closed, by missing part. Opens it where there are none."""
        with self._store.read() as tx:
            recovering, standing = tx.recovering, stands(tx, self._store.now())
        if recovering:
            return {"recovery": "The database is older than what this cloud's hosts hold: it is recovered from them."}
        if not standing and not self.opened:
            return {"loops": "No 'pileus loops' has compared the database with the hosts yet."}
        # From then on what was acknowledged waits in the store, whether or not there are loops.
        self._store.closed, self.opened = False, True
        return {}
