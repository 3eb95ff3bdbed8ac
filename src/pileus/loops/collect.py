"""Forgetting objects that nothing names any more, long after anything did: a thread of its own looks now and then."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import structlog

from pileus.model.host import Host, condition
from pileus.model.threads import Thread
from pileus.verbs.image import named

if TYPE_CHECKING:
    from pileus.objects import ObjectStore, Stored
    from pileus.verbs.core import Core

OFTEN = 3600.0
"""Seconds between looks. An object that is needed is known to be, at the latest that long after it was named."""

SOON = 5.0
"""Seconds before the first one."""

DAY = 24 * 3600.0

log = structlog.get_logger()


class Collector:
    """Has `objects` forget what nothing in the store has named for `days` (0: never). Any number may look at once.

    A copy of the database that is not older than that finds all that it names, and what it does not know stays. The
    first look only says what is needed: nothing is forgotten that was not unneeded at two looks of a process.
    """

    def __init__(self, core: Core, objects: ObjectStore, days: float, often: float = OFTEN) -> None:
        self._core = core
        self._objects = objects
        self._unused = days * DAY + often
        self._often = often
        self._looked = False
        self._stopping = threading.Event()
        self._thread = Thread("collect", self._wait_and_look, self._stopping)

    def start(self) -> None:
        """Look from now on, for the first time soon."""
        if self._unused > self._often:
            self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> list[Stored]:
        """One look; the objects that were forgotten. Raises Unavailable and OSError."""
        store = self._core.store
        with store.write():
            # Nobody recovers it now: not everything that is to be in it would be there.
            pass
        since = self._objects.known(self._database)
        with store.read() as tx:
            needed = named(tx)
            # One that is silent may have orders that a restored database has still to hear of.
            heard = all(condition(host, store.now()) != "lost" for host in tx.list(Host))
        sure = self._looked and heard
        gone = self._objects.sweep(needed, self._unused if sure else math.inf, since)
        self._looked = True
        for stored in gone:
            log.info("object forgotten", digest=stored.digest, bytes=stored.size)
        return gone

    def _database(self) -> tuple[int, int]:
        with self._core.store.read() as tx:
            return tx.meta("incarnation"), tx.last_line()

    def _wait_and_look(self) -> None:
        if not self._stopping.wait(self._often if self._looked else SOON):
            self.look()
