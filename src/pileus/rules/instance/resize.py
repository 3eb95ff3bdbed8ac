"""Another flavor for an instance: its usage changes with it, on its host and in its project, or nothing does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, InvalidValue, QuotaExceeded
from pileus.model.image import Image
from pileus.model.instance import Instance, State, state
from pileus.model.noun import host_scope
from pileus.model.placement import RESOURCES
from pileus.rules import flavor as flavor_rules
from pileus.rules.instance import place
from pileus.rules.instance.size import known

if TYPE_CHECKING:
    from pileus.model.flavor import Flavor
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


def resized(core: Core, tx: Writer, row: Instance, name: str) -> Instance:
    """Charge for `row` with the flavor `name`, and return it with that as wanted, which the caller writes.

    A machine has to be stopped; a container follows while it runs. Raises InvalidValue, Conflict,
    QuotaExceeded, Nowhere.
    """
    new = flavor_rules.named(tx, name, Instance.KIND)
    if new.uuid == row.wanted.flavor:
        return row
    row = known(tx, row)
    old_size = row.assigned.size
    if old_size.kind == "machine" and state(row) is not State.STOPPED:
        text = f"The {row.label} is {state(row)}; stop it before its type is changed."
        raise Conflict(text, noun="instance", ident=row.uuid, reason="state")
    image = tx.get(Image, row.wanted.image)
    if image is not None and image.wanted.min_memory > new.wanted.memory:
        raise InvalidValue(
            f"The {image.label} needs {image.wanted.min_memory} MiB of memory, "
            f"the instance type '{name}' has {new.wanted.memory}.",
            noun="flavor",
            reason="memory",
        )
    size = msgspec.structs.replace(old_size, vcpus=new.wanted.vcpus, memory=new.wanted.memory)
    larger = msgspec.structs.replace(row, assigned=msgspec.structs.replace(row.assigned, size=size))
    _check_hosts(core, tx, row, larger, new)
    try:
        row = tx.assign(row, larger.assigned)
    except QuotaExceeded as error:
        text = f"You have requested more {error.reason} than your current limit allows ({error})."
        raise QuotaExceeded(text, noun="instance", reason=error.reason) from error
    return msgspec.structs.replace(row, wanted=msgspec.structs.replace(row.wanted, flavor=new.uuid))


def _check_hosts(core: Core, tx: Writer, row: Instance, larger: Instance, new: Flavor) -> None:
    """Raise Nowhere unless the hosts of `row` have room for `larger`, and its host the traits of the flavor."""
    hosts = {candidate.name: candidate for candidate in place.snapshot(tx, core.policy, core.store.now())}
    here = hosts.get(row.assigned.host or "")
    missing = set(new.wanted.traits) - here.facts.traits if here is not None else ()
    if missing:
        text = f"The host of {row.label} has not all that the instance type '{new.name}' demands."
        raise place.Nowhere(text, f"{row.assigned.host}: without {', '.join(sorted(missing))}")
    old_uses, new_uses = row.uses(), larger.uses()
    for name, host in hosts.items():
        for resource, room, used in zip(RESOURCES, host.facts.room, host.used, strict=True):
            key = host_scope(name), resource
            more = new_uses.get(key, 0) - old_uses.get(key, 0)
            if room is not None and more > 0 and used + more > room:
                text = f"We currently do not have sufficient {new.name} capacity on the host of {row.label}."
                raise place.Nowhere(text, f"{name}: {resource}: {used} in use and {more} more, of at most {room}")
