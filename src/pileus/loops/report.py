"""Reports into the store: what a host repeats of its bodies becomes `seen`; the rest is a hint to a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.bus.messages import FORGOTTEN, Ask, Order
from pileus.loops import image as captures
from pileus.loops import instance as loop
from pileus.loops import silence
from pileus.model.caller import SYSTEM
from pileus.model.host import Host, Wanted
from pileus.model.host import Seen as HostSeen
from pileus.model.ids import new_uuid
from pileus.model.image import Image, on_host
from pileus.model.instance import Instance, Seen, converged, failed
from pileus.model.noun import NEVER
from pileus.rules import comparison
from pileus.rules.host import REMOVED
from pileus.rules.instance.power import end

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pileus.bus.messages import BodyReport, Removed, Report
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


def absorb_all(core: Core, reports: Sequence[Report]) -> None:
    """Take many in, at most one of each host, in one transaction.

    It need not last: hosts repeat what they said. One who said something that never came here is asked for everything.
    """
    endings: list[tuple[str, int, str, str]] = []
    ask: list[tuple[str, Ask | Order]] = []
    with core.store.write(lasting=False) as tx:
        news = _hosts(tx, reports, ask)
        rows = tx.many(Instance, [uuid for report in news for uuid in _named(report)])
        changed: dict[str, Instance] = {}
        for report in news:
            for uuid, body in report.bodies.items():
                row = rows.get(uuid)
                if row is not None and row.gone is None and row.assigned.host == report.host:
                    rows[uuid] = _see(tx, row, body)
                    if rows[uuid] is not row:
                        changed[uuid] = rows[uuid]
                    endings += _ending(rows[uuid])
        _carry_on(tx, changed)
        incomplete_hosts = _incomplete(tx, [report for report in news if report.full])
        for report in news:
            images = _captures(tx, report, rows)
            if report.full:
                ask += _let_go(tx, report, [*rows.values(), *images])
                _confirm(tx, report, rows)
            if report.host in incomplete_hosts:
                captures.absent(tx, report.host, set(report.bodies))
                _absent(tx, report)
    for uuid, n, reason, message in endings:
        end(SYSTEM, core, uuid, n, reason, message)
    for host, question in ask:
        core.hosts.send(host, question)
    for report in news:
        if report.removals:
            _vouch(core, report)


def _vouch(core: Core, report: Report) -> None:
    """Let a host that remembers too many removals forget them, if it holds all that is placed there.

    The store remembers through which revision: one that does not is a copy from before that, whose rows of what the
    host does not hold are of what was removed since (`verbs.recover`). The revision is a new one, so that such a copy
    never gave it.
    """
    with core.store.write() as tx:
        placed = tx.many(Instance, tx.taken(f"host:{report.host}"))
        here = {uuid for uuid, row in placed.items() if row.assigned.host == report.host}
        if not (here | captures.ordered(tx, report.host)) <= report.bodies.keys():
            return
        revision, opening = tx.bump(), tx.opening
        comparison.vouch(tx, report.host, revision)
    core.hosts.send(report.host, Ask(forget=revision, opening=opening))


def _hosts(tx: Writer, reports: Sequence[Report], ask: list[tuple[str, Ask | Order]]) -> list[Report]:
    """Bring the rows of these hosts up to date; those reports that are news. Questions to hosts are added to `ask`.

    A host whose report is older than one before may have an old book: it is told how far it had counted.
    """
    host_uuids = tx.holders("host", [report.host for report in reports])
    host_rows = tx.many(Host, host_uuids.values())
    news: list[Report] = []
    seen: list[tuple[Host, HostSeen]] = []
    for report in reports:
        host = host_rows.get(host_uuids[report.host]) if report.host in host_uuids else _new(tx, report)
        if host is None:
            continue
        if stale(report, host.seen):
            ask.append((report.host, Ask(epoch=host.seen.epoch, sequence=host.seen.sequence)))
            continue
        if missed(report, host.seen):
            ask.append((report.host, Ask()))
        if host.seen.lost:
            silence.back(tx, host)
        if silence.returned(host, tx.now):
            silence.wake_waiting(tx, host.name)
        seen.append((host, _said(tx, report, host.seen)))
        news.append(report)
    tx.see_all(seen)
    return news


def _new(tx: Writer, report: Report) -> Host | None:
    """The row of a host that was never heard; None for one that was removed."""
    if tx.claimed(REMOVED, report.host) is not None:
        return None
    host = Host(uuid=new_uuid(), name=report.host, wanted=Wanted(zone=report.zone))
    return tx.add(host)


def _said(tx: Writer, report: Report, old: HostSeen) -> HostSeen:
    return HostSeen(
        epoch=report.epoch,
        sequence=report.sequence,
        known=report.sequence if not missed(report, old) else old.known if report.epoch == old.epoch else 0,
        heard=tx.now,
        capacity=report.capacity,
        limits=report.limits,
        traits=report.traits,
        chassis=report.chassis,
        unknown=report.unknown if report.full else old.unknown,
    )


def missed(report: Report, seen: HostSeen) -> bool:
    """Whether its host has said something that never came here, and that this report does not repeat."""
    return not report.full and report.after > (seen.known if report.epoch == seen.epoch else 0)


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
        up=body.up,
        since=body.since,
        fault=body.fault,
    )
    if body.revision < row.seen.revision:
        row = _done_before(tx, row)
    return tx.see(row, seen) if seen != row.seen else row


def _done_before(tx: Writer, row: Instance) -> Instance:
    """A host no longer knows what was done already: neither its guest's own ending nor a reboot is to be undone."""
    done = msgspec.structs.replace(row.assigned, carried=row.seen.satisfied, rebooted=row.seen.reboot)
    return tx.assign(row, done) if done != row.assigned else row


