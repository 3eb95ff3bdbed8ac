"""Why a noun is as it is: its three parts, its journal, and what it waits for in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.faces.rest import documents
from pileus.faces.rest.lists import line_document
from pileus.model import image as images
from pileus.model.host import Host, alive, condition
from pileus.model.image import Image, of_instance
from pileus.model.instance import Instance, converged
from pileus.model.network import Seen as EngineSeen
from pileus.model.peering import Peering
from pileus.model.port import Port
from pileus.model.router import NO_WAY_OUT
from pileus.model.routetable import RouteTable
from pileus.rules.host import REMOVED
from pileus.rules.routetable import targets_of
from pileus.verbs import journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.caller import Caller
    from pileus.model.noun import Noun
    from pileus.rules.core import Core
    from pileus.store.reader import Reader

LINES = 20
"""How many of the newest journal lines are shown."""


def explain(caller: Caller, core: Core, cls: type[Noun], ident: str) -> dict[str, Any]:
    """The whole of one noun. `due` is when a loop looks at it next (None: when woken or resynced)."""
    with core.store.read() as tx:
        noun = documents.one(caller, tx, cls, ident)
        waits = waits_for(tx, noun, core.store.now())
        shown = documents.documents(core, tx, [noun])[0]
        return {
            **shown,
            "settled": not waits,
            "waits_for": waits or ["nothing: it is as wanted"],
            "due": tx.due(noun.KIND, noun.uuid),
            "journal": [line_document(line) for line in journal.shown(caller, tx.journal(noun.uuid, limit=LINES))],
        }


def waits_for(tx: Reader, noun: Noun, now: float) -> list[str]:
    """Return the events that `noun` waits for to be as wanted, one sentence each; empty when it is so, or gone."""
    if noun.gone is not None:
        return []
    if noun.KIND in _WAITS:
        return _WAITS[noun.KIND](tx, noun, now)
    waits: list[str] = []
    if noun.KEEPER == "engine":
        waits += _engine(noun)
    if noun.wanted.gone:
        waits += [f"the {kind} {uuid}, which refers to it, to go" for kind, uuid, _ in tx.referrers(noun.uuid)]
    return waits


def _engine(noun: Noun) -> list[str]:
    seen: EngineSeen = noun.seen
    waits = []
    if seen.fault is not None:
        fault_text = f"{seen.fault.code}: {seen.fault.message}"
        # The loop's own finding: the engine holds all that there is.
        waits.append(
            fault_text if seen.fault.code == NO_WAY_OUT.code else f"the network engine, which said {fault_text}"
        )
    if noun.wanted.gone:
        if seen.present:
            waits.append("the network engine to remove it")
    elif not seen.present or seen.revision != noun.revision:
        waits.append(
            f"the network engine to hold revision {_number(noun.revision)} (it holds {_number(seen.revision)})"
        )
    return waits


def _instance(tx: Reader, instance: Instance, now: float) -> list[str]:
    wanted, assigned, seen = instance.wanted, instance.assigned, instance.seen
    waits = []
    if assigned.host is None:
        waits.append("a place: no host has been chosen for it")
    else:
        waits += _host(tx, assigned.host, now)
    waits += [f"host {name} to confirm that its old body is gone" for name in assigned.clear]
    if seen.fault is not None:
        ends = "; trying again cannot help" if seen.fault.permanent else ""
        waits.append(f"host {assigned.host}, which said {seen.fault.code}: {seen.fault.message}{ends}")
    if wanted.gone:
        captures = sorted(tx.taken(of_instance(instance.uuid)))
        waits += [f"the image {named.ec2_id} to be made of it" for named in tx.many(Image, captures).values()]
        if not assigned.clear and not captures:
            waits.append(f"host {assigned.host} to confirm that its body is gone")
        return waits
    # It may run long before the network knows its ports.
    ports = [port for port in tx.referring(Port, [instance.uuid]) if port.wanted.instance == instance.uuid]
    waits += [f"port {port.ec2_id}: {why}" for port in ports for why in _engine(port)]
    if converged(instance):
        return waits
    if seen.revision != instance.revision:
        applied_revision = _number(seen.revision)
        waits.append(
            f"host {assigned.host} to apply revision {_number(instance.revision)} (it has applied {applied_revision})"
        )
    if seen.running != (wanted.power.state == "running") or seen.n < wanted.power.n:
        waits.append(
            f"host {assigned.host} to have it {wanted.power.state} (request {wanted.power.n}; it has reached {seen.n})"
        )
    if seen.reboot < wanted.reboot:
        waits.append(f"host {assigned.host} to reboot it (reboot {wanted.reboot}; it has done {seen.reboot})")
    return waits


def _image(tx: Reader, image: Image, now: float) -> list[str]:
    assigned, seen = image.assigned, image.seen
    if assigned is None or seen is None:
        return []
    waits = [f"host {name} to confirm that it holds nothing of it" for name in assigned.clear]
    if images.state(image) is not images.State.PENDING:
        return waits
    if assigned.host is None:
        waits.append("a place: its instance is on no host")
    else:
        waits += _host(tx, assigned.host, now)
        deed = "give its bytes to the cloud" if seen.captured else f"capture the disk {image.wanted.disk}"
        waits.append(f"host {assigned.host} to {deed}")
    if seen.fault is not None:
        waits.append(f"{seen.fault.code} to end: {seen.fault.message}")
    return waits


def _host(tx: Reader, name: str, now: float) -> list[str]:
    for host in tx.list(Host, name=name):
        if not alive(host, now):
            return [f"host {name}, which was last heard of {now - host.seen.heard:.0f} s ago"]
        return []
    if tx.claimed(REMOVED, name) is not None:
        return [f"host {name}, which was removed: it stays as it is until that host is readmitted"]
    return [f"host {name}, which has never reported"]


def _silent(_tx: Reader, host: Host, now: float) -> list[str]:
    lost = condition(host, now) == "lost"
    return [f"a report: it was last heard of {now - host.seen.heard:.0f} s ago"] if lost else []


def _routes(tx: Reader, table: RouteTable, _now: float) -> list[str]:
    active = targets_of(tx, table.wanted.router, [table])
    return [
        f"the {route.target} {route.uuid}, to which the route to {route.destination} leads, to be there"
        for route in table.wanted.routes
        if route.uuid not in active
    ]


def _peering(_tx: Reader, peering: Peering, _now: float) -> list[str]:
    return ["the other router's project to accept it"] if peering.wanted.status == "pending" else []


_WAITS: dict[str, Callable[[Reader, Any, float], list[str]]] = {
    Instance.KIND: _instance,
    Host.KIND: _silent,
    Image.KIND: _image,
    Peering.KIND: _peering,
    RouteTable.KIND: _routes,
}
"""The kinds of nouns that wait for more than the network engine."""


def _number(revision: tuple[int, int]) -> str:
    return f"{revision[0]}.{revision[1]}" if revision != (0, 0) else "none"
