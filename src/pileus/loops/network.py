"""Networks in the network engine, with their subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.loops.enginekind import EngineKind
from pileus.model import addresses
from pileus.model.network import Network
from pileus.model.record import record
from pileus.model.spec import NetworkSpec, SubnetSpec
from pileus.model.subnet import Subnet, gateway, localport

if TYPE_CHECKING:
    from pileus.rules.core import Place
    from pileus.store.reader import Reader


class NetworkKind(EngineKind[Network]):
    """A network and its subnets are one order."""

    def spec(self, tx: Reader, row: Network, place: Place) -> NetworkSpec:
        """The network with its living subnets. Raises Unavailable."""
        with tx.complete():
            subnets = [subnet for subnet in tx.referring(Subnet, [row.uuid]) if not subnet.wanted.gone]
        return NetworkSpec(
            uuid=row.uuid,
            name=row.name,
            project=row.project,
            router=row.wanted.router,
            mtu=row.wanted.mtu,
            subnets=tuple(_subnet(row, subnet, place) for subnet in subnets),
            record=record([row, *subnets]),
        )


ENGINE_KIND = NetworkKind(Network)


def _subnet(row: Network, subnet: Subnet, place: Place) -> SubnetSpec:
    return SubnetSpec(
        uuid=subnet.uuid,
        cidr=subnet.wanted.cidr,
        gateway=gateway(subnet.wanted),
        gateway_mac=addresses.derived_mac(subnet.uuid, "gateway"),
        localport=localport(subnet.wanted),
        localport_mac=addresses.derived_mac(row.uuid, "localport"),
        dns=localport(subnet.wanted),
        domain=place.domain,
    )
