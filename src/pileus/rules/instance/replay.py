"""The requests for an instance whose row cannot be read, taken from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from pileus.model.instance import Power

if TYPE_CHECKING:
    from pileus.model.instance import Instance, PowerState, Wanted
    from pileus.store.reader import Reader

POWER: Final[dict[str, PowerState]] = {"instance.start": "running", "instance.stop": "stopped"}


def replayed(tx: Reader, row: Instance) -> Wanted:
    """The `wanted` of a row that was made of its host's order, brought up to the journal: power, reboots, its end.

    Tags and attributes that were changed after that order are not in the journal.
    """
    wanted = row.wanted
    for line in tx.journal(row.uuid, limit=None):
        if line.verb in POWER and line.goal > wanted.power.n:
            state = POWER[line.verb]
            since = wanted.power_since if state == wanted.power.state else line.goal
            wanted = msgspec.structs.replace(wanted, power=Power(state=state, n=line.goal), power_since=since)
        elif line.verb == "instance.reboot":
            wanted = msgspec.structs.replace(wanted, reboot=max(wanted.reboot, line.goal))
        elif line.verb == "instance.terminate":
            wanted = msgspec.structs.replace(wanted, gone=True)
    return wanted
