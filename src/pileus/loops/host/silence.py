"""Hosts that fall silent: noticed once, written into the journal, and over with their next report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from pileus.model.caller import SYSTEM
from pileus.model.host import Host, alive

if TYPE_CHECKING:
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core

LOOK = 5.0
"""Seconds between looks: a host is shown as lost at once, its line in the journal comes so much later at most."""

LOST, BACK = "host.lost", "host.back"

log = structlog.get_logger()


def watch(core: Core) -> None:
    """Write down which hosts have fallen silent since the last look. Nothing while the store is closed."""
    if core.store.closed:
        return
    with core.store.read() as tx:
        found = [host.uuid for host in tx.list(Host) if _news(host, core.store.now())]
    if not found:
        return
    with core.store.write() as tx:
        for host in tx.many(Host, found).values():
            if host.gone is None and _news(host, tx.now):
                silent = tx.now - host.seen.heard
                tx.see(host, msgspec.structs.replace(host.seen, lost=True))
                tx.record(SYSTEM, host, LOST, outcome="done", detail=f"last heard of {silent:.0f} s ago")
                log.warning("host lost", host=host.name, silent=round(silent))


def back(tx: Writer, host: Host) -> None:
    """A lost host has reported."""
    silent = tx.now - host.seen.heard
    tx.record(SYSTEM, host, BACK, outcome="done", detail=f"after {silent:.0f} s")
    log.info("host back", host=host.name, silent=round(silent))


def _news(host: Host, now: float) -> bool:
    # One that joined, and was never heard yet, has not fallen silent.
    return host.seen.heard > 0 and not host.seen.lost and not alive(host, now)
