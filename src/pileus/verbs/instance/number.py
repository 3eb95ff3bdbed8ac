"""Numbers by which mcc's clients know instances: the lowest free one from 500 on, free again with its row."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from pileus.model.instance import Instance
from pileus.verbs import find
from pileus.verbs.instance import view

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.verbs.core import Core
    from pileus.verbs.instance.view import InstanceView

POOL = "mcc"
FIRST = 500


def free(tx: Reader, count: int) -> list[int]:
    """The `count` lowest numbers that nobody has."""
    claimed_numbers = tx.taken(POOL)
    return list(itertools.islice((n for n in itertools.count(FIRST) if str(n) not in claimed_numbers), count))


def listing(caller: Caller, core: Core) -> list[InstanceView]:
    """The project's living instances by number; one that has none yet, for another face launched it, gets one."""
    views, _ = view.listing(caller, core)
    if _without(view.instance for view in views):
        _number(caller, core)
        views, _ = view.listing(caller, core)
    numbered_views = [view for view in views if view.instance.gone is None and view.instance.assigned.number]
    return sorted(numbered_views, key=lambda view: view.instance.assigned.number)


def numbered(caller: Caller, core: Core, number: int) -> Instance | None:
    """The caller's living instance that has this number."""
    with core.store.read() as tx:
        holder = tx.claimed(POOL, str(number))
        instance = tx.get(Instance, holder[1]) if holder else None
    return instance if instance is not None and instance.gone is None and find.visible(caller, instance) else None


def _number(caller: Caller, core: Core) -> None:
    """Number those of the project that have none, in the order of their making."""
    with core.store.write() as tx:
        new = _without(tx.list(Instance, project=caller.project))
        for row, number in zip(new, free(tx, len(new)), strict=True):
            numbered_row = tx.assign(row, msgspec.structs.replace(row.assigned, number=number))
            tx.record(caller, numbered_row, "instance.number", outcome="done")
            # Its host keeps the number too: it is in the order's record.
            tx.wake(numbered_row)


def _without(rows: Iterable[Instance]) -> list[Instance]:
    return [row for row in rows if row.gone is None and not row.assigned.number]
