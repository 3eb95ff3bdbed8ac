"""Numbers by which mcc's clients know instances: the lowest free one from 500 on, free again with its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.instance import Instance
from pileus.rules.instance.number import free
from pileus.rules.rights import requires
from pileus.verbs.instance import view

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.rules.instance.view import InstanceView


@requires("member")
def listing(caller: Caller, core: Core) -> list[InstanceView]:
    """The project's living instances by number; one that has none yet, for another face launched it, gets one."""
    views, _ = view.listing(caller, core)
    if _without(view.instance for view in views):
        _number(caller, core)
        views, _ = view.listing(caller, core)
    numbered_views = [view for view in views if view.instance.gone is None and view.instance.assigned.number]
    return sorted(numbered_views, key=lambda view: view.instance.assigned.number)


def _number(caller: Caller, core: Core) -> None:
    """Number those of the project that have none, in the order of their making."""
    with core.store.write() as tx:
        new = _without(tx.list(Instance, project=caller.project))
        for row, number in zip(new, free(tx, len(new)), strict=True):
            numbered_row = tx.assign(row, msgspec.structs.replace(row.assigned, number=number))
            tx.add_journal_line(caller, numbered_row, "instance.number", outcome="done")
            # Its host keeps the number too: it is in the order's record.
            tx.wake(numbered_row)


def _without(rows: Iterable[Instance]) -> list[Instance]:
    return [row for row in rows if row.gone is None and not row.assigned.number]
