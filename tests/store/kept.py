"""The store that the tests of one process use in turn."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from tests import databases
from tests.store.clock import Clock

if TYPE_CHECKING:
    from pileus.store.store import Store


@functools.cache
def _made() -> tuple[Store, databases.Image]:
    """The store, and what it held before any test used it."""
    store = databases.opened(Clock())
    return store, databases.copy(store)


def kept() -> Store:
    """The store that all tests of this process use in turn: making tables takes longer than emptying them."""
    return _made()[0]


def empty() -> databases.Image:
    """What a new database holds."""
    return _made()[1]
