"""Peerings: packets pass between two routers where the tables of both lead there, and no further."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model import addresses
from pileus.model.peering import Assigned, Peering, Wanted
from pileus.model.securitygroup import Rule
from pileus.model.spec import PeeringSpec, PortSpec, RouterSpec, RouteSpec, RouteTableSpec, SourceSpec
from pileus.providers.local.layout import Layout
from pileus.providers.local.network import NetworkProvider
from tests.live import veth
from tests.live.test_floating import GATEWAY, OUTSIDE, mirror
from tests.live.test_network import OUT, Cloud, new
from tests.live.veth import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cost(5), pytest.mark.allow_hosts(["127.0.0.0/8", "10.41.0.0/16", OUTSIDE])]

EVERYTHING = Rule(id="all", cidr="0.0.0.0/0")
OUTWARD = "198.51.100.10"


class Peered(Cloud):
    """Three routers, each with a subnet, a route table and a guest; the middle one is linked with both others."""

    def __init__(self, layout: Layout, provider: NetworkProvider) -> None:
        super().__init__(layout, provider)
        self.open = self.group(OUT, EVERYTHING).uuid
        self.ports: list[PortSpec] = []
        self.routers, self.ends, self.links = [], [], []
        for number in (1, 2, 3):
            self.router = RouterSpec(uuid=new(), revision=self.revision())
            self.write(self.router)
            network, table = self.network(number), new()
            subnet = msgspec.structs.replace(network.subnets[0], table=table)
            self.write(msgspec.structs.replace(network, subnets=(subnet,), revision=self.revision()))
            self.routers.append(msgspec.structs.replace(self.router, tables=(RouteTableSpec(uuid=table),)))
            guest, port = self.guest(network, self.open)
            self.ends.append(guest)
            self.ports.append(port)
        for link, (one, other) in enumerate(((0, 1), (1, 2)), start=1):
            wanted = Wanted(router=self.routers[one].uuid, peer=self.routers[other].uuid, status="active")
            self.links.append(Peering(uuid=new(), wanted=wanted, assigned=Assigned(link=link)))

    def peered(self, router: int, links: list[int], *routes: tuple[int, int], out: bool = False) -> None:
        """Give a router its ends of links, and routes to the subnet of a router over a link."""
        ends = []
        for link in links:
            peering = self.links[link]
            side = peering.side(self.routers[router].uuid)
            other = peering.address("accepter" if side == "requester" else "requester")
            mac = addresses.derived_mac(peering.uuid, side)
            ends.append(PeeringSpec(uuid=peering.uuid, side=side, address=peering.address(side), other=other, mac=mac))
        specs = [
            RouteSpec(cidr=f"10.41.{target + 1}.0/24", target="peering", peering=self.links[link].uuid)
            for target, link in routes
        ]
        spec = self.routers[router]
        if out:
            source = SourceSpec(cidr=f"10.41.{router + 1}.0/24", address=OUTWARD)
            spec = msgspec.structs.replace(spec, address=OUTWARD, outside=OUTSIDE, sources=(source,))
            specs.append(RouteSpec(cidr="0.0.0.0/0"))
        tables = (msgspec.structs.replace(spec.tables[0], routes=tuple(specs)),)
        self.write(msgspec.structs.replace(spec, tables=tables, peerings=tuple(ends), revision=self.revision()))
        self.settled()

    def pings(self, one: int, other: int) -> bool:
        return self.ends[one].pings(self.ends[other].address)


@pytest.fixture
def cloud(layout: Layout) -> Iterator[Peered]:
    provider = NetworkProvider(layout.northbound, gateway=layout.netns)
    cloud = Peered(layout, provider)
    yield cloud
    cloud.close()
    provider.close()


def test_packets_pass_both_ways_where_both_tables_lead(cloud: Peered) -> None:
    cloud.peered(0, [0], (1, 0))
    assert not cloud.pings(0, 1), "the other router has no end of the link"
    cloud.peered(1, [0])
    assert not cloud.pings(0, 1), "no route leads back"
    cloud.peered(1, [0], (0, 0))
    assert cloud.pings(0, 1)
    assert cloud.pings(1, 0)
    server = cloud.ends[1].listen(cloud.ends[1].address, 80)
    veth.serve(server, b"here")
    assert cloud.ends[0].fetches(cloud.ends[1].address, 80) == b"here"
    server.close()
    cloud.peered(0, [0])
    assert not cloud.pings(0, 1), "no route leads there"
    assert not cloud.pings(1, 0), "no route leads back"
    cloud.peered(0, [0], (1, 0))
    assert cloud.pings(0, 1)
    cloud.peered(1, [])
    assert not cloud.pings(0, 1), "one end is gone"


def test_a_rule_admits_the_members_of_a_peers_group(cloud: Peered) -> None:
    """The peer's guest passes while it is in the group that the rule names."""
    cloud.peered(0, [0], (1, 0))
    cloud.peered(1, [0], (0, 0))
    named = cloud.group(OUT).uuid
    closed = cloud.group(OUT, Rule(id="peers", group=named)).uuid
    cloud.write(msgspec.structs.replace(cloud.ports[1], groups=(closed,), revision=cloud.revision()))
    cloud.settled()
    assert not cloud.pings(0, 1)
    cloud.write(msgspec.structs.replace(cloud.ports[0], groups=(named,), revision=cloud.revision()))
    eventually(lambda: cloud.pings(0, 1), "the member of the group is admitted")
    cloud.group(OUT, own=closed)
    eventually(lambda: not cloud.pings(0, 1), "no rule admits it any more")


def test_a_link_leads_to_the_peers_subnets_and_no_further(layout: Layout, cloud: Peered) -> None:
    """Not to a third router behind the peer, and not outside by the peer's gateway."""
    cloud.peered(0, [0], (1, 0), (2, 0))
    cloud.peered(1, [0, 1], (0, 0), (2, 1), out=True)
    cloud.peered(2, [1], (1, 1), (0, 1))
    for one, other in ((0, 1), (1, 0), (1, 2), (2, 1)):
        assert cloud.pings(one, other)
    assert not cloud.pings(0, 2)
    assert not cloud.pings(2, 0)
    server = mirror(layout.netns, 8080)
    try:
        eventually(lambda: cloud.ends[1].fetches(GATEWAY, 8080) == OUTWARD.encode(), "the peer goes out")
        through = RouteSpec(cidr="0.0.0.0/0", target="peering", peering=cloud.links[0].uuid)
        spec = next(made for made in cloud.made if made.uuid == cloud.routers[0].uuid)
        assert isinstance(spec, RouterSpec)
        tables = (msgspec.structs.replace(spec.tables[0], routes=(through,)),)
        cloud.write(msgspec.structs.replace(spec, tables=tables, revision=cloud.revision()))
        cloud.settled()
        assert cloud.pings(0, 1)
        assert not cloud.ends[0].fetches(GATEWAY, 8080)
    finally:
        server.close()
