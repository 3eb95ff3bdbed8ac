"""IPv6: addresses by DHCPv6 or from MACs, rules, routes, and what no guest may send."""

from __future__ import annotations

import functools
import itertools
import json
import struct
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model import addresses
from pileus.model.networkacl import ICMPV6, TCP, AclEntry
from pileus.model.provider import BodyRef
from pileus.model.securitygroup import Rule
from pileus.model.spec import (
    NetworkAclSpec,
    NetworkSpec,
    OneWayRange,
    OutsideIpv6Spec,
    PeeringSpec,
    PortSpec,
    RouteSpec,
    RouteTableSpec,
    SubnetIpv6Spec,
)
from pileus.providers.local.guestnet import packetrate
from pileus.providers.local.layout import Layout
from pileus.providers.local.network import NetworkProvider
from pileus.providers.local.network.northbound import Northbound
from tests.live import veth, veth6
from tests.live.test_floating import OUTSIDE
from tests.live.test_network import OUT, Cloud, new
from tests.live.veth import Guest, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.model.subnet import Ipv6Mode

pytestmark = [pytest.mark.cost(10), pytest.mark.allow_hosts(["127.0.0.0/8", "::/0"])]

EVERYWHERE, ROUTER = "::/0", "198.51.100.10"
GATEWAY = addresses.gateway(addresses.IPV6)
OUT6, EVERYTHING = Rule(id="out6", direction="egress", cidr=EVERYWHERE), Rule(id="in6", cidr=EVERYWHERE)


class Dual(Cloud):
    """A router whose subnets have ranges of IPv4 and of IPv6, each with a route table."""

    def __init__(self, layout: Layout, provider: NetworkProvider, number: int = 1) -> None:
        super().__init__(layout, provider)
        self.prefix = f"fd70:696c:65{number:02x}"
        self.tables: dict[str, str] = {}
        self._suffix = itertools.count(0x10)

    def range(self, number: int) -> str:
        return f"{self.prefix}:{number:x}::/64"

    def dual(self, number: int, mode: Ipv6Mode = "dhcpv6", one_way: tuple[OneWayRange, ...] = ()) -> NetworkSpec:
        network, table = self.network(number), new()
        return self.changed(network, number, table, mode, one_way)

    def changed(
        self, network: NetworkSpec, number: int, table: str, mode: Ipv6Mode = "dhcpv6",
        one_way: tuple[OneWayRange, ...] = (),
    ) -> NetworkSpec:  # fmt: skip
        cidr = self.range(number)
        gateway, localport = addresses.gateway(cidr), addresses.localport(cidr)
        ipv6 = SubnetIpv6Spec(cidr=cidr, gateway=gateway, localport=localport, mode=mode, one_way=one_way)
        (subnet,) = (msgspec.structs.replace(each, ipv6=ipv6, table=table) for each in network.subnets)
        network = msgspec.structs.replace(network, subnets=(subnet,), revision=self.revision())
        self.write(network)
        self.subnets[network.uuid], self.tables[network.uuid] = subnet, table
        return network

    def address(self, network: NetworkSpec) -> str:
        ipv6 = self.subnets[network.uuid].ipv6
        assert ipv6 is not None
        return ipv6.cidr.replace("::/64", f"::{next(self._suffix):x}")

    def dual_guest(self, network: NetworkSpec, *groups: str) -> tuple[Guest, PortSpec, str]:
        """A guest with the first address of its port, and the default route that the router advertises."""
        port, address = self.port(network, *groups), self.address(network)
        port = msgspec.structs.replace(port, ipv6=(address,), router=network.router or "", revision=self.revision())
        self.write(port)
        guest = veth.guest(self.layout, port, self.subnets[network.uuid])
        self.guests.append(guest)
        veth6.add(guest, f"{address}/128")
        eventually(lambda: defaults(guest), "the router advertises itself")
        return guest, port, address

    def routed(self, routes: dict[str, list[RouteSpec]], **changes: object) -> None:
        tables = tuple(RouteTableSpec(uuid=uuid, routes=tuple(routes.get(uuid, ()))) for uuid in self.tables.values())
        self.router = msgspec.structs.replace(self.router, tables=tables, revision=self.revision(), **changes)
        self.write(self.router)


def defaults(guest: Guest) -> list[str]:
    """The ways out that the guest learnt from advertisements."""
    command = ["ip", "-6", "-json", "-n", guest.namespace, "route", "show", "default"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)
    return [each["gateway"] for each in json.loads(listed.stdout or "[]") if "gateway" in each]


