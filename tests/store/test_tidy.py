"""SQLite's log is copied into the database's file by who has the time, and not by a commit."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from pileus.model.flavor import Flavor
from pileus.store.engine import UNTIDY
from pileus.store.migrate import migrate
from pileus.store.store import Store
from tests.store.clock import flavor

if TYPE_CHECKING:
    from pathlib import Path


def filled(folder: Path) -> Store:
    """A store in a file, with so many commits that its log is to be copied."""
    store = Store(f"sqlite:///{folder}/store.db")
    migrate(store.engine)
    for number in range(UNTIDY):
        with store.write() as tx:
            tx.add(flavor(f"f{number}"))
    return store


def in_the_file(folder: Path) -> int:
    """How many flavors the database's file has without its log."""
    shutil.copy(folder / "store.db", folder / "alone.db")
    alone = Store(f"sqlite:///{folder}/alone.db")
    with alone.read() as tx:
        count = len(tx.list(Flavor))
    alone.close()
    return count


def test_it_is_copied_while_others_read_and_write(tmp_path: Path) -> None:
    store = filled(tmp_path)
    assert store.engine.untidy.is_set()
    with store.write() as tx, store.read() as reading:
        tx.add(flavor("late"))
        store.engine.tidy()
        assert len(reading.list(Flavor)) == UNTIDY
    assert not store.engine.untidy.is_set()
    assert in_the_file(tmp_path) == UNTIDY
    store.close()
