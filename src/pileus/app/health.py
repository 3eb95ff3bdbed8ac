"""Whether a cloud can do what it is asked: its store can be read and written, and a host reports."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from pileus.model.errors import Unavailable
from pileus.model.host import LOST_AFTER, Host, alive
from pileus.store.store import Store

log = structlog.get_logger()


def missing(store: Store, opening: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What cannot be had, and why: "store", or "host" when none is heard of for as long as makes one count as lost.

    `opening` says what is waited for until the store was compared with its hosts.
    """
    try:
        waiting = opening()
        if waiting:
            return waiting
        with store.read() as tx:
            hosts = tx.list(Host)
        # A process with loops writes reports every few seconds: what came of the last one is never old news. Another
        # one is asked for nothing while it is not well.
        if store.trouble is not None and store.shared:
            store.prove()
        if store.trouble is not None:
            return {"store": store.trouble.message}
    except Unavailable as error:
        return {"store": error.message}
    except Exception as error:
        log.exception("the store does not answer")
        return {"store": f"The cloud's database cannot be used: {type(error).__name__}; the cloud's log tells more."}
    if any(alive(host, store.now()) for host in hosts):
        return {}
    return {"host": f"No host has reported within the last {LOST_AFTER:.0f} s; 'pileus status' tells what runs."}