@pytest.fixture
def cloud(layout: Layout) -> Iterator[Dual]:
    provider = NetworkProvider(layout.northbound, gateway=layout.netns)
    cloud = Dual(layout, provider)
    yield cloud
    cloud.close()
    provider.close()


def test_guests_are_given_addresses_whatever_their_groups_say(cloud: Dual) -> None:
    """A guest in a group without rules hears advertisements, and is given its port's address by DHCPv6."""
    network = cloud.dual(1)
    guest, _, address = cloud.dual_guest(network, cloud.group().uuid)
    gateway_mac = cloud.subnets[network.uuid].gateway_mac
    assert defaults(guest) == [addresses.link_local(gateway_mac)]
    offered = eventually(lambda: veth6.dhcpv6(guest, 1), "DHCPv6 offers an address")
    assert offered is not None
    assert veth6.leased(offered) == address
    server = struct.pack("!HH", 2, len(offered[2])) + offered[2]
    confirmed = eventually(lambda: veth6.dhcpv6(guest, 3, server), "DHCPv6 gives it")
    assert confirmed is not None
    assert veth6.leased(confirmed) == address


def test_guests_form_addresses_from_their_macs(cloud: Dual) -> None:
    """In the mode `slaac` the kernel's own address of a guest is the port's, and passes."""
    network, group = cloud.dual(2, "slaac"), cloud.group(OUT6, EVERYTHING)
    own = []
    for _ in range(2):
        port = cloud.port(network, group.uuid)
        address = addresses.autoconfigured(cloud.range(2), port.mac)
        cloud.write(msgspec.structs.replace(port, ipv6=(address,), revision=cloud.revision()))
        guest = Guest(cloud.layout, port.uuid, port.mac, [])
        cloud.guests.append(guest)
        own.append((guest, address))
    (one, _), (_, there) = own
    eventually(lambda: veth6.pings(one.namespace, there), "guests reach each other by them")


def test_rules_admit_what_they_say_and_no_more(cloud: Dual) -> None:
    """Ranges of IPv6, groups, TCP and ICMPv6, across the router; nothing passes without a rule."""
    near, far = cloud.dual(3), cloud.dual(4)
    friends, strangers = cloud.group(OUT6), cloud.group(OUT6)
    served = cloud.group(
        Rule(id="a", protocol="tcp", port_min=80, port_max=80, group=friends.uuid),
        Rule(id="b", protocol="tcp", port_min=81, port_max=81, cidr=cloud.range(4)),
        Rule(id="c", protocol="icmpv6", port_min=-1, port_max=-1, group=friends.uuid),
    )
    _, _, address = target = cloud.dual_guest(near, served.uuid)
    friend, _, friendly = cloud.dual_guest(near, friends.uuid)
    stranger, _, _ = cloud.dual_guest(far, strangers.uuid)
    for port in (80, 81):
        veth6.server(target[0].namespace, port)
    eventually(lambda: veth6.fetched(friend.namespace, address, 80) == friendly.encode(), "its group is admitted")
    eventually(lambda: veth6.pings(friend.namespace, address), "it may ping, too")
    eventually(lambda: veth6.fetched(stranger.namespace, address, 81), "a range across the router is admitted")
    assert not veth6.fetched(friend.namespace, address, 81)
    assert not veth6.fetched(stranger.namespace, address, 80)
    assert not veth6.pings(stranger.namespace, address)
    assert not veth6.pings(target[0].namespace, friendly), "its group lets nothing out"


def test_guests_send_from_their_own_addresses_alone_and_are_no_routers(cloud: Dual) -> None:
    """Spoofed addresses, neighbour and router advertisements and answers of DHCPv6 are dropped; solicitations pass."""
    network, group = cloud.dual(5), cloud.group(OUT6, EVERYTHING)
    bad, bad_port, bad_address = cloud.dual_guest(network, group.uuid)
    good, good_port, address = cloud.dual_guest(network, group.uuid)
    eventually(lambda: veth6.pings(bad.namespace, address), "they reach each other")

    def passes(sent: bytes, part: bytes) -> bool:
        with good.wire() as raw, bad.wire() as wire:
            wire.send(sent)
            return any(part in received for received in veth6.heard(raw, 0.7))

    packetrate.limit(cloud.layout.netns, bad.interface, 0)

    def sent(packet: bytes) -> bytes:
        return veth6.frame(bad.mac, address, packet, good_port.mac)

    assert passes(sent(veth6.echo(bad_address, address)), b"spoofed"), "its own address"
    assert not passes(sent(veth6.echo(addresses.gateway(cloud.range(5)), address)), b"spoofed"), "another address"
    assert not passes(veth6.frame(good.mac, address, veth6.echo(bad_address, address), good_port.mac), b"spoofed")
    assert not passes(veth6.advertisement(bad.mac, "2001:db8:bad::"), b"\x20\x01\x0d\xb8\x0b\xad")
    answer = veth6.datagram(veth6.link_local(bad.mac), veth6.link_local(good.mac), (547, 546), b"spoofed")
    assert not passes(sent(answer), b"spoofed")
    gateway_mac = cloud.subnets[network.uuid].gateway_mac
    assert defaults(good) == [addresses.link_local(gateway_mac)]
    # A guest that forwards may send from any address; a router advertisement it may not send.
    cloud.write(msgspec.structs.replace(bad_port, forwards=True, revision=cloud.revision()))
    eventually(lambda: passes(sent(veth6.echo("2001:db8::1", address)), b"spoofed"), "it may forward")
    assert not passes(veth6.advertisement(bad.mac, "2001:db8:bad::"), b"\x20\x01\x0d\xb8\x0b\xad")


