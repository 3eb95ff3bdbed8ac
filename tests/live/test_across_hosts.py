"""Reachability across two hosts: guests on different switches are joined and parted as guests on one are."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest

from pileus.model import addresses
from pileus.model.networkacl import TCP, AclEntry
from pileus.model.securitygroup import Rule
from pileus.model.spec import (
    NetworkAclSpec,
    NetworkSpec,
    OneWayRange,
    OutsideIpv6Spec,
    PeeringSpec,
    RouterSpec,
    RouteSpec,
    RouteTableSpec,
    SourceSpec,
    TransitGatewaySpec,
)
from pileus.providers.local.network import NetworkProvider
from tests.cluster.wires import OUTSIDE as WIRE
from tests.cluster.wires import TUNNELS
from tests.live import veth, veth6
from tests.live.test_floating import GATEWAY, OUTSIDE, mirror
from tests.live.test_ipv6 import GATEWAY as GATEWAY6
from tests.live.test_ipv6 import OUT6, Dual, defaults
from tests.live.test_network import OUT, new
from tests.live.veth import Guest, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.model.peering import Side
    from tests.live.twohosts import TwoHosts

pytestmark = [pytest.mark.cost(50), pytest.mark.allow_hosts(["10.41.0.0/16", "::/0", OUTSIDE])]

Version = Literal["IPv4", "IPv6"]

VERSIONS: tuple[Version, ...] = ("IPv4", "IPv6")
EVERYWHERE = ("0.0.0.0/0", "::/0")
IN = (Rule(id="in4", cidr=EVERYWHERE[0]), Rule(id="in6", cidr=EVERYWHERE[1]))
ROUTER, TRANSLATED = "198.51.100.20", "198.51.100.30"
WEB, MIRROR = 80, 8080


@dataclass(frozen=True)
class End:
    """A guest with its addresses, by the version of IP."""

    guest: Guest
    addresses: dict[Version, str]

    def pings(self, other: End, version: Version) -> bool:
        """Whether the other guest answers one echo request."""
        address = other.addresses[version]
        return self.guest.pings(address) if version == "IPv4" else veth6.pings(self.guest.namespace, address)

    def fetches(self, address: str, port: int) -> bytes:
        """The first bytes of a TCP server; empty when no connection is made."""
        if ":" in address:
            return veth6.fetched(self.guest.namespace, address, port)
        return self.guest.fetches(address, port)


class AcrossHosts(Dual):
    """VPCs whose guests, `ends` by name, are on two hosts. The name of each guest on the second host ends in 2.

    Subnets 1, 2, 3 and 4 are of one VPC: 1 is public, 2 has no way out, 3 has a network ACL, 4 leads out through a NAT
    gateway, by IPv6 one way. Subnet 5 is of a peered VPC, 6 of one at the same transit gateway. A stranger's VPC has
    the range of subnet 1. The isolated network has no router.
    """

    def __init__(self, two_hosts: TwoHosts, provider: NetworkProvider) -> None:
        super().__init__(two_hosts.central, provider)
        self.hosts = two_hosts.hosts
        self.ends: dict[str, End] = {}
        self.open = self.group(OUT, OUT6, *IN).uuid
        self.members = self.group(OUT, OUT6).uuid
        self.closed = self.group(OUT, OUT6, Rule(id="members", group=self.members)).uuid
        own = self.router
        one_way = OneWayRange(cidr=EVERYWHERE[1], others=(self.range(1), self.range(2), self.range(3), self.range(4)))
        public, private, filtered = (self.dual(number) for number in (1, 2, 3))
        translated = self.dual(4, one_way=(one_way,))
        peer, peered = self.vpc(5)
        other, attached = self.vpc(6)
        _, namesake = self.vpc(1)
        self.joined(own, (public, private, filtered, translated), peer, peered, other, attached)
        self.place("public", public, self.open, self.members)
        self.place("unnamed", public, self.open)
        self.place("public2", public, self.open)
        self.place("private", private, self.open)
        self.place("private2", private, self.open)
        self.place("guarded2", private, self.closed)
        self.place("filtered2", filtered, self.open)
        self.place("translated", translated, self.open)
        self.place("peered2", peered, self.open)
        self.place("attached2", attached, self.open)
        self.place("behind", attached, self.open)
        self.place("namesake", namesake, self.open)
        self.place("namesake2", namesake, self.open)
        isolated = self.isolated(7)
        self.place("isolated", isolated, self.open)
        self.place("isolated2", isolated, self.open)
        self.settled()

    def vpc(self, number: int) -> tuple[RouterSpec, NetworkSpec]:
        """Another router, with a subnet."""
        self.router = RouterSpec(uuid=new(), revision=self.revision())
        self.write(self.router)
        return self.router, self.dual(number)

    def isolated(self, number: int) -> NetworkSpec:
        """A network without a router."""
        network = msgspec.structs.replace(self.dual(number), router=None, revision=self.revision())
        self.write(network)
        return network

    def joined(
        self,
        own: RouterSpec,
        networks: tuple[NetworkSpec, ...],
        peer: RouterSpec,
        peered: NetworkSpec,
        other: RouterSpec,
        attached: NetworkSpec,
    ) -> None:
        """Write the routers with all that leads from one to another, and outside by the second host."""
        peering, first, second, shared = new(), new(), new(), new()
        public, private, filtered, translated = (self.tables[network.uuid] for network in networks)
        out = tuple(RouteSpec(cidr=cidr) for cidr in EVERYWHERE)
        between = (*self.routes(5, peering), *self.routes(6, first))
        tables = {public: (*out, *between), private: between, filtered: between, translated: (*out, *between)}
        self.written(
            own,
            tables,
            (link(peering, "requester", 1), link(first, "requester", 2)),
            address=ROUTER,
            outside=OUTSIDE,
            gateways=("host2", "host1"),
            sources=(
                SourceSpec(cidr="10.41.1.0/24", address=ROUTER),
                SourceSpec(cidr="10.41.4.0/24", address=TRANSLATED),
            ),
            ipv6=OutsideIpv6Spec(gateway=GATEWAY6, cidrs=(self.range(1), self.range(4))),
            acls=(NetworkAclSpec(uuid=new(), entries=web_alone(), subnets=(networks[2].subnets[0].uuid,)),),
        )
        inner = range(1, 5)
        back = [route for number in (*inner, 6) for route in self.routes(number, peering)]
        self.written(peer, {self.tables[peered.uuid]: tuple(back)}, (link(peering, "accepter", 1),))
        back = [route for number in (*inner, 5) for route in self.routes(number, second)]
        self.written(other, {self.tables[attached.uuid]: tuple(back)}, (link(second, "requester", 3),))
        routes = [route for number in (*inner, 5) for route in self.routes(number, first)] + self.routes(6, second)
        links = tuple(link(uuid, "accepter", number, shared) for number, uuid in ((2, first), (3, second)))
        table = RouteTableSpec(uuid=shared, routes=tuple(routes))
        self.write(TransitGatewaySpec(uuid=new(), tables=(table,), links=links, revision=self.revision()))

    def routes(self, number: int, peering: str) -> list[RouteSpec]:
        """Routes to a subnet over a link, by both versions of IP."""
        ranges = (f"10.41.{number}.0/24", self.range(number))
        return [RouteSpec(cidr=cidr, target="peering", peering=peering) for cidr in ranges]

    def written(
        self,
        router: RouterSpec,
        tables: dict[str, tuple[RouteSpec, ...]],
        links: tuple[PeeringSpec, ...],
        **more: object,
    ) -> None:
        """Write a router with route tables and links."""
        specs = tuple(RouteTableSpec(uuid=uuid, routes=routes) for uuid, routes in tables.items())
        changes = {"tables": specs, "peerings": links, "revision": self.revision(), **more}
        self.write(msgspec.structs.replace(router, **changes))

    def place(self, name: str, network: NetworkSpec, *groups: str) -> None:
        """Plug a guest with a port of the network into the switch of the host that its name says."""
        subnet = self.subnets[network.uuid]
        port, address = self.port(network, *groups), self.address(network)
        port = msgspec.structs.replace(port, ipv6=(address,), router=network.router or "", revision=self.revision())
        self.write(port)
        guest = veth.guest(self.hosts["host2" if name.endswith("2") else "host1"], port, subnet)
        self.guests.append(guest)
        if network.router:
            veth6.add(guest, f"{address}/128")
            eventually(lambda: defaults(guest), "the router advertises itself")
        else:
            veth6.add(guest, f"{address}/64")
        self.ends[name] = End(guest, {"IPv4": port.address, "IPv6": address})


def link(uuid: str, side: Side, number: int, table: str = "") -> PeeringSpec:
    """One side's end of a link."""
    own, other = (f"240.0.{number}.1", f"240.0.{number}.2")[:: 1 if side == "requester" else -1]
    mac = addresses.derived_mac(uuid, side)
    return PeeringSpec(uuid=uuid, side=side, address=own, other=other, mac=mac, table=table)


