"""Processes that answer requests of one cloud count each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.app import presence
from pileus.app.presence import Presence
from pileus.app.processes import until
from pileus.store.migrate import migrate
from pileus.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path


def test_two_processes_see_each_other_and_outlive_a_store_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "INTERVAL", 0.01)
    store = Store(f"sqlite:///{tmp_path}/pileus.db")
    migrate(store.engine)
    first, second = Presence(store), Presence(store)
    assert first.count() == second.count() == 1
    first.start()
    try:
        store.closed = True  # while it is recovered nothing can be written
        second.start()
        store.closed = False
        assert until(lambda: first.count() == second.count() == 2, 20)
    finally:
        first.stop()
        second.stop()
        store.close()
