"""Ports in the network engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.loops import router
from pileus.loops.enginekind import EngineKind
from pileus.model.flavor import Flavor
from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.model.record import record
from pileus.model.spec import PortSpec

if TYPE_CHECKING:
    from pileus.rules.core import Place
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


class PortKind(EngineKind[Port]):
    """A port ends with its instance; the first port on a network is why its router needs an address."""

    def spec(self, tx: Reader, row: Port, place: Place) -> PortSpec:
        """The port with its groups, and the bandwidth of its instance."""
        wanted, instance = row.wanted, _instance(tx, row)
        flavor = tx.get(Flavor, instance.wanted.flavor) if instance is not None else None
        return PortSpec(
            uuid=row.uuid,
            name=row.name,
            project=row.project,
            network=wanted.network,
            subnet=wanted.subnet,
            mac=row.assigned.mac,
            address=row.assigned.address,
            groups=wanted.groups,
            hostname=f"ip-{row.assigned.address.replace('.', '-')}",
            bandwidth=flavor.wanted.allowed.bandwidth if flavor is not None else 0,
            forwards=wanted.forwards,
            record=record([_placed(row, instance)]),
        )

    def changed(self, tx: Writer, row: Port) -> None:
        """Wake the router of its network if that has no address yet."""
        router.wake_unaddressed(tx, [row.wanted.network])

    def ended(self, tx: Writer, row: Port) -> bool:
        """A port of an instance waits for the instance, which is woken."""
        instance = _instance(tx, row)
        if instance is not None and instance.gone is None:
            tx.wake(instance)
            return False
        router.wake_idle(tx, [row])
        return True


ENGINE_KIND = PortKind(Port)


def _instance(tx: Reader, row: Port) -> Instance | None:
    return tx.get(Instance, row.wanted.instance) if row.wanted.instance else None


def _placed(row: Port, instance: Instance | None) -> Port:
    """The port with the place of its instance: after a loss, the engine's record alone may have to tell that."""
    if instance is None or instance.assigned.host is None:
        return row
    host, loopback = instance.assigned.host, instance.assigned.loopback
    return msgspec.structs.replace(row, assigned=msgspec.structs.replace(row.assigned, host=host, loopback=loopback))
