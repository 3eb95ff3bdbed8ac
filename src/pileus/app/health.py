"""Whether a cloud can do what it is asked: its store answers, and a host reports."""

from __future__ import annotations

import structlog

from pileus.model.host import LOST_AFTER, Host
from pileus.store.store import Store

log = structlog.get_logger()


def missing(store: Store) -> list[str]:
    """What cannot be had: "store", or "host" when none has reported within the time after which one counts as lost."""
    try:
        with store.read() as tx:
            heard = max((host.seen.heard for host in tx.list(Host)), default=0.0)
        return [] if store.now() - heard < LOST_AFTER else ["host"]
    except Exception:
        log.exception("the store does not answer")
        return ["store"]