def _carry_on(tx: Writer, changed: dict[str, Instance]) -> None:
    """Settle the journal lines of the changed rows, and call off or make their later looks."""
    if not changed:
        return
    loop.settle_all(tx, changed)
    converged_uuids = [uuid for uuid, row in changed.items() if converged(row)]
    tx.cancel_later_wakes(Instance.KIND, converged_uuids)
    if len(converged_uuids) < len(changed):
        tx.wake_all(Instance.KIND, [uuid for uuid in changed if uuid not in converged_uuids], tx.now + loop.AGAIN)


def _ending(row: Instance) -> list[tuple[str, int, str, str]]:
    """Whether what was seen means the instance's end: its guest's shutdown may, a launch that cannot work does."""
    wanted, seen = row.wanted, row.seen
    n = wanted.power.n
    if wanted.gone:
        return []
    if not seen.running and seen.satisfied == n and wanted.on_shutdown == "terminate":
        return [(row.uuid, n, "Client.InstanceInitiatedShutdown", "Instance initiated shutdown")]
    if failed(row) and seen.fault is not None and wanted.on_failure == "end":
        return [(row.uuid, n, "Server.InternalError", f"{seen.fault.code}: {seen.fault.message}")]
    return []


def _named(report: Report) -> Iterable[str]:
    """The uuids of which a report says something."""
    return (*report.bodies, *report.removed, *report.unknown)


def _let_go(tx: Writer, report: Report, rows: Sequence[Instance | Image]) -> list[tuple[str, Ask | Order]]:
    """Orders to remove what is gone, to a host that has an order or a body of it still: its book is an old copy."""
    there = {*report.bodies, *report.unknown}
    gone = [row for row in rows if row.gone is not None and row.uuid in there]
    return [
        (report.host, Order(uuid=row.uuid, revision=row.revision, why="gone", kind=row.KIND, opening=tx.opening))
        for row in gone
    ]


def _captures(tx: Writer, report: Report, rows: dict[str, Instance]) -> list[Image]:
    """Take in a report on captures; their rows."""
    named = [uuid for uuid in _named(report) if uuid not in rows]
    images = tx.many(Image, named) if named else {}
    for uuid, row in images.items():
        if row.gone is not None or row.assigned is None:
            continue
        if uuid in report.bodies and row.assigned.host == report.host:
            captures.reported(tx, row, report.bodies[uuid])
        elif report.full and uuid in report.removed and uuid not in report.bodies:
            captures.cleared(tx, row, report.host, report.removed[uuid])
    return list(images.values())


def _confirm(tx: Writer, report: Report, rows: dict[str, Instance]) -> None:
    """Hosts that were to hold nothing of a row, and say so at that order's revision, are cleared."""
    for uuid, removed in report.removed.items():
        row = rows.get(uuid)
        if row is not None and removed.why == FORGOTTEN and uuid not in report.bodies:
            row = rows[uuid] = _above(tx, row, report.host, removed)
        ordered = row.assigned.clear.get(report.host) if row else None
        if row is None or ordered is None or uuid in report.bodies or removed.revision < ordered:
            continue
        if removed.satisfied > row.seen.satisfied:
            row = tx.see(row, msgspec.structs.replace(row.seen, satisfied=removed.satisfied))
        rows[uuid] = row = loop.cleared(tx, row, report.host)
        tx.wake(row)


def _above(tx: Writer, row: Instance, host: str, forgotten: Removed) -> Instance:
    """An order that a host refuses, because it may have forgotten its removal, is given another revision."""
    if row.gone is not None or row.assigned.host != host or row.revision > forgotten.revision:
        return row
    tx.wake(row)
    return tx.assign(row, msgspec.structs.replace(row.assigned, content=""))


def _incomplete(tx: Writer, reports: Iterable[Report]) -> set[str]:
    """The hosts whose full reports lack something that may be placed there, by one statement for all of them."""
    by_pool = {pool: report for report in reports for pool in (f"host:{report.host}", on_host(report.host))}
    return {by_pool[pool].host for pool, value in tx.values_of(by_pool) if value not in by_pool[pool].bodies}


def _absent(tx: Writer, report: Report) -> None:
    """Bodies that this host should have and does not even mention: their orders never arrived, or it lost them."""
    missing = tx.taken(f"host:{report.host}") - report.bodies.keys()
    for row in tx.many(Instance, missing).values():
        if row.assigned.host == report.host and (row.seen.running or row.seen.revision != NEVER):
            lost = tx.see(row, msgspec.structs.replace(row.seen, running=False, revision=NEVER))
            tx.wake(_done_before(tx, lost))