def test_subnets_lead_outside_without_translation(layout: Layout, cloud: Dual) -> None:
    """A public subnet is reached and goes out with its own addresses; one way; and not at all."""
    public, closed, private = cloud.dual(6), cloud.dual(7), cloud.dual(8)
    group = cloud.group(OUT, OUT6, EVERYTHING)
    guests = [cloud.dual_guest(network, group.uuid) for network in (public, closed, private)]
    outside = RouteSpec(cidr=EVERYWHERE)
    table = cloud.tables[closed.uuid]
    one_way = OneWayRange(cidr=EVERYWHERE, others=tuple(cloud.range(number) for number in (6, 7, 8)))
    cloud.changed(closed, 7, table, one_way=(one_way,))
    cloud.routed(
        {cloud.tables[public.uuid]: [outside], table: [outside]},
        address=ROUTER, outside=OUTSIDE,
        ipv6=OutsideIpv6Spec(gateway=GATEWAY, admitted=(cloud.range(6), cloud.range(7))),
    )  # fmt: skip
    cloud.settled()
    mirrors = [veth6.server(layout.netns, 8096), *(veth6.server(guest.namespace, 80) for guest, _, _ in guests)]
    try:
        for guest, _, address in guests[:2]:
            seen = functools.partial(veth6.fetched, guest.namespace, GATEWAY, 8096)
            eventually(lambda seen=seen, own=address: seen() == own.encode(), "it goes out")  # type: ignore[misc]
        assert not veth6.fetched(guests[2][0].namespace, GATEWAY, 8096), "no route leads out of the private subnet"
        eventually(
            lambda: veth6.fetched(layout.netns, guests[0][2], 80) == GATEWAY.encode(), "the public one is reached"
        )
        assert veth6.pings(layout.netns, guests[0][2])
        for _, _, address in guests[1:]:
            assert not veth6.fetched(layout.netns, address, 80)
            assert not veth6.pings(layout.netns, address)
        for _, _, address in guests[1:]:
            assert veth6.pings(guests[0][0].namespace, address), "subnets of the router reach each other"
        veth.ip("-n", layout.netns, "-6", "route", "add", cloud.range(8), "via", guests_router(), "dev", "br-ex")
        assert not veth6.pings(layout.netns, guests[2][2]), "whoever knows the router cannot reach it, either"
    finally:
        for each in mirrors:
            each.close()
        subprocess.run(["ip", "-n", layout.netns, "-6", "route", "flush", cloud.range(8)], check=False)


def test_a_router_answers_for_the_present_addresses_of_its_ports(layout: Layout, cloud: Dual) -> None:
    """The translations follow a port's addresses, and end with the port."""
    network = cloud.dual(14)
    port, other = cloud.port(network), cloud.address(network)
    northbound = Northbound(layout.northbound, 30.0)

    def answered() -> list[str]:
        with northbound.read() as tables:
            return sorted(row.external_ip for row in tables["NAT"].rows.values())

    for ipv6 in ((cloud.address(network), other), (other,), ()):
        port = msgspec.structs.replace(port, ipv6=ipv6, router=cloud.router.uuid, revision=cloud.revision())
        cloud.write(port)
        eventually(lambda ipv6=ipv6: answered() == sorted(ipv6), f"the router answers for {ipv6}")  # type: ignore[misc]  # mypy infers no type of a lambda with a default
    cloud.write(msgspec.structs.replace(port, ipv6=(other,), revision=cloud.revision()))
    eventually(answered, "it does again")
    cloud.provider.remove(BodyRef(kind=port.KIND, uuid=port.uuid, revision=cloud.revision()))
    eventually(lambda: not answered(), "the port is gone")
    northbound.close()


