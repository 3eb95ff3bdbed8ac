"""VPCs with guests on one host or on two, by both versions of IP: what reaches what, for the tests of both."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import dns.message
import dns.query
import dns.rdatatype
import msgspec

from pileus.faces.metadata.service import bind
from pileus.model import addresses
from pileus.model.instance import Power
from pileus.model.networkacl import TCP, AclEntry
from pileus.model.securitygroup import Rule
from pileus.model.spec import (
    InstanceSpec,
    NetworkAclSpec,
    NetworkSpec,
    NicSpec,
    OneWayRange,
    OutsideIpv6Spec,
    PeeringSpec,
    PortSpec,
    RouterSpec,
    RouteSpec,
    RouteTableSpec,
    SourceSpec,
    TransitGatewaySpec,
)
from pileus.providers.local.guestnet import GuestNet
from tests.live import veth, veth6
from tests.live.test_floating import OUTSIDE
from tests.live.test_ipv6 import GATEWAY as GATEWAY6
from tests.live.test_ipv6 import OUT6, Dual, defaults
from tests.live.test_network import OUT, new
from tests.live.veth import Guest, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.model.peering import Side
    from pileus.providers.local.layout import Layout
    from pileus.providers.local.network import NetworkProvider

Version = Literal["IPv4", "IPv6"]

VERSIONS: tuple[Version, ...] = ("IPv4", "IPv6")
EVERYWHERE = ("0.0.0.0/0", "::/0")
IN = (Rule(id="in4", cidr=EVERYWHERE[0]), Rule(id="in6", cidr=EVERYWHERE[1]))
ROUTER, TRANSLATED = "198.51.100.20", "198.51.100.30"
WEB, MIRROR, PROBE = 80, 8080, 8099
DOMAIN = "lab.internal"


@dataclass(frozen=True)
class End:
    """A guest on a host with its addresses, by the version of IP."""

    name: str
    host: str
    guest: Guest
    addresses: dict[Version, str]
    network: NetworkSpec
    port: PortSpec

    def pings(self, other: End, version: Version) -> bool:
        """Whether the other guest answers one echo request."""
        address = other.addresses[version]
        return self.guest.pings(address) if version == "IPv4" else veth6.pings(self.guest.namespace, address)

    def fetches(self, address: str, port: int) -> bytes:
        """The first bytes of a TCP server; empty when no connection is made."""
        if ":" in address:
            return veth6.fetched(self.guest.namespace, address, port)
        return self.guest.fetches(address, port)

    def metadata(self, version: Version, source: str = "") -> bytes:
        """The id that the metadata service tells the guest, which asks from `source`; empty when it does not answer."""

        def ask() -> bytes:
            address = addresses.METADATA if version == "IPv4" else addresses.METADATA6
            connection = http.client.HTTPConnection(address, WEB, 2.0, (source, 0) if source else None)
            try:
                connection.request("GET", "/latest/meta-data/instance-id")
                return connection.getresponse().read()
            except OSError:
                return b""
            finally:
                connection.close()

        return veth.within(self.guest.namespace, ask)

    def resolves(self, name: str) -> str:
        """The address that the resolver of the guest's subnet gives for a name; empty for none."""

        def ask() -> str:
            query = dns.message.make_query(name, dns.rdatatype.A)
            try:
                answer = dns.query.udp(query, self.network.subnets[0].localport, timeout=2.0)
            except OSError:
                return ""
            return "".join(rdata.address for rrset in answer.answer for rdata in rrset)

        return veth.within(self.guest.namespace, ask)

    def order(self) -> InstanceSpec:
        """The order for an instance with the guest's port, as its host has it."""
        (subnet,) = self.network.subnets
        nic = NicSpec(
            uuid=self.port.uuid,
            ec2_id="eni-1",
            mac=self.port.mac,
            address=self.port.address,
            cidr=subnet.cidr,
            gateway=subnet.gateway,
            localport=subnet.localport,
            localport_mac=subnet.localport_mac,
            network=self.network.uuid,
            ipv6=(self.addresses["IPv6"],),
            ipv6_cidr=subnet.ipv6.cidr if subnet.ipv6 else "",
        )
        return InstanceSpec(
            uuid=new(),
            power=Power(),
            vcpus=1,
            memory=1,
            nics=(nic,),
            ec2_id=self.name,
            domain=DOMAIN,
            hostname=self.name,
            metadata_ipv6=True,
        )


