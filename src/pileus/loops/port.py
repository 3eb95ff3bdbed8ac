"""Ports in the network engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.loops import router
from pileus.loops.enginekind import EngineKind
from pileus.model.flavor import Flavor
from pileus.model.instance import Instance
from pileus.model.noun import NEVER
from pileus.model.port import Port
from pileus.model.record import record
from pileus.model.spec import PortSpec
from pileus.rules.port import router_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.rules.core import Core, Place
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


_AGAIN = 0.5
"""Seconds after which a port that a host has to confirm is looked at again."""


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
            secondaries=row.assigned.secondaries,
            network_tags=wanted.network_tags,
            router=router_of(tx, row) if wanted.network_tags or row.assigned.ipv6 else "",
            ipv6=row.assigned.ipv6,
            record=record([_placed(row, instance)]),
        )

    def preload(self, tx: Reader, rows: Iterable[Port]) -> None:
        """The instances of the ports."""
        tx.preload(Instance, [row.wanted.instance for row in rows if row.wanted.instance])

    def prepare(self, core: Core, tx: Writer, row: Port) -> Port:
        """The port, free of the instance that it came to or left once that instance's host has said so."""
        if not row.assigned.unconfirmed or not _confirmed(tx, row):
            return row
        return tx.assign(row, msgspec.structs.replace(row.assigned, unconfirmed="", until=NEVER))

    def again(self, tx: Writer, row: Port) -> float | None:
        """Soon, while a host has not said yet that the port came to an instance or left it."""
        return tx.now + _AGAIN if row.assigned.unconfirmed else None

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


def _confirmed(tx: Reader, row: Port) -> bool:
    """Whether no host has the port otherwise than its row says; that of an instance that ends may until the end."""
    instance = tx.get(Instance, row.assigned.unconfirmed)
    if instance is None or instance.gone is not None:
        return row.assigned.unconfirmed not in tx.unreadable
    return not instance.wanted.gone and instance.seen.revision >= row.assigned.until


def _instance(tx: Reader, row: Port) -> Instance | None:
    return tx.get(Instance, row.wanted.instance) if row.wanted.instance else None


def _placed(row: Port, instance: Instance | None) -> Port:
    """The port with the place of its instance: after a loss, the engine's record alone may have to tell that."""
    if instance is None or instance.assigned.host is None:
        return row
    host, loopback = instance.assigned.host, instance.assigned.loopback
    return msgspec.structs.replace(row, assigned=msgspec.structs.replace(row.assigned, host=host, loopback=loopback))