def guests_router() -> str:
    """The router's link-local address outside."""
    return addresses.link_local(addresses.outside_mac(ROUTER))


def test_a_route_leads_to_a_guest_that_forwards(cloud: Dual) -> None:
    """Packets for a range reach the guest that the route names, and its answers pass."""
    near, far = cloud.dual(9), cloud.dual(10)
    group = cloud.group(OUT6, EVERYTHING)
    one, port, address = cloud.dual_guest(near, group.uuid)
    two, _, _ = cloud.dual_guest(far, group.uuid)
    route = RouteSpec(
        cidr="2001:db8:9::/48", target="address", address=address, subnet=cloud.subnets[near.uuid].uuid
    )  # fmt: skip
    cloud.routed({cloud.tables[far.uuid]: [route]})
    veth.ip("-n", one.namespace, "address", "add", "2001:db8:9::1/128", "dev", "lo")
    cloud.write(msgspec.structs.replace(port, forwards=True, revision=cloud.revision()))
    eventually(lambda: veth6.pings(two.namespace, "2001:db8:9::1"), "the guest behind the route answers")
    nowhere = RouteSpec(cidr="2001:db8:9::1/128", target="nowhere")
    cloud.routed({cloud.tables[far.uuid]: [route, nowhere]})
    eventually(lambda: not veth6.pings(two.namespace, "2001:db8:9::1"), "a longer prefix leads nowhere")


def test_network_acls_judge_packets_of_ipv6(cloud: Dual) -> None:
    """An entry for ::/0 admits what it says into a subnet; ranges of IPv4 admit nothing of IPv6."""
    near, far = cloud.dual(11), cloud.dual(12)
    group = cloud.group(OUT6, EVERYTHING)
    one, _, address = cloud.dual_guest(near, group.uuid)
    two, _, _ = cloud.dual_guest(far, group.uuid)
    server = veth6.server(one.namespace, 80)
    eventually(lambda: veth6.pings(two.namespace, address), "an open subnet is reached")
    leaves = AclEntry(number=100, egress=True, cidr=EVERYWHERE)
    ipv4 = AclEntry(number=90)
    web = AclEntry(number=100, protocol=TCP, port_min=80, port_max=80, cidr=EVERYWHERE)
    ping = AclEntry(number=110, protocol=ICMPV6, icmp_type=128, icmp_code=-1, cidr=cloud.range(12))

    def judged(*entries: AclEntry) -> None:
        subnet = cloud.subnets[near.uuid].uuid
        cloud.routed({}, acls=(NetworkAclSpec(uuid=new(), entries=(leaves, ipv4, *entries), subnets=(subnet,)),))
        cloud.settled()

    judged(web)
    eventually(lambda: veth6.fetched(two.namespace, address, 80), "the entry admits TCP to port 80")
    assert not veth6.pings(two.namespace, address)
    judged(web, ping)
    eventually(lambda: veth6.pings(two.namespace, address), "an entry admits echo requests")
    judged()
    eventually(lambda: not veth6.fetched(two.namespace, address, 80), "nothing is admitted")
    server.close()


def test_peered_routers_reach_each_other(layout: Layout, cloud: Dual) -> None:
    """Routes of IPv6 lead over the link of two routers, and no further."""
    other = Dual(layout, cloud.provider, 2)
    link = new()
    sides = {"requester": (cloud, "240.0.0.1", "240.0.0.2"), "accepter": (other, "240.0.0.2", "240.0.0.1")}
    guests = []
    for side, (each, own, peer) in sides.items():
        network, group = each.dual(13), each.group(OUT6, EVERYTHING)
        guests.append(each.dual_guest(network, group.uuid))
        target = other if each is cloud else cloud
        route = RouteSpec(cidr=f"{target.prefix}::/56", target="peering", peering=link)
        spec = PeeringSpec(
            uuid=link, side=side, address=own, other=peer, mac=addresses.derived_mac(link, side)  # type: ignore[arg-type]
        )  # fmt: skip
        each.routed({each.tables[network.uuid]: [route]}, peerings=(spec,))
    try:
        for (here, _, _), (_, _, there) in itertools.permutations(guests):
            eventually(lambda h=here, t=there: veth6.pings(h.namespace, t), "guests of peered routers")  # type: ignore[misc]
    finally:
        for guest in other.guests:
            guest.close()
        other.guests, made = [], other.made
        order = ("port", "securitygroup", "network", "router")
        for left in sorted(made, key=lambda each: order.index(each.KIND)):
            ref = BodyRef(kind=left.KIND, uuid=left.uuid, revision=(9, 9))
            cloud.provider.remove(ref)
