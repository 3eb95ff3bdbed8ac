"""The loop of the nouns that the network engine keeps: routers, networks, ports, groups and floating addresses."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any

import msgspec

from pileus.model.errors import Fault
from pileus.model.network import Seen
from pileus.model.noun import SeenFault
from pileus.model.nouns import ENGINE
from pileus.model.provider import BodyRef
from pileus.model.spec import content_digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pileus.loops.enginekind import EngineKind
    from pileus.model.noun import Noun
    from pileus.model.spec import Spec
    from pileus.rules.core import Core
    from pileus.store.journalreader import JournalEntry
    from pileus.store.writer import Writer

KINDS: dict[str, EngineKind[Any]] = {
    cls.KIND: importlib.import_module(f"pileus.loops.{cls.KIND}").ENGINE_KIND for cls in ENGINE
}
"""The nouns that the network engine keeps, by kind."""

AGAIN = 2.0
"""Seconds after which an order is repeated."""

LONGEST = 10.0
"""Seconds after which `steps` gives the engine no further order: a slow engine must not outlast the rows' leases."""


def step(core: Core, kind: str, uuid: str) -> float | None:
    """One step: write the order down, apply it, read back what the engine holds. Raises Fault as the engine does."""
    outcome = steps(core, [(kind, uuid)])[kind, uuid]
    if isinstance(outcome, Fault):
        raise outcome
    return outcome


def steps(core: Core, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float | Fault | None]:
    """Do one step for each (kind, uuid): write all orders, apply them one after the other, read all back."""
    outcomes: dict[tuple[str, str], float | Fault | None] = dict.fromkeys(keys)
    orders: list[tuple[Noun, Spec | None]] = []
    with core.store.write() as tx:
        rows = _rows(tx, keys)
        new = sum(not row.assigned.content and not row.wanted.gone for row in rows.values())
        if new > 1:
            tx.reserve(new)
        _preload(tx, rows.values())
        for key, row in rows.items():
            if row.wanted.gone and _is_referred(tx, row):
                outcomes[key] = core.store.now() + AGAIN
            else:
                orders.append(_order(core, tx, row))
    sightings: dict[tuple[str, str], tuple[Noun, Seen | Fault]] = {}
    began = time.monotonic()
    for row, spec in orders:
        if time.monotonic() - began < LONGEST:
            sightings[row.KIND, row.uuid] = (row, _apply(core, row, spec))
        else:
            outcomes[row.KIND, row.uuid] = core.store.now()
    if sightings:
        # A loss repeats the step, which is idempotent.
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
                        shown = SeenFault.of(seen, tx.now)
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
    rows = (row for kind, uuids in kinds.items() for row in tx.many(KINDS[kind].cls, uuids).values())
    return {(row.KIND, row.uuid): row for row in rows if row.gone is None}


def _preload(tx: Writer, rows: Collection[Noun]) -> None:
    for kind in {row.KIND for row in rows}:
        KINDS[kind].preload(tx, [row for row in rows if kind == row.KIND])


def _order(core: Core, tx: Writer, row: Noun) -> tuple[Noun, Spec | None]:
    """Return the row with its order written down, and the spec for the engine, or None to remove it."""
    if row.wanted.gone:
        # Above every order given before, so that none of those can bring it back.
        row = tx.revise(row) if row.assigned.content else row
        return tx.assign(row, msgspec.structs.replace(row.assigned, content="")), None
    kind = KINDS[row.KIND]
    row = kind.prepare(core, tx, row)
    spec = kind.spec(tx, row, core.place)
    digest = content_digest(spec)
    if digest != row.assigned.content:
        kind.changed(tx, row)
        row = tx.revise(row, msgspec.structs.replace(row.assigned, content=digest))
    return row, spec


def _is_referred(tx: Writer, row: Noun) -> bool:
    """Whether something that lives still refers to it."""
    return any(uuid != row.uuid for _, uuid, _ in tx.referrers(row.uuid))


def _apply(core: Core, row: Noun, spec: Spec | None) -> Seen | Fault:
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


def _save(
    core: Core, tx: Writer, ordered_row: Noun, row: Noun, seen: Seen, lines: Iterable[JournalEntry]
) -> float | None:
    """Keep what was seen of a row, and which of its `lines` in the journal are done."""
    seen = KINDS[row.KIND].seen(tx, row, seen)
    if seen != row.seen:
        row = tx.see(row, seen)
    if row.wanted.gone:
        if seen.present:
            return core.store.now() + AGAIN
        _finish_removal(tx, row)
        return None
    if not seen.present or seen.revision != row.revision:
        return core.store.now() + AGAIN
    tx.settle([line.id for line in lines if line.goal <= ordered_row.generation], "done")
    return KINDS[row.KIND].again(tx, row)


def _finish_removal(tx: Writer, row: Noun) -> None:
    """Make a row of which the engine holds nothing a tombstone; a port of an instance waits for the instance."""
    if KINDS[row.KIND].ended(tx, row):
        tx.make_tombstone(row)
        tx.settle([entry.id for entry in tx.journal(row.uuid, open_only=True, limit=None)], "done")
