"""Numbers of instances, by which mcc's clients know them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pileus.store.reader import Reader


POOL = "mcc"

FIRST = 500


def free(tx: Reader, count: int) -> list[int]:
    """The `count` lowest numbers that nobody has."""
    claimed_numbers = tx.taken(POOL)
    return list(itertools.islice((n for n in itertools.count(FIRST) if str(n) not in claimed_numbers), count))
