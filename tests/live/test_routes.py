"""Routes: a packet goes where the route table of its subnet leads, and is seen outside by the source of its subnet."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.securitygroup import Rule
from pileus.model.spec import NetworkSpec, PortSpec, RouterSpec, RouteSpec, RouteTableSpec, SourceSpec
from pileus.providers.local.layout import Layout
from pileus.providers.local.network import NetworkProvider
from tests.live import veth
from tests.live.test_floating import GATEWAY, OUTSIDE, mirror
from tests.live.test_network import OUT, Cloud, new
from tests.live.veth import Guest, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cost(5), pytest.mark.allow_hosts(["127.0.0.0/8", "10.41.0.0/16", "10.99.0.0/16", OUTSIDE])]

EVERYWHERE = "0.0.0.0/0"
ROUTER, TRANSLATED = "198.51.100.10", "198.51.100.30"
EVERYTHING = Rule(id="all", cidr=EVERYWHERE)


class Vpc(Cloud):
    """A router with a way out, a public and a private subnet, each with a route table and a guest."""

    def __init__(self, layout: Layout, provider: NetworkProvider) -> None:
        super().__init__(layout, provider)
        self.group_spec = self.group(OUT, EVERYTHING)
        self.tables = (new(), new())
        self.networks = [self.tabled(self.network(number), self.tables[number - 1]) for number in (1, 2)]
        self.public, self.public_port = self.guest(self.networks[0], self.group_spec.uuid)
        self.private, self.private_port = self.guest(self.networks[1], self.group_spec.uuid)

    def tabled(self, network: NetworkSpec, table: str) -> NetworkSpec:
        subnets = tuple(msgspec.structs.replace(subnet, table=table) for subnet in network.subnets)
        changed = msgspec.structs.replace(network, subnets=subnets, revision=self.revision())
        self.write(changed)
        return changed

    def routed(self, public: list[RouteSpec], private: list[RouteSpec], *sources: SourceSpec) -> RouterSpec:
        tables = tuple(
            RouteTableSpec(uuid=uuid, routes=tuple(routes))
            for uuid, routes in zip(self.tables, (public, private), strict=True)
        )
        spec = msgspec.structs.replace(
            self.router, address=ROUTER, outside=OUTSIDE, sources=sources, tables=tables, revision=self.revision()
        )
        self.write(spec)
        return spec


@pytest.fixture
def vpc(layout: Layout) -> Iterator[Vpc]:
    provider = NetworkProvider(layout.northbound, gateway=layout.netns)
    vpc = Vpc(layout, provider)
    yield vpc
    vpc.close()
    provider.close()


def test_each_subnet_goes_by_its_own_table(layout: Layout, vpc: Vpc) -> None:
    """A public subnet, then a private one without and with a translation, then through a guest, and nowhere."""
    outside, public_source = RouteSpec(cidr=EVERYWHERE), SourceSpec(cidr="10.41.1.0/24", address=ROUTER)
    private_source = SourceSpec(cidr="10.41.2.0/24", address=TRANSLATED)
    server = mirror(layout.netns, 8080)
    try:
        vpc.routed([outside], [], public_source)
        vpc.settled()
        eventually(lambda: vpc.public.fetches(GATEWAY, 8080) == ROUTER.encode(), "the public guest is seen outside")
        assert not vpc.private.fetches(GATEWAY, 8080)
        assert vpc.private.pings(vpc.public.address)

        vpc.routed([outside], [outside], public_source, private_source)
        eventually(lambda: vpc.private.fetches(GATEWAY, 8080) == TRANSLATED.encode(), "the private one is, too")
        assert vpc.public.fetches(GATEWAY, 8080) == ROUTER.encode()

        vpc.routed([RouteSpec(cidr="198.51.100.1/32", target="nowhere"), outside], [], public_source)
        eventually(lambda: not vpc.public.fetches(GATEWAY, 8080), "a longer prefix leads nowhere")
        assert not vpc.private.fetches(GATEWAY, 8080)
    finally:
        server.close()


def test_a_route_leads_to_a_guest_that_forwards(vpc: Vpc) -> None:
    """Packets for a range reach the guest that the route names; its answers pass if its port may forward."""
    subnet = vpc.networks[0].subnets[0].uuid
    route = RouteSpec(cidr="10.99.0.0/16", target="address", address=vpc.public.address, subnet=subnet)
    vpc.routed([], [route])
    vpc.settled()
    veth.ip("-n", vpc.public.namespace, "address", "add", "10.99.0.1/32", "dev", "lo")
    server = vpc.public.listen("10.99.0.1", 80)
    try:
        veth.serve(server, b"here")
        assert not vpc.private.fetches("10.99.0.1", 80), "port security drops the answer"
        vpc.write(msgspec.structs.replace(vpc.public_port, forwards=True, revision=vpc.revision()))
        eventually(lambda: vpc.private.fetches("10.99.0.1", 80) == b"here", "the answer passes")
        assert not vpc.public.fetches("10.99.0.2", 80, source="10.99.0.1"), "nothing is there"
    finally:
        server.close()


def test_a_guest_has_further_addresses(vpc: Vpc) -> None:
    """A secondary address passes port security, both ways, while the port has it."""
    vpc.routed([], [])
    vpc.settled()
    spare = "10.41.1.77"
    veth.ip("-n", vpc.public.namespace, "address", "add", f"{spare}/24", "dev", "eth0")
    eventually(lambda: vpc.private.pings(vpc.public.address), "the primary address answers")
    assert not vpc.private.pings(spare)
    vpc.write(msgspec.structs.replace(vpc.public_port, secondaries=(spare,), revision=vpc.revision()))
    eventually(lambda: vpc.private.pings(spare), "the secondary address answers")
    assert vpc.private.pings(vpc.public.address)
    vpc.write(msgspec.structs.replace(vpc.public_port, revision=vpc.revision()))
    eventually(lambda: not vpc.private.pings(spare), "it does no more")


def test_a_guest_that_forwards_is_not_taken_for_the_localport(vpc: Vpc) -> None:
    """TCP from the localport passes whatever the groups say; a guest that sends from its address is judged by them."""
    closed, closed_port = vpc.guest(vpc.networks[0], vpc.group(OUT).uuid)
    opened, opened_port = vpc.guest(vpc.networks[0], vpc.group_spec.uuid)
    vpc.write(msgspec.structs.replace(vpc.public_port, forwards=True, revision=vpc.revision()))
    vpc.settled()
    localport = vpc.subnets[vpc.networks[0].uuid].localport

    def arrives(at: Guest, port: PortSpec) -> bool:
        packet = syn(localport, port.address)
        with at.wire() as heard, vpc.public.wire() as spoken:
            spoken.send(veth.frame(vpc.public_port.mac, veth.packed(port.mac), 0x0800, packet))
            try:
                return any(heard.recv(200)[14 : 14 + len(packet)] == packet for _ in range(20))
            except TimeoutError:
                return False

    eventually(lambda: arrives(opened, opened_port), "a group that admits everything admits it")
    assert not arrives(closed, closed_port)


def syn(source: str, target: str) -> bytes:
    """An IPv4 packet that opens a TCP connection to port 80."""
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    segment = struct.pack("!HHIIBBHHH", 4000, 80, 1, 0, 5 << 4, 2, 64000, 0, 0)
    pseudo = addresses + struct.pack("!BBH", 0, 6, len(segment))
    segment = segment[:16] + struct.pack("!H", veth.checksum(pseudo + segment)) + segment[18:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, 6, 0) + addresses
    return header[:10] + struct.pack("!H", veth.checksum(header)) + header[12:] + segment