def web_alone() -> tuple[AclEntry, ...]:
    """Entries that let TCP to one port in, and the answers out."""
    entries = []
    for number, cidr in enumerate(EVERYWHERE, start=100):
        entries.append(AclEntry(number=number, protocol=TCP, port_min=WEB, port_max=WEB, cidr=cidr))
        answers = AclEntry(number=number, egress=True, protocol=TCP, port_min=1024, port_max=65535, cidr=cidr)
        entries.append(answers)
    return tuple(entries)


@pytest.fixture(scope="module")
def world(two_hosts: TwoHosts) -> str:
    """The namespace outside, whose address is the gateway there, of IPv6 as well."""
    namespace = two_hosts.wires.machines["world"].namespace
    prefix = addresses.IPV6.partition("/")[2]
    veth.ip("-n", namespace, "address", "add", f"{GATEWAY6}/{prefix}", "dev", WIRE, "nodad")
    return namespace


@pytest.fixture(scope="module")
def cloud(two_hosts: TwoHosts) -> Iterator[AcrossHosts]:
    provider = NetworkProvider(two_hosts.central.northbound)
    cloud = AcrossHosts(two_hosts, provider)
    yield cloud
    cloud.close()
    provider.close()


REACHED = {
    "of the same subnet": ("public", "public2"),
    "of another subnet": ("public", "private2"),
    "of a peered VPC": ("public", "peered2"),
    "behind a transit gateway": ("public", "attached2"),
    "of the same isolated network": ("isolated", "isolated2"),
    "whose rule names the group": ("public", "guarded2"),
    "of the stranger's own VPC": ("namesake", "namesake2"),
}
UNREACHED = {
    "of an isolated network": ("public", "isolated", "isolated2"),
    "of a VPC, from an isolated network": ("isolated", "public", "private2"),
    "whose rule names another group": ("unnamed", "public", "guarded2"),
    "of a stranger with the same range": ("public", "namesake", "namesake2"),
    "behind a peered VPC": ("peered2", "public", "behind"),
}
"""A source that does not reach a guest, a source that does, and that guest."""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("target", REACHED)
def test_guests_on_two_hosts_reach_each_other(cloud: AcrossHosts, target: str, version: Version) -> None:
    one, other = (cloud.ends[name] for name in REACHED[target])
    eventually(lambda: one.pings(other, version), f"a guest reaches one {target}")
    if target != "whose rule names the group":
        eventually(lambda: other.pings(one, version), "and the other way")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("target", UNREACHED)
