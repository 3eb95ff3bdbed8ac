"""Networks in the network engine, with their subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.loops.enginekind import EngineKind
from pileus.loops.routing import one_way
from pileus.model import addresses
from pileus.model.dhcpoptionset import RESOLVER, DhcpOptionSet
from pileus.model.dhcpoptionset import Wanted as Options
from pileus.model.network import Network
from pileus.model.record import record
from pileus.model.router import Router
from pileus.model.spec import NetworkSpec, SubnetIpv6Spec, SubnetSpec
from pileus.model.subnet import Subnet, gateway, localport
from pileus.rules.routetable import table_of, tables_of

if TYPE_CHECKING:
    from pileus.model.routetable import RouteTable
    from pileus.rules.core import Place
    from pileus.store.reader import Reader


class NetworkKind(EngineKind[Network]):
    """A network and its subnets are one order."""

    def spec(self, tx: Reader, row: Network, place: Place) -> NetworkSpec:
        """The network with its living subnets. Raises Unavailable."""
        with tx.complete():
            subnets = [subnet for subnet in tx.referring(Subnet, [row.uuid]) if not subnet.wanted.gone]
            tables = tables_of(tx, row.wanted.router) if row.wanted.router else []
            router = tx.get(Router, row.wanted.router) if row.wanted.router else None
            chosen = router.wanted.dhcpoptionset if router else None
            option_set = tx.get(DhcpOptionSet, chosen) if chosen else None
        options = option_set.wanted if option_set else Options(domain=place.domain, servers=(RESOLVER,))
        if router is not None and not router.wanted.dns_support:
            servers = tuple(server for server in options.servers if server != RESOLVER)
            options = msgspec.structs.replace(options, servers=servers)
        return NetworkSpec(
            uuid=row.uuid,
            name=row.name,
            project=row.project,
            router=row.wanted.router,
            mtu=row.wanted.mtu,
            subnets=tuple(_subnet(row, subnet, tables, options, router) for subnet in subnets),
            record=record([row, *subnets]),
        )


ENGINE_KIND = NetworkKind(Network)


def _subnet(
    row: Network, subnet: Subnet, tables: list[RouteTable], options: Options, router: Router | None
) -> SubnetSpec:
    own = localport(subnet.wanted)
    table = table_of(tables, subnet.uuid)
    return SubnetSpec(
        uuid=subnet.uuid,
        cidr=subnet.wanted.cidr,
        gateway=gateway(subnet.wanted),
        gateway_mac=addresses.derived_mac(subnet.uuid, "gateway"),
        localport=own,
        localport_mac=addresses.derived_mac(row.uuid, "localport"),
        dns=tuple(own if server == RESOLVER else server for server in options.servers),
        domain=options.domain,
        ntp=options.ntp,
        netbios=options.netbios,
        node_type=options.node_type,
        table=table.uuid if table else "",
        ipv6=_ipv6(subnet, table, router) if router is not None else None,
    )


def _ipv6(subnet: Subnet, table: RouteTable | None, router: Router) -> SubnetIpv6Spec | None:
    block = subnet.wanted.ipv6
    if block is None:
        return None
    return SubnetIpv6Spec(
        cidr=block.cidr,
        gateway=addresses.gateway(block.cidr),
        localport=addresses.localport(block.cidr),
        mode=subnet.wanted.ipv6_mode,
        one_way=one_way(table, router),
    )
