"""Changing where an instance may be: its placement group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, NoCapacity
from pileus.model.instance import Instance, State, state
from pileus.model.placementgroup import PlacementGroup
from pileus.rules import find, placementgroup
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


@requires("member")
def regroup(caller: Caller, core: Core, uuid: str, group: str | None) -> Instance:
    """Put a stopped instance into the group with this uuid, or into none. It stays on its host.

    Raises NotFound, Conflict while it is not stopped, NoCapacity where its host is none for the group.
    """
    with core.store.write() as tx:
        row = find.living(caller, tx, Instance, uuid)
        if state(row) is not State.STOPPED:
            text = f"{row.label} is not stopped (it is {state(row)})."
            raise Conflict(text, noun="instance", ident=row.uuid, reason="state")
        if row.wanted.placementgroup == group:
            return row
        if group is not None:
            _check_host(tx, row, find.living(caller, tx, PlacementGroup, group))
        row = tx.want(row, msgspec.structs.replace(row.wanted, placementgroup=group))
        tx.add_journal_line(caller, row, "instance.regroup", goal=row.generation, outcome="done")
        tx.wake(row)
        return row


def _check_host(tx: Writer, row: Instance, group: PlacementGroup) -> None:
    """Raise NoCapacity where the policy of `group` excludes the host of `row`: its disk stays there.

    Raises NotFound for a group of another project, which an administrator sees.
    """
    if group.project != row.project:
        raise placementgroup.unknown(group.name)
    counts = placementgroup.members(tx, group)
    here = any(counts.get(host or "") for host in (row.assigned.host, *row.assigned.clear))
    if (group.wanted.policy == "anti-affinity" and here) or (group.wanted.policy == "affinity" and counts and not here):
        text = f"The host of {row.label} is not one for the placement group '{group.name}'."
        raise NoCapacity(text, noun="instance", ident=row.uuid)
