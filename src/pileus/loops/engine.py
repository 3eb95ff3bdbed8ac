"""The loop of the nouns that the network engine keeps: routers, networks, ports, groups and floating addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.loops import resolve
from pileus.model.caller import SYSTEM
from pileus.model.errors import Fault
from pileus.model.floatingip import FloatingIp
from pileus.model.instance import Instance
from pileus.model.network import Network, Seen
from pileus.model.noun import Fault as SeenFault
from pileus.model.noun import Noun
from pileus.model.port import Port
from pileus.model.provider import Ref
from pileus.model.router import NO_WAY_OUT, Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.spec import content
from pileus.verbs import floatingip

if TYPE_CHECKING:
    from pileus.model.spec import AnySpec
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core

KEPT: dict[str, type[Noun]] = {cls.KIND: cls for cls in (Router, Network, Port, SecurityGroup, FloatingIp)}
AGAIN = 2.0


def step(core: Core, kind: str, uuid: str) -> float | None:
    """One step: write down what is to be, tell the engine, read back what it holds."""
    with core.store.write() as tx:
        row = tx.get(KEPT[kind], uuid)
        if row is None or row.gone is not None:
            return None
        if row.wanted.gone:
            if _held(tx, row):
                return core.store.now() + AGAIN
            spec = None
            # Above every order given before, so that none of those can bring it back.
            row = tx.revise(row) if row.assigned.content else row
            row = _content(tx, row, "")
        else:
            if isinstance(row, Router) and not floatingip.within(core.place, row.assigned.address):
                row = _addressed(core, tx, row)
            spec = resolve.engine(tx, row, core.place)
            digest = content(spec)
            if digest != row.assigned.content:
                row = tx.revise(row, msgspec.structs.replace(row.assigned, content=digest))
    try:
        seen = _tell(core, row, spec)
    except Fault as fault:
        with core.store.write() as tx:
            _faulty(tx, row, fault)
        raise
    with core.store.write() as tx:
        return _save(core, tx, row, seen)


def _held(tx: Writer, row: Noun) -> bool:
    """Whether something that lives still refers to it."""
    return any(uuid != row.uuid for _, uuid, _ in tx.referrers(row.uuid))


def _addressed(core: Core, tx: Writer, row: Router) -> Router:
    """The router with an address on the outside network as that is now, without one when none is left: no way out."""
    free = floatingip.free(tx, core.place)
    if not free and not _cut_off(row.seen):
        tx.record(SYSTEM, row, "router.address", outcome="failed", detail=f"{NO_WAY_OUT.code}: {NO_WAY_OUT.message}")
    if free == row.assigned.address:
        return row
    tx.unclaim(floatingip.POOL, row.assigned.address)
    if free:
        tx.claim(floatingip.POOL, free, row)
    return tx.assign(row, msgspec.structs.replace(row.assigned, address=free))


def _cut_off(seen: Seen) -> bool:
    return seen.fault is not None and seen.fault.code == NO_WAY_OUT.code


def _content(tx: Writer, row: Noun, digest: str) -> Noun:
    return tx.assign(row, msgspec.structs.replace(row.assigned, content=digest))


def _tell(core: Core, row: Noun, spec: AnySpec | None) -> Seen:
    ref = Ref(kind=row.KIND, uuid=row.uuid, revision=row.revision)
    if spec is None:
        core.networks.remove(ref)
    else:
        core.networks.ensure(msgspec.structs.replace(spec, revision=row.revision))
    found = core.networks.observe(ref)
    return Seen(revision=found.revision, present=True) if found else Seen(revision=row.revision, present=False)


def _faulty(tx: Writer, row: Noun, fault: Fault) -> None:
    current = tx.get(type(row), row.uuid)
    if current is not None and current.gone is None:
        tx.see(current, msgspec.structs.replace(current.seen, fault=_shown(tx, fault)))


def _shown(tx: Writer, fault: Fault) -> SeenFault:
    return SeenFault(code=fault.code, message=fault.message, permanent=fault.permanent, at=tx.now)


def _save(core: Core, tx: Writer, told: Noun, seen: Seen) -> float | None:
    """Keep what was seen, unless the row has moved on meanwhile: then another wake is due anyway."""
    row = tx.get(type(told), told.uuid)
    if row is None or row.gone is not None or row.revision != told.revision:
        return core.store.now()
    if isinstance(row, Router) and not row.wanted.gone and not row.assigned.address:
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
    entries = [e.id for e in tx.journal(row.uuid, open_only=True, limit=None) if e.goal <= told.generation]
    tx.settle(entries, "done")
    return None


def _end(tx: Writer, row: Noun) -> None:
    """The engine holds nothing of it any more: a port of an instance waits for the instance, all else is over."""
    if isinstance(row, Port) and row.wanted.instance:
        instance = tx.get(Instance, row.wanted.instance)
        if instance is not None and instance.gone is None:
            tx.wake(instance)
            return
    tx.bury(row)
    if isinstance(row, SecurityGroup):
        tx.take(f"project:{row.project}", "securitygroups", -1, None)
    if isinstance(row, FloatingIp):
        tx.take(f"project:{row.project}", "floatingips", -1, None)
    tx.settle([entry.id for entry in tx.journal(row.uuid, open_only=True, limit=None)], "done")
