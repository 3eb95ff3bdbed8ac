"""Hosts that fall silent: noticed once, written into the journal, and over with their next report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from pileus.model.caller import SYSTEM
from pileus.model.host import Host, alive, heard_lately
from pileus.model.image import Image, on_host
from pileus.model.image import converged as image_converged
from pileus.model.instance import Instance, converged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.rules.core import Core
    from pileus.store.writer import Writer

LOOK = 5.0
"""Seconds between looks: a host is shown as lost at once, its line in the journal comes so much later at most."""

LATER = 60.0
"""Seconds after which an order is sent again to a host that is silent: its next report wakes what waits for it."""

LOST, BACK = "host.lost", "host.back"

log = structlog.get_logger()


def watch(core: Core) -> None:
    """Write down which hosts have fallen silent since the last look. Nothing while the store is closed."""
    if core.store.closed:
        return
    with core.store.read() as tx:
        hosts = tx.list(Host)
    attend = getattr(core.hosts, "attend", None)
    if attend is not None:
        # Another process may have heard of one first.
        attend([host.name for host in hosts])
    silent_uuids = [host.uuid for host in hosts if _news(host, core.store.now())]
    if not silent_uuids:
        return
    with core.store.write() as tx:
        for host in tx.many(Host, silent_uuids).values():
            if host.gone is None and _news(host, tx.now):
                silent = tx.now - host.seen.heard
                tx.see(host, msgspec.structs.replace(host.seen, lost=True))
                tx.add_journal_line(SYSTEM, host, LOST, outcome="done", detail=f"last heard of {silent:.0f} s ago")
                log.warning("host lost", host=host.name, silent=round(silent))


def silent(tx: Writer, hosts: Iterable[str]) -> set[str]:
    """The names of these hosts that were not heard lately, or that the store does not know."""
    names = set(hosts)
    if not names:
        return set()
    rows = tx.many(Host, tx.holders("host", names).values()).values()
    return names - {host.name for host in rows if alive(host, tx.now)}


def returned(host: Host, now: float) -> bool:
    """Whether a host that reports now was silent before."""
    return host.seen.lost or not heard_lately(host.seen.heard, now)


def wake_waiting(tx: Writer, host: str) -> None:
    """Have loops look at what waits for this host, which is heard again."""
    instances = tx.many(Instance, tx.taken(f"host:{host}"))
    tx.wake_all(Instance.KIND, [uuid for uuid, row in instances.items() if row.gone is None and not converged(row)])
    images = tx.many(Image, tx.taken(on_host(host)))
    tx.wake_all(Image.KIND, [uuid for uuid, row in images.items() if row.gone is None and not image_converged(row)])


def back(tx: Writer, host: Host) -> None:
    """A lost host has reported."""
    silent = tx.now - host.seen.heard
    tx.add_journal_line(SYSTEM, host, BACK, outcome="done", detail=f"after {silent:.0f} s")
    log.info("host back", host=host.name, silent=round(silent))


def _news(host: Host, now: float) -> bool:
    # One that joined, and was never heard yet, has not fallen silent.
    return host.seen.heard > 0 and not host.seen.lost and not alive(host, now)
