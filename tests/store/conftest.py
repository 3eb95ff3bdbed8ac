"""A store in memory with a clock that the test sets, and one in a file."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from pileus.store.migrate import migrate
from pileus.store.store import Store
from tests.store.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@functools.cache
def empty() -> bytes:
    """A database as the migrations make it: they take thirty times what a copy takes."""
    store = Store("sqlite://")
    migrate(store.engine)
    image: bytes = store.engine.sql.raw_connection().driver_connection.serialize()  # type: ignore[union-attr]
    store.close()
    return image


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[Store]:
    made = Store("sqlite://", now=clock)
    made.engine.sql.raw_connection().driver_connection.deserialize(empty())  # type: ignore[union-attr]
    yield made
    made.close()


@pytest.fixture
def filed(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A store that several threads read and write at once."""
    (tmp_path / "store.db").write_bytes(empty())
    made = Store(f"sqlite:///{tmp_path}/store.db", now=clock)
    yield made
    made.close()
