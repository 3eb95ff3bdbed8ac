"""Wakes one at a time: tests read better so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pileus.store.store import LeasedWake, Store


def lease_wake(store: Store) -> LeasedWake | None:
    """Lease the wake that has been due for longest and is nobody's; None when there is none."""
    return next(iter(store.lease_wakes(1)), None)


def finish_wake(
    store: Store, wake: LeasedWake, due: float | None, *, failed: bool = False, lease: bool = False
) -> LeasedWake | None:
    """Give a wake back; with `lease`, lease the next one."""
    return next(iter(store.finish_wakes([(wake, due, failed)], lease=int(lease))), None)
