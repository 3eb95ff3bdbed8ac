"""Another flavor for an instance: its usage changes with it, on its host and in its project, or nothing does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, InvalidValue, QuotaExceeded
from pileus.model.flavor import Flavor
from pileus.model.image import Image, kind_of
from pileus.model.instance import Instance, State, Wanted, state
from pileus.model.placement import host_vcpus
from pileus.model.volume import Volume
from pileus.verbs import flavor
from pileus.verbs.instance import place

if TYPE_CHECKING:
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core

RESOURCES = ("vcpus", "memory")
"""The resources of a flavor that can change after the launch; a disk keeps its size."""


def resized(core: Core, tx: Writer, row: Instance, name: str) -> Wanted:
    """Return the wanted state of `row` with the flavor `name`; usage is taken. A machine has to be stopped, as on EC2.

    A container follows while it runs. Raises InvalidValue, Conflict, QuotaExceeded, Nowhere.
    """
    new, old = flavor.named(tx, name, Instance.KIND), tx.need(Flavor, row.wanted.flavor)
    if new.uuid == old.uuid:
        return row.wanted
    container = any(kind_of(disk.wanted.format) == "container" for disk in tx.referring(Volume, [row.uuid]))
    if not container and state(row) is not State.STOPPED:
        raise Conflict(
            f"The instance '{row.ec2_id}' is {state(row)}; stop it before its type is changed.",
            noun="instance",
            ident=row.ec2_id,
            reason="state",
        )
    image = tx.get(Image, row.wanted.image)
    if image is not None and image.wanted.min_memory > new.wanted.memory:
        raise InvalidValue(
            f"The image '{image.ec2_id}' needs {image.wanted.min_memory} MiB of memory, "
            f"the instance type '{name}' has {new.wanted.memory}.",
            noun="flavor",
            reason="memory",
        )
    more = {each: getattr(new.wanted, each) - getattr(old.wanted, each) for each in RESOURCES}
    _of_project(tx, row, more)
    more["vcpus"] = host_vcpus(more["vcpus"], "container" if container else "machine")
    _of_hosts(core, tx, row, new, more)
    return msgspec.structs.replace(row.wanted, flavor=new.uuid)


def _of_project(tx: Writer, row: Instance, more: dict[str, int]) -> None:
    try:
        tx.use({(row.project, resource): amount for resource, amount in more.items()})
    except QuotaExceeded as error:
        text = f"You have requested more {error.reason} than your current limit allows ({error})."
        raise QuotaExceeded(text, noun="instance", reason=error.reason) from error


def _of_hosts(core: Core, tx: Writer, row: Instance, new: Flavor, more: dict[str, int]) -> None:
    facts = {candidate.name: candidate.facts for candidate in place.snapshot(tx, core.policy, core.store.now())}
    rooms = {name: host_facts.room for name, host_facts in facts.items()}
    here = facts.get(row.assigned.host or "")
    missing = set(new.wanted.traits) - here.traits if here is not None else ()
    if missing:
        text = f"The host of '{row.ec2_id}' has not all that the instance type '{new.name}' demands."
        raise place.Nowhere(text, f"{row.assigned.host}: without {', '.join(sorted(missing))}")
    for host in {row.assigned.host, *row.assigned.clear} - {None}:
        for (resource, amount), most in zip(more.items(), rooms.get(host or "", (None, None)), strict=False):
            try:
                tx.take(f"{place.SCOPE}{host}", resource, amount, most)
            except QuotaExceeded as error:
                text = f"We currently do not have sufficient {new.name} capacity on the host of '{row.ec2_id}'."
                raise place.Nowhere(text, f"{host}: {error}") from error
