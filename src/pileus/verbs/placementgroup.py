"""Placement groups: made, listed, deleted when nothing is in them; and what a launch has to know of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, Duplicate, InvalidValue, NotFound
from pileus.model.ids import new_uuid
from pileus.model.instance import Instance
from pileus.model.placementgroup import PlacementGroup, Wanted
from pileus.verbs import find

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer
    from pileus.verbs.core import Core


def create(
    caller: Caller, core: Core, name: str, wanted: Wanted, tags: Mapping[str, str] | None = None
) -> PlacementGroup:
    """Make a group. Raises InvalidValue, Duplicate when the project has one of this name."""
    if not 1 <= len(name) <= 255 or not name.isascii():
        raise InvalidValue("A group's name has 1 to 255 ASCII characters.", noun="placementgroup", reason="name")
    with core.store.write() as tx:
        group = PlacementGroup(uuid=new_uuid(), project=caller.project, name=name, tags=dict(tags or {}), wanted=wanted)
        if tx.claimed(_pool(caller), name) is not None:
            text = f"The placement group '{name}' already exists."
            raise Duplicate(text, noun="placementgroup", ident=name)
        group = tx.add(group)
        tx.record(caller, group, "placementgroup.create", outcome="done")
        return group


def delete(caller: Caller, core: Core, name: str) -> None:
    """Delete a group by name, or id. Raises NotFound, Conflict while instances are in it."""
    with core.store.write() as tx:
        group = named(caller, tx, name)
        tx.lock(group)
        if tx.referrers(group.uuid):
            text = f"The placement group '{name}' is in use and may not be deleted."
            raise Conflict(text, noun="placementgroup", ident=name, reason="in-use")
        tx.want(group, msgspec.structs.replace(group.wanted, gone=True))
        tx.bury(group)
        tx.record(caller, group, "placementgroup.delete", outcome="done")


def listing(caller: Caller, core: Core, names: Sequence[str] = (), ids: Sequence[str] = ()) -> list[PlacementGroup]:
    """The project's groups; NotFound when one that is named does not exist."""
    with core.store.read() as tx:
        return find.chosen(caller, tx, PlacementGroup, names, ids, unknown)


def named(caller: Caller, tx: Reader, name: str) -> PlacementGroup:
    """The caller's group with this name, or this id; NotFound otherwise."""
    holder = tx.claimed(_pool(caller), name)
    group = tx.get(PlacementGroup, holder[1]) if holder else tx.by_ec2(PlacementGroup, [name]).get(name)
    if group is None or group.gone is not None or group.project != caller.project:
        raise unknown(name)
    return group


def members(tx: Writer, group: PlacementGroup) -> dict[str, int]:
    """How many instances of a group each host has, or may still have; the group is locked: no launch adds others."""
    tx.lock(group)
    counts: dict[str, int] = {}
    apart = group.wanted.policy.endswith("anti-affinity")
    for row in tx.referring(Instance, [group.uuid]):
        # A body that is going still is where it is; those that are to be together need not wait for it.
        hosts = {row.assigned.host, *row.assigned.clear} if apart or not row.wanted.gone else set()
        for host in hosts - {None}:
            counts[str(host)] = counts.get(str(host), 0) + 1
    return counts


def unknown(name: str) -> NotFound:
    """The error for a name that no group has."""
    return NotFound(f"The placement group '{name}' is unknown.", noun="placementgroup", ident=name)


def _pool(caller: Caller) -> str:
    return f"placementgroup:{caller.project}"
