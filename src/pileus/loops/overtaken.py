"""Rows that could not be read while the store was recovered: hosts refuse what they were ordered before that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.image import Assigned as ImageAssigned
from pileus.rules import comparison

if TYPE_CHECKING:
    from pileus.model.image import Image
    from pileus.model.instance import Instance
    from pileus.model.noun import Noun
    from pileus.store.writer import Writer


def overtaken(tx: Writer, row: Noun) -> bool:
    """Whether the row's latest order is of an incarnation before the store's. A recovery renews what it can read."""
    return 0 < row.revision[0] < tx.incarnation


def instance(tx: Writer, row: Instance) -> Instance:
    """The instance with all its orders at a new revision, if they were overtaken; it waits for its host, or no more.

    One of a host that was not heard in the recovery waits for it, as every other row of that host does. One that could
    not be read when its host was heard has waited long enough.
    """
    hosts = {host for host in (row.assigned.host, *row.assigned.clear) if host}
    if row.assigned.unheard is not None:
        if not comparison.was_heard(tx, hosts) or any(comparison.late(tx, host) for host in hosts):
            return row
        row = tx.assign(row, msgspec.structs.replace(row.assigned, unheard=None))
    if not overtaken(tx, row):
        return row
    if not comparison.was_heard(tx, hosts):
        return comparison.wait(tx, row)
    row = tx.revise(row)
    clear = dict.fromkeys(row.assigned.clear, row.revision)
    return tx.assign(row, msgspec.structs.replace(row.assigned, clear=clear, content=""))


def image(tx: Writer, row: Image) -> Image:
    """The capture with all its orders at a new revision."""
    assigned = row.assigned or ImageAssigned()
    row = tx.revise(row)
    clear = dict.fromkeys(assigned.clear, row.revision)
    return tx.assign(row, msgspec.structs.replace(assigned, clear=clear, content=""))
