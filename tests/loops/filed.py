"""A database whose file, or log, is deleted or replaced under the running cloud; its process notices, and begins anew.

What was acknowledged before that is in the file, or is recovered; nothing is acknowledged that goes to the old file.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.loops.clouds import Cloud, TracedStore, cloud
from tests.loops.folders import folder
from tests.loops.promises import KEPT
from tests.loops.restored import Restored

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.instance import Instance
    from tests import databases
    from tests.loops.nodes import Node
    from tests.loops.world import World

Loss = Literal["deleted", "copy", "log"]
"""What becomes of the file: it is deleted; an old copy takes its place; its log alone is deleted."""

NOTICE = 0.5
"""Seconds between looks of the process at whether its file was replaced (`pileus.app.cloud.REPLACED`)."""


class FileCloud(Cloud):
    """What every world begins with, in a file."""

    def __init__(self) -> None:
        vars(self).update(vars(cloud()))
        self._folder = folder()
        self.path = self._folder / "cloud.db"
        self.path.write_bytes(self._bytes(self._image))
        self._ended: list[TracedStore] = []
        """The stores of processes that ended: a process that is killed closes nothing."""
        self.store = self._opened()

    def reset(self) -> None:
        """Nothing: the file is this world's alone."""

    def load(self, database: databases.Image) -> None:
        """Begin with what is there; with `database` where nothing is."""
        if not self.path.exists():
            self.path.write_bytes(self._bytes(database))
        self._ended.append(self.store)
        self.store = self._opened()

    def _opened(self) -> TracedStore:
        store = TracedStore(f"sqlite:///{self.path}")
        # To compile every statement anew would take longer than the world.
        store.engine._texts = cloud().store.engine._texts
        return store

    def end(self) -> None:
        """Close all and delete the file."""
        for store in (*self._ended, self.store):
            store.close()
        shutil.rmtree(self._folder)

    @staticmethod
    def _bytes(database: databases.Image) -> bytes:
        assert isinstance(database, bytes)
        return database


class FileLoss(Restored):
    """Does it once, amid the storm, at times within a commit, and holds the recovery that follows."""

    def __init__(self, world: World, what: Loss) -> None:
        assert isinstance(world.cloud, FileCloud)
        self._file = world.cloud
        self._loss = what
        super().__init__(world, "copy")

    @property
    def lossy(self) -> bool:
        """Whether anything is lost: what a deleted log held is copied into the file."""
        return self._loss != "log"

    @property
    def requested(self) -> bool:
        """Whether the next start recovers the copy: a process that notices the copy orders that, and ends."""
        return self.lossy

    def _replaced(self) -> None:
        if self._world.random.random() < 0.5:
            self._world.store.before_commit = self._lose
        else:
            self._lose()

    def _lose(self) -> None:
        world, path = self._world, self._file.path
        self._living = self._alive()
        world.log("the database's file:", self._loss)
        if self._loss == "log":
            Path(f"{path}-wal").unlink()
            if world.random.random() < 0.5:
                Path(f"{path}-shm").unlink()
        elif self._loss == "deleted":
            path.unlink()
        else:
            assert isinstance(self._copy, bytes)
            aside = path.with_suffix(".new")
            aside.write_bytes(self._copy)
            aside.replace(path)
        world.store.lost = True
        world.after(NOTICE, self._look)

    def _look(self) -> None:
        """As the process does: when it has noticed, it ends, and is started anew."""
        world, store = self._world, self._world.store
        if not store.replaced:
            world.after(NOTICE, self._look)
            return
        complete = store.abandon()
        world.log("the process ends; all is in the file:", complete)
        if not complete and not self.lossy:
            world.promises.broken(KEPT, "what the deleted log held is not in the database's file")
        if not self.lossy:
            # Within one process, SQLite would go on with the deleted log's index.
            store.close()
        world.restart(self._file.empty)
        self._living &= self._alive()
        world.restoring = self
        self._start()
        self._tick()

    def _judged(self, rows: dict[str, Instance], heard_nodes: Iterable[Node]) -> None:
        if self.lossy:
            super()._judged(rows, heard_nodes)
        else:
            self._world.users.look(rows)
