"""Reports into the store: what a host repeats of its bodies becomes `seen`; the rest is a hint to a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.loops import instance as loop
from pileus.model.caller import SYSTEM
from pileus.model.host import Host, Wanted
from pileus.model.host import Seen as HostSeen
from pileus.model.ids import new_uuid
from pileus.model.instance import Instance, Seen, settled
from pileus.model.noun import NEVER
from pileus.verbs.instance.power import end

if TYPE_CHECKING:
    from pileus.bus.messages import BodyReport, Report
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core


def absorb(core: Core, report: Report) -> None:
    """Take one report in, in one transaction; an older one than was seen last is dropped."""
    endings: list[tuple[str, int, str, str]] = []
    with core.store.write() as tx:
        host = _host(tx, report)
        if host is None:
            return
        rows = tx.many(Instance, (*report.bodies, *report.removed))
        for uuid, body in report.bodies.items():
            row = rows.get(uuid)
            if row is not None and row.gone is None and row.assigned.host == report.host:
                row = _see(tx, row, body)
                endings += _ending(row)
        if report.full:
            _confirm(tx, report, rows)
            _absent(tx, report)
    for uuid, n, reason, message in endings:
        end(SYSTEM, core, uuid, n, reason, message)


def _host(tx: Writer, report: Report) -> Host | None:
    """The row of the reporting host, made at its first report, brought up to date; None for an old report."""
    holder = tx.claimed("host", report.host)
    host = tx.get(Host, holder[1]) if holder else None
    if host is None:
        host = Host(uuid=new_uuid(), name=report.host, wanted=Wanted(zone=report.zone))
        tx.claim("host", report.host, host)
        host = tx.add(host)
    old = host.seen
    if stale(report, old):
        return None
    new = HostSeen(
        epoch=report.epoch,
        sequence=report.sequence,
        incarnation=report.incarnation,
        highest=report.highest,
        heard=tx.now,
        capacity=report.capacity,
        limits=report.limits,
        chassis=report.chassis,
        unknown=report.unknown if report.full else old.unknown,
    )
    return tx.see(host, new)


def stale(report: Report, seen: HostSeen) -> bool:
    """Whether a report is older than one that was seen already."""
    return (report.epoch, report.sequence) <= (seen.epoch, seen.sequence)


def _see(tx: Writer, row: Instance, body: BodyReport) -> Instance:
    """Make a host's entry the row's `seen`; an entry ahead of the store is none of its business but `recover`'s."""
    if body.revision > row.revision:
        return row
    seen = Seen(
        revision=body.revision,
        running=body.running,
        n=body.n,
        reboot=body.reboot,
        satisfied=max(row.seen.satisfied, body.satisfied),
        ever=body.ever or row.seen.ever,
        since=body.since,
        fault=body.fault,
    )
    if seen != row.seen:
        row = tx.see(row, seen)
        loop.settle(tx, row)
        if settled(row):
            tx.rest(row)
        else:
            tx.wake(row, tx.now + loop.AGAIN)
    return row


def _ending(row: Instance) -> list[tuple[str, int, str, str]]:
    """Whether what was seen means the instance's end: its guest's shutdown may, a launch that cannot work does."""
    wanted, seen = row.wanted, row.seen
    n = wanted.power.n
    if wanted.gone:
        return []
    if not seen.running and seen.satisfied == n and wanted.on_shutdown == "terminate":
        return [(row.uuid, n, "Client.InstanceInitiatedShutdown", "Instance initiated shutdown")]
    if seen.fault is not None and seen.fault.permanent and not seen.ever:
        return [(row.uuid, n, "Server.InternalError", f"{seen.fault.code}: {seen.fault.message}")]
    return []


def _confirm(tx: Writer, report: Report, rows: dict[str, Instance]) -> None:
    """Hosts that were to hold nothing of a row, and say so at that order's revision, are cleared."""
    for uuid, removed in report.removed.items():
        row = rows.get(uuid)
        ordered = row.assigned.clear.get(report.host) if row else None
        if row is None or ordered is None or uuid in report.bodies or removed.revision < ordered:
            continue
        if removed.satisfied > row.seen.satisfied:
            row = tx.see(row, msgspec.structs.replace(row.seen, satisfied=removed.satisfied))
        row = loop.cleared(tx, row, report.host)
        tx.wake(row)


def _absent(tx: Writer, report: Report) -> None:
    """Bodies that this host should have and does not even mention: their orders never arrived, or it lost them."""
    placed = [value for _, value, _ in tx.claims(pool=f"host:{report.host}")]
    missing = [uuid for uuid in placed if uuid not in report.bodies]
    for row in tx.many(Instance, missing).values():
        if row.assigned.host == report.host and (row.seen.running or row.seen.revision != NEVER):
            lost = msgspec.structs.replace(row.seen, running=False, revision=NEVER)
            tx.see(row, lost)
            # The host no longer knows what was done already: neither its guest's own ending nor a reboot is undone.
            done = msgspec.structs.replace(row.assigned, carried=lost.satisfied, rebooted=lost.reboot)
            if done != row.assigned:
                tx.assign(row, done)
            tx.wake(row)
