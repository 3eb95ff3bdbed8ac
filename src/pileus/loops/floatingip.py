"""Floating addresses in the network engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.loops.enginekind import EngineKind
from pileus.model.floatingip import FloatingIp
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.record import record
from pileus.model.spec import FloatingIpSpec

if TYPE_CHECKING:
    from pileus.rules.core import Place
    from pileus.store.reader import Reader


class FloatingIpKind(EngineKind[FloatingIp]):
    """Floating addresses follow their ports."""

    def spec(self, tx: Reader, row: FloatingIp, place: Place) -> FloatingIpSpec:
        """The address, with its port and router while it is in use."""
        port = tx.get(Port, row.wanted.port) if row.wanted.port else None
        network = tx.get(Network, port.wanted.network) if port else None
        spec = FloatingIpSpec(
            uuid=row.uuid, name=row.name, project=row.project, address=row.assigned.address, record=record([row])
        )
        if port is None or network is None or network.wanted.router is None or port.wanted.gone:
            return spec
        private, router = row.private_address(port), network.wanted.router
        return msgspec.structs.replace(spec, port=port.uuid, private=private, router=router)


ENGINE_KIND = FloatingIpKind(FloatingIp)
