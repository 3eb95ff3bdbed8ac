"""The loop of the nouns that the network engine keeps: routers, networks, ports, groups and floating addresses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from pileus.loops import resolve
from pileus.model.caller import SYSTEM
from pileus.model.errors import Fault
from pileus.model.floatingip import FloatingIp
from pileus.model.instance import Instance
from pileus.model.network import Network, Seen
from pileus.model.noun import Noun, SeenFault
from pileus.model.port import Port
from pileus.model.provider import BodyRef
from pileus.model.router import NO_WAY_OUT, Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.spec import content
from pileus.verbs import floatingip, network

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pileus.model.spec import AnySpec
    from pileus.store.reader import JournalEntry
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core

KEPT: dict[str, type[Noun]] = {cls.KIND: cls for cls in (Router, Network, Port, SecurityGroup, FloatingIp)}
AGAIN = 2.0
LONGEST = 10.0
"""Seconds for which an engine is told of several: one that hangs is not to outlast their leases."""


def step(core: Core, kind: str, uuid: str) -> float | None:
    """One step: write down what is to be, tell the engine, read back what it holds. Raises Fault as the engine does."""
    outcome = steps(core, [(kind, uuid)])[kind, uuid]
    if isinstance(outcome, Fault):
        raise outcome
    return outcome


def steps(core: Core, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float | Fault | None]:
    """The same for many (kind, uuid), written and read back together, told one after the other."""
    outcomes: dict[tuple[str, str], float | Fault | None] = dict.fromkeys(keys)
    orders: list[tuple[Noun, AnySpec | None]] = []
    with core.store.write() as tx:
        rows = _rows(tx, keys)
        new = sum(not row.assigned.content and not row.wanted.gone for row in rows.values())
        if new > 1:
            tx.reserve(new)
        for key, row in rows.items():
            if row.wanted.gone and _held(tx, row):
                outcomes[key] = core.store.now() + AGAIN
            else:
                orders.append(_order(core, tx, row))
    sightings: dict[tuple[str, str], tuple[Noun, Seen | Fault]] = {}
    began = time.monotonic()
    for row, spec in orders:
        if time.monotonic() - began < LONGEST:
            sightings[row.KIND, row.uuid] = (row, _told(core, row, spec))
        else:
            outcomes[row.KIND, row.uuid] = core.store.now()
    if sightings:
        # Lost, it is done once more: the engine was told.
        with core.store.write(lasting=False) as tx:
            rows = _rows(tx, sightings)
            lines: dict[str, list[JournalEntry]] = {}
            for line in tx.unsettled(uuid for _, uuid in sightings):
                lines.setdefault(line.uuid, []).append(line)
            for key, (row, seen) in sightings.items():
                current = rows.get(key)
                if isinstance(seen, Fault):
                    outcomes[key] = seen
                    if current is not None:
                        shown = _shown(tx, seen)
                        tx.see(current, msgspec.structs.replace(current.seen, fault=shown))
                elif current is None or current.revision != row.revision:
                    # It has moved on meanwhile: another wake is due anyway.
                    outcomes[key] = core.store.now()
                else:
                    outcomes[key] = _save(core, tx, row, current, seen, lines.get(row.uuid, []))
    return outcomes


def _rows(tx: Writer, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Noun]:
    """Return the living rows, by (kind, uuid)."""
    kinds: dict[str, list[str]] = {}
    for kind, uuid in keys:
        kinds.setdefault(kind, []).append(uuid)
    rows = (row for kind, uuids in kinds.items() for row in tx.many(KEPT[kind], uuids).values())
    return {(row.KIND, row.uuid): row for row in rows if row.gone is None}


def _order(core: Core, tx: Writer, row: Noun) -> tuple[Noun, AnySpec | None]:
    """Return the row with its order written down, and the spec for the engine, or None to remove it."""
    if row.wanted.gone:
        # Above every order given before, so that none of those can bring it back.
        row = tx.revise(row) if row.assigned.content else row
        return _content(tx, row, ""), None
    if isinstance(row, Router):
        row = _addressed(core, tx, row)
    spec = resolve.engine(tx, row, core.place)
    digest = content(spec)
    if digest != row.assigned.content:
        if isinstance(row, Port):
            # The first port on a network is what its router needs an address for.
            routers = _routers(tx, [row.wanted.network])
            tx.wake_all(Router.KIND, [router.uuid for router in routers if not router.assigned.address])
        row = tx.revise(row, msgspec.structs.replace(row.assigned, content=digest))
    return row, spec


def _held(tx: Writer, row: Noun) -> bool:
    """Whether something that lives still refers to it."""
    return any(uuid != row.uuid for _, uuid, _ in tx.referrers(row.uuid))


def wake_idle_router(tx: Writer, ports: Iterable[Port]) -> None:
    """Wake the routers of these ports, which are gone, where no port is left on their networks."""
    networks = {port.wanted.network for port in ports}
    if networks and not tx.is_referred(networks, Port.KIND):
        tx.wake_all(Router.KIND, [router.uuid for router in _routers(tx, networks) if router.assigned.address])


def _routers(tx: Writer, networks: Iterable[str]) -> Iterable[Router]:
    rows = tx.many(Network, networks).values()
    return tx.many(Router, {row.wanted.router for row in rows if row.wanted.router}).values()


def _addressed(core: Core, tx: Writer, row: Router) -> Router:
    """The router with an address on the outside network as that is now.

    One that needs none gives it back: there are more projects than addresses. It has none either when none is left.
    Raises Unavailable where an unreadable row may be what needs it.
    """
    with tx.complete():
        leads_out = network.leads_out(tx, row.uuid)
    if leads_out:
        if floatingip.within(core.place, row.assigned.address):
            return row
        free = floatingip.free(tx, core.place)
        failed = not free and not _cut_off(row.seen)
    else:
        free, failed = "", False
    if failed:
        tx.record(SYSTEM, row, "router.address", outcome="failed", detail=f"{NO_WAY_OUT.code}: {NO_WAY_OUT.message}")
    if free == row.assigned.address:
        return row
    return tx.assign(row, msgspec.structs.replace(row.assigned, address=free))


def _cut_off(seen: Seen) -> bool:
    return seen.fault is not None and seen.fault.code == NO_WAY_OUT.code


def _content(tx: Writer, row: Noun, digest: str) -> Noun:
    return tx.assign(row, msgspec.structs.replace(row.assigned, content=digest))


def _told(core: Core, row: Noun, spec: AnySpec | None) -> Seen | Fault:
    """Order the engine to hold `spec` or to remove the row; return its state, or the Fault that stopped it."""
    ref = BodyRef(kind=row.KIND, uuid=row.uuid, revision=row.revision)
    try:
        if spec is None:
            core.networks.remove(ref)
        else:
            core.networks.ensure(msgspec.structs.replace(spec, revision=row.revision))
        body = core.networks.observe(ref)
    except Fault as fault:
        return fault
    return Seen(revision=body.revision, present=True) if body else Seen(revision=row.revision, present=False)


def _shown(tx: Writer, fault: Fault) -> SeenFault:
    return SeenFault(code=fault.code, message=fault.message, permanent=fault.permanent, at=tx.now)


def _save(
    core: Core, tx: Writer, ordered_row: Noun, row: Noun, seen: Seen, lines: Iterable[JournalEntry]
) -> float | None:
    """Keep what was seen of a row, and which of its `lines` in the journal are done."""
    if isinstance(row, Router) and not (row.wanted.gone or row.assigned.address) and network.leads_out(tx, row.uuid):
        fault = row.seen.fault if _cut_off(row.seen) else _shown(tx, NO_WAY_OUT)
        seen = msgspec.structs.replace(seen, fault=fault)
    if seen != row.seen:
        row = tx.see(row, seen)
    if row.wanted.gone:
        if seen.present:
            return core.store.now() + AGAIN
        _end(tx, row)
        return None
    if not seen.present or seen.revision != row.revision:
        return core.store.now() + AGAIN
    tx.settle([line.id for line in lines if line.goal <= ordered_row.generation], "done")
    return None


def _end(tx: Writer, row: Noun) -> None:
    """The engine holds nothing of it any more: a port of an instance waits for the instance, all else is over."""
    if isinstance(row, Port) and row.wanted.instance:
        instance = tx.get(Instance, row.wanted.instance)
        if instance is not None and instance.gone is None:
            tx.wake(instance)
            return
    tx.bury(row)
    if isinstance(row, Port):
        wake_idle_router(tx, [row])
    tx.settle([entry.id for entry in tx.journal(row.uuid, open_only=True, limit=None)], "done")
