"""Wakes one at a time: tests read better so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pileus.store.store import Claimed, Store


def claim_wake(store: Store) -> Claimed | None:
    """Take the wake that has been due for longest and is nobody's; None when there is none."""
    return next(iter(store.claim_wakes(1)), None)


def finish_wake(
    store: Store, wake: Claimed, due: float | None, *, failed: bool = False, claim: bool = False
) -> Claimed | None:
    """Give a wake back; with `claim`, take the next one."""
    return next(iter(store.finish_wakes([(wake, due, failed)], claim=int(claim))), None)
