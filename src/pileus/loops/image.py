"""The image loop: has a host capture an instance's disk, brings the bytes in, and has the host forget them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from pileus.bus.messages import FORGOTTEN, Order
from pileus.loops import overtaken, resolve, silence
from pileus.model.errors import Fault
from pileus.model.image import Assigned, Image, Seen, State, converged, on_host, state, waiting
from pileus.model.instance import Instance
from pileus.model.noun import NEVER, SeenFault
from pileus.model.spec import content_digest
from pileus.rules.image import finish_removal, source

if TYPE_CHECKING:
    from pileus.bus.messages import BodyReport, Removed
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

AGAIN = 2.0
"""Seconds after which an order that no report has answered is sent again."""

SOON = 0.25
"""Seconds between looks at bytes that are coming in."""

Orders = list[tuple[str, Order]]

log = structlog.get_logger()


def step(core: Core, uuid: str, request: str = "") -> float | None:
    """One step towards bytes that are kept; when to look again, None for when woken. Raises Fault."""
    with core.store.read() as tx:
        image_row = tx.get(Image, uuid)
    if image_row is None or converged(image_row):
        return None
    with core.store.write() as tx:
        row = tx.get(Image, uuid)
        if row is None or converged(row):
            return None
        before = row.revision
        orders, row = plan(tx, row)
        hosts = {host for host, _ in orders}
        waits = bool(hosts) and row.revision == before and silence.silent(tx, hosts) == hosts
        opening = tx.opening
    for host, order in orders:
        core.hosts.send(host, msgspec.structs.replace(order, request=request, opening=opening))
        log.debug("order sent", image=row.ec2_id, host=host, revision=order.revision, remove=order.spec is None)
    if row.gone is not None or converged(row):
        return None
    if _fetchable(row):
        return core.store.now() + (0.0 if _fetch(core, row) else SOON)
    return core.store.now() + (silence.LATER if waits else AGAIN)


def plan(tx: Writer, row: Image) -> tuple[Orders, Image]:
    """Decide what each host is to be told, and write it down: nothing is sent yet."""
    if overtaken.overtaken(tx, row):
        row = overtaken.image(tx, row)
    instance = tx.get(Instance, row.wanted.instance)
    row = _doomed(tx, row, instance)
    host = _place(row, instance)
    here = (row.assigned or Assigned()).host
    if here not in (None, host):
        row = _leave(tx, row)
    assigned = row.assigned or Assigned()
    why = "gone" if row.wanted.gone else "moved"
    orders = [(name, _removal(row, revision, why)) for name, revision in assigned.clear.items()]
    if row.wanted.gone and not assigned.clear:
        return orders, finish_removal(tx, row)
    if host is None or host in assigned.clear or _heard(row):
        return orders, row
    spec = resolve.capture(tx, row)
    digest = content_digest(spec)
    if (assigned.host, assigned.content) != (host, digest):
        row = tx.revise(row, msgspec.structs.replace(assigned, host=host, content=digest))
    spec = msgspec.structs.replace(spec, revision=row.revision)
    orders.append((host, Order(uuid=row.uuid, revision=row.revision, spec=spec, kind=row.KIND)))
    return orders, row


def _place(row: Image, instance: Instance | None) -> str | None:
    """The host that is to have the capture: none before its source's is known, and none when it is of no use."""
    if state(row) is not State.PENDING:
        return None
    if not waiting(row):
        return (row.assigned or Assigned()).host
    return instance.assigned.host if instance is not None and instance.assigned.unheard is None else None


def _heard(row: Image) -> bool:
    """Whether its host said, of the last order, that it has captured it."""
    return row.seen is not None and row.seen.captured and row.seen.revision == row.revision


def _removal(row: Image, revision: tuple[int, int], why: str) -> Order:
    return Order(uuid=row.uuid, revision=revision, why=why, kind=row.KIND)


def _doomed(tx: Writer, row: Image, instance: Instance | None) -> Image:
    """A capture whose source is gone has failed; one whose source is to go is not tried a second time."""
    seen = row.seen or Seen()
    going = instance is None or instance.gone is not None or instance.wanted.gone
    if state(row) is not State.PENDING or not going:
        return row
    if not waiting(row):
        # It was there; a host that reports trouble with it now has lost it.
        lost = seen.fault is not None and _own(seen.fault) is None
        return noted(tx, row, _failed(seen, seen.fault)) if seen.fault is not None and lost else row
    if instance is None or instance.gone is not None:
        text = f"{row.wanted.instance} was gone before it was captured"
        return noted(tx, row, _failed(seen, SeenFault.of(Fault("SourceGone", text), tx.now)))
    if seen.fault is not None or instance.assigned.host is None:
        why = seen.fault or SeenFault.of(Fault("SourceGone", "It was terminated before it was captured."), tx.now)
        return noted(tx, row, _failed(seen, why))
    return row


