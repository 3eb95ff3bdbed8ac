"""A store in memory with a clock that the test sets, and one in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.store.migrate import migrate
from pileus.store.store import Store
from tests.store.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[Store]:
    made = Store("sqlite://", now=clock)
    migrate(made.engine)
    yield made
    made.close()


@pytest.fixture
def filed(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A store that several threads read and write at once."""
    made = Store(f"sqlite:///{tmp_path}/store.db", now=clock)
    migrate(made.engine)
    yield made
    made.close()