class Vpcs(Dual):
    """VPCs whose guests, `ends` by name, are on two hosts, or on one. Names of guests on the second host end in 2.

    Subnets 1, 2, 3 and 4 are of one VPC: 1 is public, 2 has no way out, 3 has a network ACL, 4 leads out through a NAT
    gateway, by IPv6 one way. Subnet 5 is of a peered VPC, 6 of one at the same transit gateway. A stranger's VPC has
    the range of subnet 1. The isolated network has no router.
    """

    def __init__(
        self, central: Layout, provider: NetworkProvider, hosts: dict[str, Layout], gateways: tuple[str, ...] = ()
    ) -> None:
        super().__init__(central, provider)
        self.hosts, self.gateways = hosts, gateways
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
        self.place("filtered", filtered, self.open)
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
            gateways=self.gateways,
            sources=(
                SourceSpec(cidr="10.41.1.0/24", address=ROUTER),
                SourceSpec(cidr="10.41.4.0/24", address=TRANSLATED),
            ),
            ipv6=OutsideIpv6Spec(gateway=GATEWAY6, admitted=(self.range(1), self.range(4))),
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
        """Plug a guest with a port of the network into the switch of the host that its name says, on two hosts."""
        subnet = self.subnets[network.uuid]
        port, address = self.port(network, *groups), self.address(network)
        port = msgspec.structs.replace(port, ipv6=(address,), router=network.router or "", revision=self.revision())
        self.write(port)
        host = "host2" if name.endswith("2") and len(self.hosts) > 1 else "host1"
        guest = veth.guest(self.hosts[host], port, subnet)
        self.guests.append(guest)
        if network.router:
            veth6.add(guest, f"{address}/128")
            eventually(lambda: defaults(guest), "the router advertises itself")
        else:
            veth6.add(guest, f"{address}/64")
        self.ends[name] = End(name, host, guest, {"IPv4": port.address, "IPv6": address}, network, port)

    @contextlib.contextmanager
    def served(self, *names: str) -> Iterator[None]:
        """Each host serves metadata and names to those of the guests that it has, while the block runs."""
        with contextlib.ExitStack() as services:
            for host, layout in self.hosts.items():
                orders = {end.name: end.order() for end in map(self.ends.__getitem__, names) if end.host == host}
                service = GuestNet(layout, lambda orders=orders: orders, bind(b"s" * 32))  # type: ignore[misc]  # mypy infers no type of a lambda with a default
                service.start()
                services.callback(service.stop)
                # All that was served goes with the last order.
                services.callback(_served_no_more, service)
                service.sync(orders.values()).result(30)
            for end in map(self.ends.__getitem__, names):
                route = (f"{addresses.METADATA}/32", "via", end.network.subnets[0].localport)
                veth.ip("-n", end.guest.namespace, "route", "replace", *route)
            yield


def _served_no_more(service: GuestNet) -> None:
    service.sync([]).result(30)


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


@contextlib.contextmanager
def probe(namespace: str, port: int, version: Version) -> Iterator[None]:
    """A TCP server at all addresses of a namespace while the block runs."""
    if version == "IPv6":
        server = veth6.server(namespace, port)
    else:
        server = veth.within(namespace, lambda: socket.create_server(("", port)))
        veth.serve(server, b"here")
    with contextlib.closing(server):
        yield


def host_addresses(namespace: str, version: Version) -> list[str]:
    """The addresses of a namespace's interfaces but for its loopback interface."""
    command = ["ip", "-4" if version == "IPv4" else "-6", "-json", "-n", namespace, "address"]
    interfaces = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [
        each["local"] + ("%eth0" if each["local"].startswith("fe80") else "")
        for interface in interfaces
        for each in interface.get("addr_info", ())
        if interface.get("ifname") != "lo"
    ]


REACHED = {
    "of the same subnet": ("public", "public2"),
    "of the same subnet, which a network ACL cuts off": ("filtered", "filtered2"),
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