def test_guests_on_two_hosts_are_kept_apart(cloud: AcrossHosts, target: str, version: Version) -> None:
    one, control, other = (cloud.ends[name] for name in UNREACHED[target])
    eventually(lambda: control.pings(other, version), "another guest reaches it")
    assert not one.pings(other, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_network_acl_judges_what_comes_from_another_host(cloud: AcrossHosts, version: Version) -> None:
    one, other = cloud.ends["public"], cloud.ends["filtered2"]
    address = other.addresses[version]
    with web_server(other, version):
        eventually(lambda: one.fetches(address, WEB), "an entry admits TCP to its port")
        assert not one.pings(other, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_guests_go_out_by_the_other_host(cloud: AcrossHosts, two_hosts: TwoHosts, world: str, version: Version) -> None:
    """The guests' own host is cut off from the outside: the gateway is on the other one."""
    server, gateway = (mirror(world, MIRROR), GATEWAY) if version == "IPv4" else (veth6.server(world, MIRROR), GATEWAY6)
    sources = {"public": ROUTER, "translated": TRANSLATED}
    with contextlib.closing(server), two_hosts.wires.parted("host1", WIRE):
        for name, source in sources.items():
            end = cloud.ends[name]
            seen = source if version == "IPv4" else end.addresses["IPv6"]
            eventually(lambda e=end, s=seen: e.fetches(gateway, MIRROR) == s.encode(), f"{name} goes out")  # type: ignore[misc]
        for name in ("isolated", "peered2", "private", "private2"):
            assert not cloud.ends[name].fetches(gateway, MIRROR), name


def test_ipv6_is_reached_from_outside_by_the_gateway_host(cloud: AcrossHosts, world: str) -> None:
    """Guests of the public subnet, on either host, at each first packet; not the subnet that leads out one way.

    Both hosts hear the solicitations, and the host of the router's gateway alone answers. Another gateway takes over.
    """
    own = next(spec for spec in cloud.made if isinstance(spec, RouterSpec) and spec.address == ROUTER)
    for gateways in (own.gateways[::-1], own.gateways):
        cloud.write(msgspec.structs.replace(own, gateways=gateways, revision=cloud.revision()))
        cloud.settled()
        for name in ("public", "public2"):
            address = cloud.ends[name].addresses["IPv6"]
            eventually(lambda to=address: veth6.pings(world, to), f"{name} is reached")  # type: ignore[misc]
            for _ in range(10):
                veth.ip("-n", world, "-6", "neighbor", "flush", "dev", WIRE)
                assert veth6.pings(world, address, 2.0)
        assert not veth6.pings(world, cloud.ends["translated"].addresses["IPv6"])


@pytest.mark.parametrize("version", VERSIONS)
def test_guests_on_two_hosts_meet_by_the_tunnel(cloud: AcrossHosts, two_hosts: TwoHosts, version: Version) -> None:
    one, other = cloud.ends["public"], cloud.ends["public2"]
    eventually(lambda: one.pings(other, version), "they reach each other")
    with two_hosts.wires.parted("host2", TUNNELS):
        assert not one.pings(other, version)
    eventually(lambda: one.pings(other, version), "they do again")


@contextlib.contextmanager
def web_server(end: End, version: Version) -> Iterator[None]:
    """A TCP server in a guest while the block runs."""
    if version == "IPv6":
        server = veth6.server(end.guest.namespace, WEB)
    else:
        server = end.guest.listen(end.addresses[version], WEB)
        veth.serve(server, b"here")
    with contextlib.closing(server):
        yield