def _failed(seen: Seen, fault: SeenFault) -> Seen:
    return msgspec.structs.replace(seen, fault=msgspec.structs.replace(fault, permanent=True))


def _leave(tx: Writer, row: Image) -> Image:
    """Take the capture off its host, which from now on has to confirm that it holds nothing of it."""
    assigned = row.assigned or Assigned()
    row = tx.revise(row)
    clear = {**assigned.clear, assigned.host or "": row.revision}
    return tx.assign(row, msgspec.structs.replace(assigned, host=None, clear=clear, content=""))


def _fetchable(row: Image) -> bool:
    return state(row) is State.PENDING and _heard(row) and row.assigned is not None and row.assigned.host is not None


def _fetch(core: Core, row: Image) -> bool:
    """Have the bytes brought in; whether they are there now. The hindrance is shown."""
    seen, host = row.seen or Seen(), (row.assigned or Assigned()).host or ""
    try:
        if not core.captures.fetch(host, row.uuid, seen.digest, seen.size, row.project):
            return False
    except Fault as fault:
        _see(core, row, msgspec.structs.replace(seen, fault=SeenFault.of(fault, core.store.now())))
        raise
    _see(core, row, msgspec.structs.replace(seen, stored=True, fault=None))
    return True


def _see(core: Core, row: Image, seen: Seen) -> None:
    with core.store.write() as tx:
        current = tx.get(Image, row.uuid)
        if current is not None and current.gone is None and current.seen == row.seen:
            noted(tx, current, seen)


def reported(tx: Writer, row: Image, body: BodyReport) -> Image:
    """Make a host's entry what was seen, until the bytes are here; returns the row as it is then."""
    seen = row.seen
    if seen is None or body.revision > row.revision or state(row) is not State.PENDING:
        return row
    fault = body.fault
    changed = msgspec.structs.replace(seen, revision=body.revision, fault=fault or _own(seen.fault))
    if body.capture is not None:
        changed = msgspec.structs.replace(
            changed,
            captured=True,
            digest=body.capture.digest,
            size=body.capture.size,
            virtual_size=body.capture.virtual_size,
        )
    if changed == seen:
        return row
    row = noted(tx, row, changed)
    tx.wake(row)
    return row


def _own(fault: SeenFault | None) -> SeenFault | None:
    """A fault that no host reports: what hinders the bytes from coming in is known here alone."""
    return fault if fault is not None and fault.code in FETCHING else None


FETCHING = frozenset({"CaptureCorrupt", "CaptureUnavailable", "CloudDiskFull", "CloudDiskFailed"})
"""Why bytes do not come in."""


def noted(tx: Writer, row: Image, seen: Seen) -> Image:
    """Write what was seen of a capture, and what follows from it: the journal, and the source that may go now."""
    was = waiting(row)
    row = tx.see(row, seen)
    lines = [line.id for line in tx.unsettled([row.uuid]) if line.verb == "image.capture"]
    if state(row) is State.AVAILABLE:
        tx.settle(lines, "done")
    elif state(row) is State.FAILED and seen.fault is not None:
        tx.settle(lines, "failed", f"{seen.fault.code}: {seen.fault.message}")
    if was and not waiting(row):
        source(tx, row)
    return row


def ordered(tx: Reader, host: str) -> set[str]:
    """The uuids of the captures that a host should have."""
    rows = tx.many(Image, tx.taken(on_host(host))).values()
    return {row.uuid for row in rows if row.assigned is not None and row.assigned.host == host}


def cleared(tx: Writer, row: Image, host: str, removed: Removed) -> None:
    """A host confirms that it holds nothing of a capture, if it does.

    A capture whose order is refused, because its removal may have been forgotten, is ordered anew.
    """
    assigned = row.assigned
    refused = removed.why == FORGOTTEN and row.revision <= removed.revision
    if assigned is not None and assigned.host == host and refused:
        tx.wake(tx.assign(row, msgspec.structs.replace(assigned, content="")))
        return
    ordered = assigned.clear.get(host) if assigned is not None else None
    if assigned is None or ordered is None or removed.revision < ordered:
        return
    clear = {name: revision for name, revision in assigned.clear.items() if name != host}
    tx.wake(tx.assign(row, msgspec.structs.replace(assigned, clear=clear)))


def absent(tx: Writer, host: str, reported_uuids: set[str]) -> None:
    """Captures that a host should have and does not even mention: their orders never arrived, or it lost them."""
    for row in tx.many(Image, tx.taken(on_host(host)) - reported_uuids).values():
        seen, assigned = row.seen, row.assigned
        if seen is not None and assigned is not None and assigned.host == host and seen.revision != NEVER:
            tx.wake(tx.see(row, msgspec.structs.replace(seen, revision=NEVER)))
