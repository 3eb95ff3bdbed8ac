"""Start, stop, reboot and terminate: each raises a number in `wanted`, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, DryRun
from pileus.model.instance import Instance, Power, PowerState, State, state
from pileus.rules import find
from pileus.rules.instance.power import terminated
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


Change = tuple[Instance, State, State]
"""An instance after a verb, with the state before it and after it."""


_DONE = {"instance.start": "started", "instance.stop": "stopped", "instance.reboot": "rebooted"}


@requires("member")
def start(caller: Caller, core: Core, uuids: Sequence[str], *, dry_run: bool = False) -> list[Change]:
    """Want these (by uuid) running. One that runs goes on, or comes up again should it just have ended itself.

    Raises Conflict for one that is going or gone.
    """
    return _power(caller, core, uuids, "running", dry_run=dry_run)


@requires("member")
def stop(caller: Caller, core: Core, uuids: Sequence[str], *, dry_run: bool = False) -> list[Change]:
    """Want these stopped: their guests are asked first. Disks and addresses are kept."""
    return _power(caller, core, uuids, "stopped", dry_run=dry_run)


def _power(
    caller: Caller, core: Core, uuids: Sequence[str], wanted_state: PowerState, *, dry_run: bool
) -> list[Change]:
    verb = "instance.start" if wanted_state == "running" else "instance.stop"
    with core.store.write() as tx:
        changes: list[Change] = []
        for instance in _living(caller, tx, uuids, verb):
            before, power = state(instance), instance.wanted.power
            # A guest may have ended itself, reported or not: a start is a new request although it is wanted running.
            again = power.state == wanted_state
            # What its host, not heard yet, holds may be newer than the row: a stop is a new request against that.
            if not dry_run and (wanted_state == "running" or not again or instance.assigned.unheard is not None):
                wanted = msgspec.structs.replace(
                    instance.wanted,
                    power=Power(state=wanted_state, n=power.n + 1),
                    power_since=instance.wanted.power_since if again else power.n + 1,
                )
                instance = tx.want(instance, wanted)  # noqa: PLW2901  (the row after the change)
                tx.add_journal_line(caller, instance, verb, goal=power.n + 1)
                tx.wake(instance)
            changes.append((instance, before, state(instance)))
        _dry(dry_run=dry_run)
        return changes


@requires("member")
def reboot(caller: Caller, core: Core, uuids: Sequence[str], *, dry_run: bool = False) -> None:
    """Have these go down and come up again. One that does not run is not started by it."""
    with core.store.write() as tx:
        for instance in _living(caller, tx, uuids, "instance.reboot"):
            if dry_run:
                continue
            count = instance.wanted.reboot + 1
            changed = tx.want(instance, msgspec.structs.replace(instance.wanted, reboot=count))
            tx.add_journal_line(caller, changed, "instance.reboot", goal=count)
            tx.wake(changed)
        _dry(dry_run=dry_run)


@requires("member")
def terminate(caller: Caller, core: Core, uuids: Sequence[str], *, dry_run: bool = False) -> list[Change]:
    """Want these gone, with their ports and volumes. Safe to repeat while they are remembered."""
    with core.store.write() as tx:
        instances = find.known(caller, tx, Instance, uuids, dead=True)
        for instance in instances:
            if instance.wanted.protected:
                text = f"The {instance.label} is protected from being terminated."
                raise Conflict(text, noun="instance", ident=instance.label, reason="protected")
        _dry(dry_run=dry_run)
        changes: list[Change] = []
        for instance in instances:
            before = state(instance)
            if instance.gone is None and not instance.wanted.gone:
                instance = terminated(caller, tx, instance, "Client.UserInitiatedShutdown", "User initiated shutdown")  # noqa: PLW2901  (the row after the change)
            changes.append((instance, before, state(instance)))
        return changes


def _living(caller: Caller, tx: Writer, uuids: Sequence[str], verb: str) -> list[Instance]:
    instances = find.known(caller, tx, Instance, uuids, dead=True)
    for instance in instances:
        now = state(instance)
        if now in (State.TERMINATED, State.SHUTTING_DOWN):
            text = f"The {instance.label} is not in a state from which it can be {_DONE[verb]} (it is {now})."
            raise Conflict(text, noun="instance", ident=instance.uuid, reason="state")
    return instances


def _dry(*, dry_run: bool) -> None:
    if dry_run:
        raise DryRun("It would be done, and was not: this was a dry run.")
