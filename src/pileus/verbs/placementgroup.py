"""Placement groups: made, listed, deleted when nothing is in them; and what a launch has to know of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import Conflict, Duplicate, InvalidValue
from pileus.model.ids import new_uuid
from pileus.model.placementgroup import PlacementGroup, Wanted
from pileus.rules import find
from pileus.rules.placementgroup import unknown
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core


@requires("member")
def create(
    caller: Caller, core: Core, name: str, wanted: Wanted, tags: Mapping[str, str] | None = None
) -> PlacementGroup:
    """Make a group. Raises InvalidValue, Duplicate when the project has one of this name."""
    if not 1 <= len(name) <= 255 or not name.isascii():
        raise InvalidValue("A group's name has 1 to 255 ASCII characters.", noun="placementgroup", reason="name")
    with core.store.write() as tx:
        group = PlacementGroup(uuid=new_uuid(), project=caller.project, name=name, tags=dict(tags or {}), wanted=wanted)
        if tx.claimed(PlacementGroup.names(caller.project), name) is not None:
            text = f"The placement group '{name}' already exists."
            raise Duplicate(text, noun="placementgroup", ident=name)
        group = tx.add(group)
        tx.add_journal_line(caller, group, "placementgroup.create", outcome="done")
        return group


@requires("member")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a group. Raises NotFound, Conflict while instances are in it."""
    with core.store.write() as tx:
        group = find.living(caller, tx, PlacementGroup, uuid)
        tx.lock(group)
        if tx.referrers(group.uuid):
            text = f"The {group.label} is in use and may not be deleted."
            raise Conflict(text, noun="placementgroup", ident=group.name, reason="in-use")
        tx.want_gone(group)
        tx.make_tombstone(group)
        tx.add_journal_line(caller, group, "placementgroup.delete", outcome="done")


@requires("reader")
def listing(caller: Caller, core: Core, names: Sequence[str] = (), uuids: Sequence[str] = ()) -> list[PlacementGroup]:
    """The project's groups; NotFound when one that is named does not exist."""
    with core.store.read() as tx:
        return find.chosen(caller, tx, PlacementGroup, names, uuids, unknown)
