"""The instance loop: decides and commits, then sends; results come only as reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from pileus.bus.messages import Order
from pileus.loops import overtaken, resolve, router, silence
from pileus.model.caller import SYSTEM
from pileus.model.floatingip import FloatingIp
from pileus.model.image import of_instance
from pileus.model.instance import Instance, Seen, converged
from pileus.model.port import Port
from pileus.model.spec import content_digest
from pileus.model.volume import Volume
from pileus.rules.instance import power, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.rules.core import Core
    from pileus.store.journalreader import JournalEntry
    from pileus.store.writer import Writer

AGAIN = 2.0
"""Seconds after which an order that no report has answered is sent again."""

POWER = {"instance.launch": True, "instance.start": True, "instance.stop": False}
"""The verbs that raise the power number, and whether they want it running."""


log = structlog.get_logger()


def step(core: Core, uuid: str, request: str = "") -> float | None:
    """One step towards what is wanted; returns when to look again, None for when woken.

    `request` is the id of the request for whose sake it is done; hosts are told, for their logs.
    """
    return steps(core, {uuid: request})[uuid]


def steps(core: Core, requests: Mapping[str, str]) -> dict[str, float | None]:
    """The same for many, by uuid, in one transaction: what cannot be done for one is done for none."""
    planned: dict[str, tuple[Instance, list[tuple[str, Order]], Instance]] = {}
    with core.store.write() as tx:
        rows = tx.many(Instance, requests)
        if len(rows) > 1:
            tx.reserve(sum(not converged(row) for row in rows.values()) or 1)
            tx.preload_referring(Volume, rows)
            ports = tx.preload_referring(Port, rows)
            tx.preload_referring(FloatingIp, [port.uuid for port in ports])
        for uuid, row in rows.items():
            if row.gone is None:
                planned[uuid] = (row, *plan(core, tx, row))
        repeated = [orders for before, orders, row in planned.values() if row.revision == before.revision]
        silent = silence.silent(tx, (host for orders in repeated for host, _ in orders))
        opening = tx.opening
    now = core.store.now()
    due = dict.fromkeys(requests)
    for uuid, (before, orders, row) in planned.items():
        sent = [(host, msgspec.structs.replace(each, request=requests[uuid], opening=opening)) for host, each in orders]
        _send(core, sent, row, changed=row.revision != before.revision)
        if row.gone is None and not converged(row) and row.assigned.unheard is None:
            waits = orders and all(host in silent for host, _ in orders)
            due[uuid] = now + (silence.LATER if waits else AGAIN)
    return due


def _send(core: Core, orders: list[tuple[str, Order]], row: Instance, *, changed: bool) -> None:
    # An order is sent until a report answers it: a host that is away is not to fill the log.
    tell = log.info if changed else log.debug
    for host, order in orders:
        core.hosts.send(host, order)
        with structlog.contextvars.bound_contextvars(request=order.request or None):
            tell("order sent", instance=row.ec2_id, host=host, revision=order.revision, remove=order.spec is None)


def plan(core: Core, tx: Writer, row: Instance) -> tuple[list[tuple[str, Order]], Instance]:
    """Decide what each host is to be told, and write it down: the row is locked, nothing is sent yet.

    Nothing while its host was not heard since a recovery: an order made of an older row supersedes nothing there.
    """
    row = size.known(tx, overtaken.instance(tx, row))
    if row.assigned.unheard is not None:
        return [], row
    if row.wanted.gone and row.assigned.host is not None:
        if tx.taken(of_instance(row.uuid)):
            # What was asked for before the end comes about before it; the captures' loop wakes this one.
            return [], row
        row = _leave(tx, row)
    why = "gone" if row.wanted.gone else "moved"
    orders = [(host, Order(uuid=row.uuid, revision=revision, why=why)) for host, revision in row.assigned.clear.items()]
    if row.wanted.gone:
        if not row.assigned.clear:
            row = finish_removal(tx, row)
        return orders, row
    host = row.assigned.host
    if host is not None:
        spec = resolve.instance(tx, row, core.place)
        digest = content_digest(spec)
        if digest != row.assigned.content:
            row = tx.revise(row, msgspec.structs.replace(row.assigned, content=digest))
        if not converged(row):
            spec = msgspec.structs.replace(spec, revision=row.revision)
            orders.append((host, Order(uuid=row.uuid, revision=row.revision, spec=spec)))
    return orders, row


def _leave(tx: Writer, row: Instance) -> Instance:
    """Take the row off its host, which from now on has to confirm that it holds nothing of it."""
    row = tx.revise(row)
    host = row.assigned.host or ""
    clear = {**row.assigned.clear, host: row.revision}
    assigned = msgspec.structs.replace(row.assigned, host=None, clear=clear, content="")
    row = tx.assign(row, assigned)
    return tx.see(row, Seen(satisfied=row.seen.satisfied, ever=row.seen.ever, since=tx.now))


def finish_removal(tx: Writer, row: Instance) -> Instance:
    """Make the row and all that it owns tombstones, once the engine has confirmed that it holds none of its ports."""
    ports, volumes = tx.referring(Port, [row.uuid]), tx.referring(Volume, [row.uuid])
    if tx.unreadable and any(source in tx.unreadable for _, source, _ in tx.referrers(row.uuid)):
        return row  # nobody knows whether the engine let go of that port
    if not all(port.wanted.gone and _let_go(port) for port in ports):
        has_floating_ip = tx.is_referred((port.uuid for port in ports), FloatingIp.KIND)
        if has_floating_ip or not all(port.wanted.gone for port in ports):
            power.release(SYSTEM, tx, row)
        return row
    tx.make_tombstone(*ports, *volumes, row)
    router.wake_idle(tx, ports)
    settle_all(tx, {row.uuid: row}, removed=True)
    return msgspec.structs.replace(row, gone=tx.now)


def _let_go(port: Port) -> bool:
    """Whether the engine confirmed, at the last order, that it holds nothing of it."""
    return not port.seen.present and port.seen.revision == port.revision


def cleared(tx: Writer, row: Instance, host: str) -> Instance:
    """A host confirmed that it holds nothing of `row`: what was used there is free."""
    row = size.known(tx, row)
    clear = {name: revision for name, revision in row.assigned.clear.items() if name != host}
    return tx.assign(row, msgspec.structs.replace(row.assigned, clear=clear))


def settle_all(tx: Writer, rows: Mapping[str, Instance], *, removed: bool = False) -> None:
    """Write into the journal which of the things asked of these rows, by uuid, have come about, or never will."""
    ended: dict[tuple[str, str], list[int]] = {}
    for entry in tx.unsettled(rows):
        row = rows[entry.uuid]
        outcome = _outcome(entry, row, removed=removed)
        if outcome is not None:
            why = row.wanted.reason_message if row.wanted.gone and not outcome else ""
            ended.setdefault(("done" if outcome else "superseded", why), []).append(entry.id)
    for (how, why), lines in ended.items():
        tx.settle(lines, how, why)


def _outcome(entry: JournalEntry, row: Instance, *, removed: bool) -> bool | None:
    """True: done. False: superseded. None: still open."""
    wanted, seen = row.wanted, row.seen
    if entry.verb in POWER:
        if entry.goal < wanted.power.n or wanted.gone:
            return False
        reached = seen.running == POWER[entry.verb] and seen.n == entry.goal
        ended = not seen.running and seen.satisfied == entry.goal
        return True if reached or ended else None
    if entry.verb == "instance.terminate":
        return True if removed else None
    if entry.verb == "instance.reboot":
        if seen.reboot >= entry.goal:
            return True
        return False if wanted.gone else None
    return None
