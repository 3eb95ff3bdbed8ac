"""Placement groups by their names, and their members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import NotFound
from pileus.model.instance import Instance
from pileus.model.placementgroup import PlacementGroup

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


def named(caller: Caller, tx: Reader, name: str) -> PlacementGroup:
    """The caller's group with this name, or this id; NotFound otherwise."""
    group = tx.named(PlacementGroup, name, caller.project) or tx.by_ec2(PlacementGroup, [name]).get(name)
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
