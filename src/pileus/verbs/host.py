"""Hosts, as their operators have them: drained, in maintenance, removed, readmitted; and how each is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, InvalidValue, NotFound
from pileus.model.host import Host, alive
from pileus.model.ids import new_uuid
from pileus.model.image import on_host
from pileus.model.placement import RESOURCES
from pileus.model.traits import given
from pileus.rules.host import REMOVED, readmit
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.caller import Caller
    from pileus.model.host import Duty, Overcommit
    from pileus.rules.core import Core
    from pileus.store.reader import Reader


_JOURNAL_VERBS: dict[Duty, str] = {
    "active": "host.activate",
    "drained": "host.drain",
    "maintenance": "host.maintenance",
}


@requires("administrator", "looks after hosts")
def set_duty(caller: Caller, core: Core, name: str, state: Duty) -> Host:
    """Have a host take new instances, or none; those that it has run on. The same state again changes nothing.

    Instances are not moved away: their disks are their host's own. Raises Forbidden, NotFound.
    """
    with core.store.write() as tx:
        host = _one(tx, name)
        if host.wanted.state == state:
            return host
        host = tx.want(host, msgspec.structs.replace(host.wanted, state=state))
        tx.add_journal_line(caller, host, _JOURNAL_VERBS[state], goal=host.generation, outcome="done")
        return host


@requires("administrator", "looks after hosts")
def give(caller: Caller, core: Core, name: str, ratios: Overcommit) -> Host:
    """Give a host its own ratios of overcommit; those that are None are the cloud's. Nothing that runs is affected.

    Raises Forbidden, NotFound, InvalidValue for a ratio that is not above 0.
    """
    for resource in RESOURCES:
        ratio = getattr(ratios, resource)
        if ratio is not None and not 0 < ratio <= 1000:
            raise InvalidValue(
                f"'{ratio}' is no ratio of {resource}: above 0, at most 1000.", noun="host", reason="ratio"
            )
    with core.store.write() as tx:
        host = _one(tx, name)
        host = tx.want(host, msgspec.structs.replace(host.wanted, overcommit=ratios))
        tx.add_journal_line(caller, host, "host.overcommit", goal=host.generation, outcome="done")
        return host


@requires("administrator", "looks after hosts")
def change_traits(caller: Caller, core: Core, name: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Host:
    """Give a host traits, or take them from it: where flavors that demand them go from now on. Instances run on.

    Raises Forbidden, NotFound, InvalidValue for words that are no traits, or that hosts alone can say of themselves.
    """
    with core.store.write() as tx:
        host = _one(tx, name)
        traits = given(host.wanted.traits, add, remove)
        if traits == host.wanted.traits:
            return host
        host = tx.want(host, msgspec.structs.replace(host.wanted, traits=traits))
        tx.add_journal_line(caller, host, "host.traits", goal=host.generation, outcome="done", detail=" ".join(traits))
        return host


@requires("administrator", "looks after hosts")
def remove(caller: Caller, core: Core, name: str, *, forget: bool = False) -> Host:
    """Take a host that holds nothing out of the cloud; what it says from then on is not listened to.

    With `forget` one that is lost, whatever it holds: its instances keep their rows, addresses and place, for their
    bodies may still run there. They are faulted until the host is readmitted, and are made nowhere else.
    Raises Forbidden, NotFound, Conflict.
    """
    with core.store.write() as tx:
        host = _one(tx, name)
        scope = f"host:{host.name}"
        if forget:
            if alive(host, tx.now):
                text = f"The host '{host.name}' is heard of: end its instances, or stop it, before it is forgotten."
                raise Conflict(text, noun="host", ident=host.name, reason="alive")
        else:
            tx.close_usage(scope)
        instance_count = len(tx.taken(scope))
        capture_count = len(tx.taken(on_host(host.name)))
        if capture_count and not instance_count and not forget:
            text = f"The host '{host.name}' has captures that the cloud has not got yet: {capture_count}."
            raise Conflict(text, noun="host", ident=host.name, reason="in-use")
        if instance_count and not forget:
            raise Conflict(
                f"The host '{host.name}' holds {instance_count} instance{'' if instance_count == 1 else 's'}: "
                "terminate them first, or, if the host is lost for good, forget it.",
                noun="host",
                ident=host.name,
                reason="in-use",
            )
        host = tx.want_gone(host)
        tx.make_tombstone(host)
        tx.claim(REMOVED, host.name, host)
        tx.add_journal_line(
            caller,
            host,
            "host.remove",
            outcome="done",
            detail=f"forgotten with {instance_count}" if instance_count else "",
        )
        return host


@requires("administrator", "looks after hosts")
def admit(caller: Caller, core: Core, name: str) -> None:
    """Readmit a removed host as it was when it was removed: its instances are as it says in its next report.

    Its certificates are good again. One that has none, on the cloud's own machine, is known from its next report on.
    Raises Forbidden, NotFound when no host of that name was removed.
    """
    with core.store.write() as tx:
        holder = tx.claimed(REMOVED, name)
        if holder is None or not readmit(tx, name):
            raise NotFound(f"No host '{name}' was removed.", noun="host", ident=name)
        removed = tx.get(Host, holder[1])
        if removed is not None and removed.wanted.certificates:
            wanted = msgspec.structs.replace(removed.wanted, gone=False)
            host = tx.add(Host(uuid=new_uuid(), name=name, wanted=wanted))
            tx.add_journal_line(caller, host, "host.admit", goal=host.generation, outcome="done")


def _one(tx: Reader, name: str) -> Host:
    """The host of this name, by which orders and reports know it too. Raises NotFound."""
    host = tx.named(Host, name)
    if host is None:
        raise NotFound(f"The host '{name}' does not exist.", noun="host", ident=name)
    return host
