"""A store with a clock that the test sets, and databases of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.store import store as stores
from pileus.store.journal import JournalSweep
from pileus.store.migrate import migrate
from pileus.store.store import Store
from tests import databases
from tests.databases import url
from tests.store.clock import Clock
from tests.store.kept import empty, kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["clock", "filed", "store", "url"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[Store]:
    image, made = empty(), kept()
    databases.load(made, image)
    made.now = clock
    made._sweep = JournalSweep()
    made._swept = int(clock() - stores.TOMBSTONE), clock()
    yield made
    made.closed = False
    made._on_commit.clear()
    made._owed.clear()
    made._resynced.clear()


@pytest.fixture
def filed(url: Callable[[str], str], clock: Clock) -> Iterator[Store]:
    """A store that several threads read and write at once."""
    made = Store(url("store"), now=clock)
    migrate(made.engine)
    yield made
    made.close()
