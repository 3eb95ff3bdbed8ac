"""Forgetting objects that nothing names any more, long after anything did: a thread of its own looks now and then."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from pileus.model import quota
from pileus.model.host import Host, condition
from pileus.model.noun import project_scope
from pileus.model.project import Project
from pileus.model.threads import Thread
from pileus.rules.image import named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.objects import ObjectStore, Stored
    from pileus.rules.core import Core
    from pileus.store.reader import Reader

OFTEN = 3600.0
"""Seconds between looks. An object that is needed is known to be, at the latest that long after it was named."""

SOON = 5.0
"""Seconds before the first one."""

RELIEF = 60.0
"""Seconds between looks at what projects have more than their quota has room for."""

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
        self._due = time.monotonic() + SOON
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
        with self._named() as (tx, needed, since):
            # A silent host may have orders that a restored database has still to hear of.
            all_heard = all(condition(host, store.now()) != "lost" for host in tx.list(Host))
        sure = self._looked and all_heard
        gone = self._objects.sweep(needed, self._unused if sure else math.inf, since)
        self._looked = True
        for stored in gone:
            log.info("object forgotten", digest=stored.digest, bytes=stored.size)
        return gone

    @contextmanager
    def _named(self) -> Iterator[tuple[Reader, set[str], float]]:
        """Context manager: a transaction, the digests that it names, and a moment before it.

        Raises Unavailable while the store is recovered, or has an unreadable row: it would not name all.
        """
        with self._core.store.write():
            pass
        since = self._objects.known(self._database)
        with self._core.store.read() as tx:
            with tx.complete():
                needed = named(tx)
            yield tx, needed, since

    def _database(self) -> tuple[int, int]:
        with self._core.store.read() as tx:
            return tx.incarnation, tx.last_line()

    def relieve(self) -> list[Stored]:
        """Have projects lose their oldest unneeded objects, where these and their images are more than their quota.

        Otherwise a project that uploads, deletes and uploads again would fill the disk without reaching its quota; and
        were unneeded objects to count in the quota, deleting an image would make no room. Lost hosts do not matter:
        what is removed was deleted by the owner in this very database. Returns what went. Raises Unavailable, OSError.
        """
        store = self._core.store
        owned = self._objects.owned()
        with store.read() as tx:
            room = {owner: space for owner in owned if (space := _room(tx, owner)) is not None}
        crowded = [owner for owner, space in room.items() if owned[owner] > space]
        if not crowded:
            return []
        with self._named() as (tx, needed, since):
            room |= {owner: space for owner in crowded if (space := _room(tx, owner)) is not None}
        gone = [stored for owner in crowded for stored in self._objects.relieve(owner, needed, room[owner], since)]
        for stored in gone:
            log.info("object removed for its project's quota", digest=stored.digest, bytes=stored.size)
        return gone

    def _wait_and_look(self) -> None:
        if self._stopping.wait(RELIEF if self._looked else SOON):
            return
        self.relieve()
        if time.monotonic() >= self._due:
            self.look()
            self._due = time.monotonic() + self._often


def _room(tx: Reader, owner: str) -> int | None:
    """The GiB that a project's quota leaves beside its images; None: any number, or no such project can be read."""
    project = tx.many(Project, [owner]).get(owner)
    limit = quota.limit(project, "imagespace") if project is not None else None
    scope = project_scope(owner)
    return None if limit is None else limit - tx.usage(scope).get((scope, "imagespace"), 0)
