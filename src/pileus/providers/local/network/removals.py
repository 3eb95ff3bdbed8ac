"""The removals, remembered for a day, so that a worker that slept meanwhile cannot bring a removed noun back.

A removal is a row of DHCP options that nothing refers to, which OVN ignores; it lives and commits with all the rest.
"""

from __future__ import annotations

import time
import uuid as uuids
from collections.abc import Iterator
from typing import Any

from pileus.model.noun import NEVER, Revision
from pileus.model.provider import Recalled
from pileus.providers.local.network.rows import KIND, UUID, NorthboundRows, Superseded, marks, revision_of

TABLE = "DHCP_Options"
KEPT = 86400.0
"""Seconds: longer than any worker can be paused."""

_BEGUN = time.time() - time.monotonic()
"""By how much the wall clock was ahead of the monotonic one when this process began."""

_REMOVED, _AT = "removed", "pileus-at"


def heed(rows: NorthboundRows, uuid: str, revision: Revision) -> None:
    """Raise Superseded when a removal of `uuid`, of this revision or a later one, was ordered; now or by the commit."""
    own = _row(uuid)
    row = rows.get(TABLE, own)
    if row is None:
        rows.absent(TABLE, own)
    elif revision_of(row) >= revision:
        raise Superseded


def record(rows: NorthboundRows, uuid: str, revision: Revision) -> None:
    """Remember that `uuid` was ordered away by `revision`."""
    own = _row(uuid)
    row = rows.get(TABLE, own)
    if revision == NEVER or (row is not None and revision_of(row) >= revision):
        return
    rows.put(
        TABLE,
        own,
        cidr="0.0.0.0/32",
        external_ids={**marks(_REMOVED, uuid, revision), _AT: str(int(time.time()))},
    )


def recall(tables: Any) -> Iterator[Recalled]:
    """The removals that are remembered."""
    for row in tables[TABLE].rows.values():
        if row.external_ids.get(KIND) == _REMOVED:
            yield Recalled(kind="", uuid=row.external_ids.get(UUID, ""), revision=revision_of(row), gone=True)


def forget(rows: NorthboundRows) -> None:
    """Drop the removals that are older than any pause."""
    # A step of the clock makes none older by more than an hour.
    before = min(time.time(), _BEGUN + time.monotonic() + 3600) - KEPT
    for row in list(rows.tables[TABLE].rows.values()):
        if row.external_ids.get(KIND) == _REMOVED and float(row.external_ids.get(_AT, "0")) < before:
            rows.delete(TABLE, row.uuid)


def _row(uuid: str) -> uuids.UUID:
    return uuids.uuid5(uuids.NAMESPACE_OID, f"{_REMOVED}/{uuid}")
