"""The end of an instance, and of all that it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.model.volume import Volume
from pileus.rules import floatingip
from pileus.rules import port as port_rules

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


def end(caller: Caller, core: Core, uuid: str, n: int, reason: str, message: str) -> bool:
    """Terminate `uuid` for a reason of the cloud's own, if its power number is still `n`; False when it is not."""
    with core.store.write() as tx:
        instance = tx.get(Instance, uuid)
        if instance is None or instance.gone is not None or instance.wanted.gone or instance.wanted.power.n != n:
            return False
        terminated(caller, tx, instance, reason, message)
        return True


def terminated(caller: Caller, tx: Writer, instance: Instance, reason: str, message: str) -> Instance:
    """Want an instance gone, with its ports and volumes, and return it as it is then."""
    wanted = msgspec.structs.replace(instance.wanted, gone=True, reason=reason, reason_message=message)
    instance = tx.want(instance, wanted)
    tx.add_journal_line(caller, instance, "instance.terminate")
    release(caller, tx, instance)
    tx.wake(instance)
    return instance


def release(caller: Caller, tx: Writer, instance: Instance) -> None:
    """Want the ports and volumes of a terminated instance gone, and its floating addresses nobody's. Safe to repeat.

    A port that is to outlive it is the instance's no more, and keeps its floating address.

    It is repeated until the instance is a tombstone: a row that could not be read at its termination was left out then.
    """
    for port in tx.referring(Port, [instance.uuid]):
        if port.wanted.instance == instance.uuid and not port.wanted.gone and not port.wanted.delete_on_termination:
            port_rules.detached(tx, port)
    for cls in (Port, Volume):
        for noun in tx.referring(cls, [instance.uuid]):
            if noun.wanted.instance == instance.uuid:
                tx.want_gone(noun)
    for port in tx.referring(Port, [instance.uuid]):
        if port.wanted.instance == instance.uuid:
            floatingip.leave(caller, tx, port)
            tx.wake(port)
