"""File descriptors that run out: of a host's process, and of the cloud's; whatever would open something fails then.

Hosts have books in files here: `open` itself fails, amid whatever the book was writing.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import random
import shutil
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from pileus.host.book import DAMAGED
from tests.loops.folders import folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from tests.loops.world import World

CLOUD = "cloud"
"""The name of the cloud's process, beside those of hosts."""

CANNOT_OPEN = 14
"""SQLITE_CANTOPEN: what SQLite says when it has no descriptor for the file."""


class Descriptors:
    """Has processes run out of descriptors amid the storm, for seconds; about half of what would open one fails."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random.Random(f"{world.seed} descriptors")
        self._until: dict[str, float] = {}
        self._folder: Path | None = None
        self.failed = 0
        """How often something could not be opened."""

    def book(self, host: str) -> Path:
        """The folder of a host's book."""
        if self._folder is None:
            self._folder = folder()
        return self._folder / host

    def begin(self) -> None:
        """Begin."""
        self._world.after(self._random.uniform(0, 4), self._next)

    def _next(self) -> None:
        if self._world.storm:
            name = self._random.choice((CLOUD, *self._world.nodes, *self._world.nodes))
            self._until[name] = self._world.now + self._random.uniform(0.5, 8)
            self._world.log(name, "has no descriptors")
            self._world.after(self._random.expovariate(1 / 3), self._next)

    def take(self, name: str) -> None:
        """Open something. Raises OSError when there is no descriptor for it."""
        if self._until.get(name, 0.0) > self._world.now and self._random.random() < 0.5:
            self.failed += 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def complaints(self) -> Iterator[str]:
        """What was set aside as damaged, though it could be read later."""
        for host in self._world.nodes:
            for path in (self.book(host) / DAMAGED).glob("*"):
                yield f"{host} set aside {path.name}, which was not damaged"

    @contextmanager
    def running_out(self) -> Iterator[None]:
        """Within the block, what opens files of books, or the database, may fail."""
        engine = self._world.store.engine
        begin = engine.write

        @contextmanager
        def write(**how: Any) -> Iterator[Connection]:
            with engine._telling():
                self._connect()
            with begin(**how) as connection:
                yield connection

        with contextlib.ExitStack() as patches:
            for module, name in ((os, "open"), (io, "open"), (os, "scandir")):
                patches.enter_context(mock.patch.object(module, name, self._checked(getattr(module, name))))
            patches.enter_context(mock.patch.object(engine, "write", write))
            try:
                yield
            finally:
                if self._folder is not None:
                    shutil.rmtree(self._folder)

    def _connect(self) -> None:
        try:
            self.take(CLOUD)
        except OSError:
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = CANNOT_OPEN
            raise error from None

    def _checked(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: Any, *more: Any, **named: Any) -> Any:
            if self._folder is not None and isinstance(path, str | os.PathLike):
                there = str(path).removeprefix(f"{self._folder}/")
                if there != str(path):
                    self.take(there.partition("/")[0])
            return real(path, *more, **named)

        return opened
