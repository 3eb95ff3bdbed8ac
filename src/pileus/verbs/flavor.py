"""Flavors: the sizes that this cloud offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model import flavor as model
from pileus.model.errors import InvalidValue
from pileus.model.flavor import Flavor
from pileus.model.ids import new_uuid

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.verbs.core import Core


def seed(caller: Caller, core: Core) -> list[Flavor]:
    """Make the flavors that every cloud starts with; those that exist are left alone."""
    sizes = [(name, size, "machine") for name, size in model.MACHINES.items()]
    sizes += [(name, size, "container") for name, size in model.CONTAINERS.items()]
    with core.store.write() as tx:
        have = {flavor.name for flavor in tx.list(Flavor)}
        made = []
        for name, (vcpus, memory, disk), kind in sizes:
            if name not in have:
                wanted = model.Wanted(vcpus=vcpus, memory=memory, disk=disk, kind=kind)  # type: ignore[arg-type]
                flavor = tx.add(Flavor(uuid=new_uuid(), name=name, wanted=wanted))
                tx.claim("flavor", name, flavor)
                tx.record(caller, flavor, "flavor.create", outcome="done")
                made.append(flavor)
    return made


def listing(caller: Caller, core: Core) -> list[Flavor]:
    """Every flavor, in the order of their making."""
    del caller
    with core.store.read() as tx:
        return tx.list(Flavor)


def named(tx: Reader, name: str, noun: str = Flavor.KIND) -> Flavor:
    """The flavor with this name; InvalidValue, of a `noun` that was to have it, when there is none."""
    flavor = next((flavor for flavor in tx.list(Flavor) if flavor.name == name), None)
    if flavor is None:
        raise InvalidValue(f"Invalid value '{name}' for InstanceType.", noun=noun, ident=name, reason="flavor")
    return flavor
