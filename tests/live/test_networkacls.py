"""Network ACLs: each packet that enters or leaves a subnet is judged by itself; inside of it none is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.addresses import METADATA
from pileus.model.networkacl import OPEN, AclEntry
from pileus.model.securitygroup import Rule
from pileus.model.spec import NetworkAclSpec, RouteSpec, RouteTableSpec, SourceSpec
from pileus.providers.local.layout import Layout
from pileus.providers.local.network import NetworkProvider
from tests.live import veth
from tests.live.test_floating import GATEWAY, OUTSIDE, mirror
from tests.live.test_network import OUT, Cloud, new
from tests.live.veth import dhcp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.veth import Guest

pytestmark = [pytest.mark.cost(5), pytest.mark.allow_hosts(["127.0.0.0/8", "10.41.0.0/16", METADATA, OUTSIDE])]

EVERYTHING = Rule(id="all", cidr="0.0.0.0/0")
ROUTER = "198.51.100.10"
TCP, ICMP = 6, 1


def tcp(number: int, first: int, last: int = 0, *, egress: bool = False, **more: str) -> AclEntry:
    """An entry for TCP to some ports."""
    return AclEntry(number=number, protocol=TCP, port_min=first, port_max=last or first, egress=egress, **more)  # type: ignore[arg-type]


class Filtered(Cloud):
    """Two subnets on a router with a way out: a client and a neighbour in one, a server in the other."""

    def __init__(self, layout: Layout, provider: NetworkProvider) -> None:
        super().__init__(layout, provider)
        group = self.group(OUT, EVERYTHING).uuid
        self.networks = [self.network(number) for number in (1, 2)]
        self.client, self.neighbour, self.server = (self.guest(self.networks[number], group)[0] for number in (0, 0, 1))
        for guest in (self.client, self.neighbour, self.server):
            for port in (80, 81):
                self.serve(guest, port)

    def serve(self, guest: Guest, port: int) -> None:
        server = guest.listen("0.0.0.0", port)  # noqa: S104  (inside a namespace)
        self.servers = [*getattr(self, "servers", []), server]
        veth.serve(server, b"here")

    def filtered(self, *acls: tuple[AclEntry, ...]) -> None:
        """Filter the subnets, in order, each by entries of its own."""
        specs = tuple(
            NetworkAclSpec(uuid=new(), entries=entries, subnets=(network.subnets[0].uuid,))
            for network, entries in zip(self.networks, acls, strict=False)
        )
        self.write(msgspec.structs.replace(self.router, acls=specs, revision=self.revision()))
        self.settled()

    def reached(self, port: int, wait: float = 1.0) -> bool:
        return self.client.fetches(self.server.address, port, wait) == b"here"

    def close(self) -> None:
        for server in self.servers:
            server.close()
        super().close()


@pytest.fixture
def cloud(layout: Layout) -> Iterator[Filtered]:
    provider = NetworkProvider(layout.northbound, gateway=layout.netns)
    cloud = Filtered(layout, provider)
    yield cloud
    cloud.close()
    provider.close()


def test_the_lowest_number_decides_and_answers_need_entries_of_their_own(cloud: Filtered) -> None:
    out, answers = tcp(100, 80, 81, egress=True), tcp(100, 1024, 65535)
    cloud.settled()
    assert cloud.reached(80)
    cloud.filtered((out, answers))
    assert cloud.reached(80)
    assert cloud.reached(81)
    assert not cloud.client.pings(cloud.server.address), "what no entry fits is denied"
    cloud.filtered((out, answers, tcp(99, 81, egress=True, action="deny")))
    assert (cloud.reached(80), cloud.reached(81)) == (True, False)
    cloud.filtered((out, answers, tcp(101, 81, egress=True, action="deny")))
    assert cloud.reached(81)
    cloud.filtered((out,))
    assert not cloud.reached(80), "the answers do not enter"
    cloud.filtered(OPEN, (tcp(100, 80),))
    assert not cloud.reached(80), "the answers do not leave the other subnet"
    cloud.filtered(OPEN, (tcp(100, 80), tcp(7, 1024, 65535, egress=True, cidr=f"{cloud.client.address}/32")))
    assert (cloud.reached(80), cloud.reached(81)) == (True, False)
    assert not cloud.neighbour.fetches(cloud.server.address, 80), "the answers of another address do not leave"


def test_echo_requests_are_told_from_replies(cloud: Filtered) -> None:
    request = AclEntry(number=1, protocol=ICMP, icmp_type=8, icmp_code=-1)
    reply = AclEntry(number=1, egress=True, protocol=ICMP, icmp_type=0, icmp_code=0)
    cloud.filtered(OPEN, (request, reply))
    assert cloud.client.pings(cloud.server.address)
    assert not cloud.server.pings(cloud.client.address)


def test_an_open_connection_ends_when_its_packets_are_denied(cloud: Filtered) -> None:
    """Each packet is judged by itself: no connection outlives the entry that admitted it."""
    cloud.filtered(OPEN, OPEN)
    assert cloud.reached(80)
    cloud.filtered(OPEN, (tcp(1, 80, action="deny"), *OPEN))
    assert (cloud.reached(80), cloud.reached(81)) == (False, True)
    cloud.filtered()
    assert cloud.reached(80)


def test_inside_a_subnet_and_to_its_services_nothing_is_judged(cloud: Filtered) -> None:
    """An ACL without entries: neighbours, addresses, metadata and names are as before, all else is cut off."""
    metadata = cloud.localport(cloud.networks[0])
    for port in (53, 80):
        cloud.serve(metadata, port)
    cloud.filtered(())
    assert not cloud.reached(80)
    assert not cloud.server.fetches(cloud.client.address, 80)
    assert cloud.client.pings(cloud.neighbour.address)
    assert cloud.client.fetches(cloud.neighbour.address, 80) == b"here"
    assert dhcp(cloud.client, 1)
    subnet = cloud.networks[0].subnets[0]
    veth.ip("-n", cloud.client.namespace, "route", "add", f"{METADATA}/32", "via", subnet.localport, "dev", "eth0")
    assert cloud.client.fetches(METADATA, 80) == b"here"
    assert cloud.client.fetches(subnet.localport, 53) == b"here"


def test_an_acl_judges_what_comes_from_outside_by_the_guests_own_address(layout: Layout, cloud: Filtered) -> None:
    table = new()
    subnet = msgspec.structs.replace(cloud.networks[0].subnets[0], table=table)
    cloud.write(msgspec.structs.replace(cloud.networks[0], subnets=(subnet,), revision=cloud.revision()))
    tables = (RouteTableSpec(uuid=table, routes=(RouteSpec(cidr="0.0.0.0/0"),)),)
    source = SourceSpec(cidr="10.41.1.0/24", address=ROUTER)
    cloud.router = msgspec.structs.replace(
        cloud.router, address=ROUTER, outside=OUTSIDE, sources=(source,), tables=tables
    )
    server = mirror(layout.netns, 8080)
    try:
        out = tcp(100, 8080, egress=True, cidr=f"{GATEWAY}/32")
        cloud.filtered((out, tcp(100, 1024, 65535, cidr=f"{GATEWAY}/32")))
        veth.eventually(lambda: cloud.client.fetches(GATEWAY, 8080) == ROUTER.encode(), "the guest goes out")
        cloud.filtered((out,))
        assert not cloud.client.fetches(GATEWAY, 8080), "the answers do not enter"
    finally:
        server.close()
