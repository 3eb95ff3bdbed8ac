"""Flavors: the sizes that this cloud offers, and what they demand of hosts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from pileus.model import flavor as model
from pileus.model.errors import Duplicate, InvalidValue
from pileus.model.flavor import Flavor
from pileus.model.ids import new_uuid
from pileus.model.traits import changed
from pileus.rules import find
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")

_MOST = {"vcpus": 1024, "memory": 1 << 24, "disk": 1 << 16}

_MOST_ALLOWED = 4_000_000


@requires("administrator", "looks after flavors")
def create(caller: Caller, core: Core, name: str, wanted: model.Wanted) -> Flavor:
    """Make a flavor. Its size is for ever: a name never means another one, retired or not.

    Raises Forbidden, InvalidValue, Duplicate.
    """
    if not _NAME.fullmatch(name):
        text = f"'{name}' is no flavor name: lower-case letters, digits, - and . only, at most 64."
        raise InvalidValue(text, noun="flavor", ident=name, reason="name")
    for field, most in _MOST.items():
        amount = getattr(wanted, field)
        if not 1 <= amount <= most:
            text = f"A flavor has no {amount} of {field}: 1 to {most}."
            raise InvalidValue(text, noun="flavor", ident=name, reason="size")
    for field, amount in msgspec.structs.asdict(wanted.allowance).items():
        if not 0 <= amount <= _MOST_ALLOWED:
            text = f"A flavor allows no {amount} of {field}: 1 to {_MOST_ALLOWED}, or 0 for the default."
            raise InvalidValue(text, noun="flavor", ident=name, reason="allowance")
    with core.store.write() as tx:
        return _add(caller, tx, name, msgspec.structs.replace(wanted, traits=changed((), wanted.traits, ())))


@requires("administrator", "looks after flavors")
def demand(caller: Caller, core: Core, uuid: str, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Flavor:
    """Change what a flavor demands of hosts, from the next launch on: what runs, runs on.

    Raises Forbidden, NotFound, InvalidValue.
    """
    with core.store.write() as tx:
        flavor = _one(caller, tx, uuid)
        traits = changed(flavor.wanted.traits, add, remove)
        if traits == flavor.wanted.traits:
            return flavor
        flavor = tx.want(flavor, msgspec.structs.replace(flavor.wanted, traits=traits))
        tx.add_journal_line(
            caller, flavor, "flavor.traits", goal=flavor.generation, outcome="done", detail=" ".join(traits)
        )
        return flavor


@requires("administrator", "looks after flavors")
def offer(caller: Caller, core: Core, uuid: str, *, retired: bool = False) -> Flavor:
    """Offer a flavor, or retire it: nothing is launched in it then, and what has it keeps it.

    Raises Forbidden, NotFound.
    """
    with core.store.write() as tx:
        flavor = _one(caller, tx, uuid)
        if flavor.wanted.retired == retired:
            return flavor
        flavor = tx.want(flavor, msgspec.structs.replace(flavor.wanted, retired=retired))
        verb = "flavor.retire" if retired else "flavor.offer"
        tx.add_journal_line(caller, flavor, verb, goal=flavor.generation, outcome="done")
        return flavor


@requires("administrator", "looks after flavors")
def seed(caller: Caller, core: Core) -> list[Flavor]:
    """Make the flavors that every cloud starts with; those that exist are left alone."""
    sizes = [(name, size, "machine") for name, size in model.MACHINES.items()]
    sizes += [(name, size, "container") for name, size in model.CONTAINERS.items()]
    with core.store.write() as tx:
        have = {flavor.name for flavor in tx.list(Flavor)}
        have |= {row.name for row in tx.unreadable.values() if row.kind == Flavor.KIND}
        new_flavors = []
        for name, (vcpus, memory, disk), kind in sizes:
            if name not in have:
                wanted = model.Wanted(vcpus=vcpus, memory=memory, disk=disk, kind=kind)  # type: ignore[arg-type]  # a literal in `sizes`
                new_flavors.append(_add(caller, tx, name, wanted))
    return new_flavors


@requires("reader")
def listing(caller: Caller, core: Core) -> list[Flavor]:
    """Every flavor that is offered, in the order of their making."""
    del caller
    with core.store.read() as tx:
        return [flavor for flavor in tx.list(Flavor) if not flavor.wanted.retired]


def _one(caller: Caller, tx: Reader, uuid: str) -> Flavor:
    return find.living(caller, tx, Flavor, uuid)


def _add(caller: Caller, tx: Writer, name: str, wanted: model.Wanted) -> Flavor:
    flavor = Flavor(uuid=new_uuid(), name=name, wanted=wanted)
    try:
        flavor = tx.add(flavor)
    except Duplicate as error:
        raise Duplicate(f"The flavor '{name}' exists already.", noun="flavor", ident=name) from error
    tx.add_journal_line(caller, flavor, "flavor.create", outcome="done")
    return flavor
