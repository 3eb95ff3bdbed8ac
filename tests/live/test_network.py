"""Networks over a real switch and a real OVN: real packets between namespaces that stand for guests."""

from __future__ import annotations

import grp
import ipaddress
import itertools
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pileus.model import addresses, bounds
from pileus.model.errors import Fault
from pileus.model.noun import NEVER, Revision
from pileus.model.provider import BodyRef
from pileus.model.securitygroup import Rule
from pileus.model.spec import NetworkSpec, PortSpec, RouterSpec, SecurityGroupSpec, Spec, SubnetSpec, TransitGatewaySpec
from pileus.providers.local.engine import chassis
from pileus.providers.local.engine.daemons import daemons, enter
from pileus.providers.local.layout import Layout, localport_name
from pileus.providers.local.network import NetworkProvider
from tests.live import veth
from tests.live.daemons import purge_engine
from tests.live.veth import Guest, eventually

pytestmark = [
    pytest.mark.cost(5),
    pytest.mark.allow_hosts(["10.41.0.0/16", addresses.METADATA]),
]

ANY = "0.0.0.0/0"
OUT = Rule(id="out", direction="egress", cidr=ANY)
_ARP, _IPV4, _TEST = 0x0806, 0x0800, 0x88B5


def new() -> str:
    return str(uuid.uuid4())


class Cloud:
    """One router with networks, groups and ports on a running engine; revisions rise by themselves."""

    def __init__(self, layout: Layout, provider: NetworkProvider) -> None:
        self.layout, self.provider = layout, provider
        self.router = RouterSpec(uuid=new(), revision=(1, 1))
        self.made: list[Spec] = []
        self.guests: list[Guest] = []
        self.subnets: dict[str, SubnetSpec] = {}
        self._counter = itertools.count(2)
        self._host = itertools.count(10)
        self.write(self.router)

    def revision(self) -> Revision:
        return (1, next(self._counter))

    def write(self, spec: Spec) -> None:
        self.provider.ensure(spec)
        self.made = [other for other in self.made if other.uuid != spec.uuid] + [spec]

    def network(self, number: int) -> NetworkSpec:
        own, cidr = new(), f"10.41.{number}.0/24"
        subnet = SubnetSpec(
            uuid=new(),
            cidr=cidr,
            gateway=addresses.gateway(cidr),
            gateway_mac=addresses.derived_mac(own, "gateway"),
            localport=addresses.localport(cidr),
            localport_mac=addresses.derived_mac(own, "localport"),
            dns=(addresses.localport(cidr),),
            domain="internal",
        )
        spec = NetworkSpec(uuid=own, revision=self.revision(), router=self.router.uuid, subnets=(subnet,))
        self.write(spec)
        self.subnets[own] = subnet
        return spec

    def group(self, *rules: Rule, own: str = "") -> SecurityGroupSpec:
        spec = SecurityGroupSpec(uuid=own or new(), revision=self.revision(), rules=rules)
        self.write(spec)
        return spec

    def port(
        self, network: NetworkSpec, *groups: str, own: str = "", hostname: str = "", bandwidth: int = 0
    ) -> PortSpec:
        subnet = self.subnets[network.uuid]
        spec = PortSpec(
            uuid=own or new(),
            revision=self.revision(),
            network=network.uuid,
            subnet=subnet.uuid,
            mac=addresses.new_mac(),
            address=str(ipaddress.IPv4Network(subnet.cidr)[next(self._host)]),
            groups=groups,
            hostname=hostname,
            bandwidth=bandwidth,
        )
        self.write(spec)
        return spec

    def guest(self, network: NetworkSpec, *groups: str, bandwidth: int = 0) -> tuple[Guest, PortSpec]:
        spec = self.port(network, *groups, bandwidth=bandwidth)
        guest = veth.guest(self.layout, spec, self.subnets[network.uuid])
        self.guests.append(guest)
        return guest, spec

    def localport(self, network: NetworkSpec) -> Guest:
        subnet = self.subnets[network.uuid]
        held = [f"{subnet.localport}/24", f"{addresses.METADATA}/32"]
        guest = Guest(self.layout, localport_name(network.uuid), subnet.localport_mac, held)
        self.guests.append(guest)
        return guest

    def groups(self, port: PortSpec) -> tuple[str, ...]:
        seen = self.provider.observe(BodyRef(kind="port", uuid=port.uuid))
        assert seen is not None
        return seen.groups

    def settled(self) -> None:
        """Return when the switch does what the northbound database says."""
        command = ("ovn-nbctl", "--db=unix:/srv/nb/ovnnb_db.sock", "--wait=hv", "--timeout=30", "sync")
        subprocess.run(enter(self.layout, *command), check=True, capture_output=True)

    def close(self) -> None:
        for guest in self.guests:
            guest.close()
        order = (TransitGatewaySpec.KIND, "port", "securitygroup", "network", "router")
        for spec in sorted(self.made, key=lambda spec: order.index(spec.KIND)):
            self.provider.remove(BodyRef(kind=spec.KIND, uuid=spec.uuid, revision=self.revision()))
        assert list(self.provider.scan()) == []


@pytest.fixture
def provider(layout: Layout) -> Iterator[NetworkProvider]:
    chassis.up(layout)
    provider = NetworkProvider(layout.northbound)
    yield provider
    provider.close()


@pytest.fixture
def cloud(layout: Layout, provider: NetworkProvider) -> Iterator[Cloud]:
    cloud = Cloud(layout, provider)
    yield cloud
    cloud.close()


def test_engine_up_and_down_leaves_nothing(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    try:
        chassis.up(layout)
        first = chassis.status(layout)
        assert all(first.values())
        chassis.up(layout)
        assert chassis.status(layout) == first
    finally:
        purge_engine(layout)
    assert not any(chassis.status(layout).values())
    assert not list(Path("/run/netns").glob(f"{layout.netns}*"))
    assert not layout.engine.exists()
    assert not any(Path(f"/proc/{pid}/root").exists() for pid in first.values())


def test_every_daemon_comes_back_after_a_kill(layout: Layout) -> None:
    for daemon in daemons(layout):
        before = chassis.status(layout)[daemon.name]
        assert before is not None
        os.kill(before, signal.SIGKILL)
        eventually(lambda name=daemon.name: chassis.status(layout)[name] is None, "it is dead")  # type: ignore[misc]
        chassis.up(layout)
        assert chassis.status(layout)[daemon.name] not in (None, before)


def test_the_clouds_group_reaches_the_northbound_database_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    group = grp.getgrnam("daemon")
    monkeypatch.setattr(chassis, "CLOUD_GROUP", group.gr_name)
    # An unprivileged user cannot pass through pytest's own folders.
    with tempfile.TemporaryDirectory() as state:
        Path(state).chmod(0o711)
        layout = Layout(Path(state))
        try:
            chassis.up(layout)
            north = Path(layout.northbound.removeprefix("unix:"))
            assert _may_connect(north, group.gr_gid)
            assert not _may_connect(north, group.gr_gid + 1)
            assert not _may_connect(layout.engine / "run" / "ovnsb_db.sock", group.gr_gid)
            closed = [path for path in layout.engine.iterdir() if path.name != "nb"]
            assert closed
            assert all(path.stat().st_mode & 0o077 == 0 for path in closed)
        finally:
            purge_engine(layout)


def test_guests_of_one_group_reach_each_other_while_its_rule_stands(cloud: Cloud) -> None:
    network = cloud.network(1)
    group = cloud.group(OUT, own=new())
    (one, _), (two, _) = cloud.guest(network, group.uuid), cloud.guest(network, group.uuid)
    cloud.settled()
    assert not one.pings(two.address)
    within = Rule(id="in", protocol="icmp", group=group.uuid)
    cloud.group(OUT, within, own=group.uuid)
    eventually(lambda: one.pings(two.address), "the rule lets them ping")
    eventually(lambda: two.pings(one.address), "and back")
    cloud.group(OUT, own=group.uuid)
    eventually(lambda: not one.pings(two.address), "revoking it ends that")


def test_rules_admit_what_they_say_and_no_more(cloud: Cloud) -> None:
    network = cloud.network(2)
    friends = cloud.group(OUT)
    cidr = cloud.subnets[network.uuid].cidr
    served = cloud.group(
        Rule(id="a", protocol="tcp", port_min=80, port_max=81, group=friends.uuid),
        Rule(id="b", protocol="tcp", port_min=22, port_max=22, cidr=cidr),
        Rule(id="c", protocol="tcp", port_min=23, port_max=23, cidr="10.99.0.0/16"),
        Rule(id="d", protocol="tcp", port_min=81, port_max=81, cidr=ANY, action="deny", priority=1000),
    )
    strangers = cloud.group(OUT)
    server, _ = cloud.guest(network, served.uuid)
    friend, _ = cloud.guest(network, friends.uuid)
    stranger, spec = cloud.guest(network, strangers.uuid)
    sockets = [server.listen(server.address, port) for port in (22, 23, 80, 81)]
    for each in sockets:
        veth.serve(each, b"hello")
    eventually(lambda: friend.fetches(server.address, 80) == b"hello", "a member of the named group is served")
    eventually(lambda: friend.fetches(server.address, 22) == b"hello", "and so is its address")
    # A port's flows follow the port: what is to be refused is asked only after something was admitted.
    eventually(lambda: stranger.fetches(server.address, 22) == b"hello", "an address of the named range is served")
    assert not friend.fetches(server.address, 81)
    assert not friend.fetches(server.address, 23)
    assert not stranger.fetches(server.address, 80)
    moved = msgspec.structs.replace(spec, revision=cloud.revision(), groups=(friends.uuid,))
    cloud.write(moved)
    assert cloud.groups(moved) == tuple(sorted((friends.uuid, "drop")))
    eventually(lambda: stranger.fetches(server.address, 80) == b"hello", "who joins the group is served")
    assert not server.pings(friend.address)
    for each in sockets:
        each.close()


def test_the_engine_understands_every_form_of_rule(cloud: Cloud) -> None:
    network, other = cloud.network(18), new()
    sides: list[dict[str, Any]] = [
        {},
        {"cidr": ANY},
        {"cidr": "10.0.0.0/8"},
        {"cidr": "2001:db8::/32"},
        {"group": other},
        {"tag": "web"},
        {"cidr": "10.0.0.0/8", "targets": ("web", "db")},
    ]
    whats: list[dict[str, Any]] = [
        {},
        {"number": 47},
        {"protocol": "icmp", "port_min": 8, "port_max": -1},
        {"protocol": "icmp", "port_min": 3, "port_max": 1},
        {"protocol": "tcp", "port_min": 22, "port_max": 22},
        {"protocol": "udp", "port_min": 0, "port_max": 1023},
    ]
    ways: list[dict[str, Any]] = [{"direction": "ingress"}, {"direction": "egress", "action": "deny", "priority": 9}]
    rules = [Rule(id=new(), **side, **what, **way) for side in sides for what in whats for way in ways]
    wide: dict[str, Any] = {"protocol": "icmpv6", "port_min": 128, "port_max": 0}
    rules += [Rule(id=new(), **side, **wide, **way) for side in (sides[3], sides[4]) for way in ways]
    # What it has to say of what was there before, and of daemons that were killed, it has said then.
    cloud.settled()
    logs = [cloud.layout.engine / "log" / f"{name}.log" for name in ("northd", "controller")]
    before = [len(log.read_bytes()) for log in logs]
    group = cloud.group(*rules)
    cloud.made.append(SecurityGroupSpec(uuid=other))
    cloud.guest(network, group.uuid)
    cloud.settled()
    said = [log.read_bytes()[start:] for log, start in zip(logs, before, strict=True)]
    told = [line for text in said for line in text.splitlines() if b"|WARN|" in line or b"|ERR|" in line]
    # That a round took long is about this machine's load.
    assert not [line for line in told if b"|timeval|" not in line]
    seen = {seen.uuid: seen.revision for seen in cloud.provider.scan() if seen.kind == "securitygroup"}
    assert seen == {group.uuid: group.revision, other: NEVER}


def test_guests_reach_each_other_across_the_router(cloud: Cloud) -> None:
    group = cloud.group(OUT, Rule(id="in", protocol="icmp", cidr="10.41.0.0/16"))
    (one, _), (two, _) = cloud.guest(cloud.network(3), group.uuid), cloud.guest(cloud.network(4), group.uuid)
    eventually(lambda: one.pings(two.address), "they ping across the router")
    eventually(lambda: two.pings(one.address), "and back")


def test_dhcp_serves_a_guest_whose_groups_admit_nothing(cloud: Cloud) -> None:
    network = cloud.network(5)
    subnet = cloud.subnets[network.uuid]
    spec = cloud.port(network, cloud.group().uuid, hostname="web-1")
    guest = Guest(cloud.layout, spec.uuid, spec.mac, [])
    cloud.guests.append(guest)
    offered = eventually(lambda: veth.dhcp(guest, 1), "DHCP offers an address")
    assert offered is not None
    address, options = offered
    assert address == spec.address
    assert options[53] == b"\x02"
    asked = bytes([50, 4]) + socket.inet_aton(address) + bytes([54, 4]) + options[54]
    acknowledged = eventually(lambda: veth.dhcp(guest, 3, asked), "DHCP acknowledges it")
    assert acknowledged is not None
    address, options = acknowledged
    gateway, localport = socket.inet_aton(subnet.gateway), socket.inet_aton(subnet.localport)
    assert address == spec.address
    assert options[53] == b"\x05"
    assert options[54] == options[3] == gateway
    assert options[6] == localport
    assert options[12] == b"web-1"
    assert options[15] == b"internal"
    assert struct.unpack("!H", options[26]) == (network.mtu,)
    assert struct.unpack("!I", options[51]) == (3600,)
    assert options[121] == b"\x20" + socket.inet_aton(addresses.METADATA) + localport + b"\x00" + gateway
    renamed = msgspec.structs.replace(subnet, domain="example.org")
    cloud.write(msgspec.structs.replace(network, revision=cloud.revision(), subnets=(renamed,)))
    eventually(lambda: _domain(guest) == b"example.org", "a changed option is told")


def test_a_flood_of_questions_to_the_controller_is_bounded(cloud: Cloud) -> None:
    """The network controller answers DHCP in one thread for all guests: each network has its share of that."""
    greedy, modest = (cloud.port(cloud.network(index), cloud.group().uuid) for index in (60, 61))
    guests = [Guest(cloud.layout, spec.uuid, spec.mac, []) for spec in (greedy, modest)]
    cloud.guests += guests
    for guest in guests:
        eventually(lambda guest=guest: veth.dhcp(guest, 1), "DHCP offers an address")  # type: ignore[misc]
    began, most = time.monotonic(), bounds.CONTROLLER_PACKETS.most
    with ThreadPoolExecutor(1) as thread:
        flood = thread.submit(veth.dhcp_flood, guests[0], 8 * most)
        assert veth.dhcp(guests[1], 1) is not None
        assert 0 < flood.result() < most * (2 + time.monotonic() - began)
    eventually(lambda: veth.dhcp(guests[0], 1), "the greedy guest is answered again")


def test_metadata_and_names_are_served_whatever_the_groups_say(cloud: Cloud) -> None:
    network = cloud.network(6)
    guest, _ = cloud.guest(network, cloud.group().uuid)
    local = cloud.localport(network)
    subnet = cloud.subnets[network.uuid]
    veth.ip("-n", guest.namespace, "route", "add", f"{addresses.METADATA}/32", "via", subnet.localport)
    metadata, other = local.listen(addresses.METADATA, 80), local.listen(subnet.localport, 8080)
    names = local.listen(subnet.localport, 53, socket.SOCK_DGRAM)
    names.settimeout(veth.PATIENCE)
    veth.serve(metadata, b"ami-id")
    veth.serve(other, b"secret")
    eventually(lambda: guest.fetches(addresses.METADATA, 80) == b"ami-id", "metadata is served")
    assert not guest.fetches(subnet.localport, 8080)
    client = guest.listen(guest.address, 0, socket.SOCK_DGRAM)
    client.settimeout(veth.PATIENCE)
    client.sendto(b"who", (subnet.localport, 53))
    question, asker = names.recvfrom(64)
    assert (question, asker[0]) == (b"who", guest.address)
    names.sendto(b"me", asker)
    assert client.recv(64) == b"me"
    for each in (metadata, other, names, client):
        each.close()


def test_the_localport_reaches_tcp_whatever_the_groups_say_and_only_tcp(cloud: Cloud) -> None:
    network = cloud.network(7)
    guest, _ = cloud.guest(network, cloud.group().uuid)
    local = cloud.localport(network)
    source = cloud.subnets[network.uuid].localport
    server = guest.listen(guest.address, 22)
    veth.serve(server, b"SSH-2.0")
    eventually(lambda: local.fetches(guest.address, 22, source=source) == b"SSH-2.0", "the listener gets in")
    assert not local.fetches(guest.address, 22, source=addresses.METADATA)
    assert not local.pings(guest.address)
    server.close()


def test_spoofed_frames_are_dropped(cloud: Cloud) -> None:
    network = cloud.network(8)
    group = cloud.group(OUT, Rule(id="in", cidr=ANY))
    (one, _), (two, _) = cloud.guest(network, group.uuid), cloud.guest(network, group.uuid)
    eventually(lambda: one.pings(two.address), "they ping")
    target, false_mac, false_ip = veth.packed(two.mac), addresses.new_mac(), "10.41.8.99"

    def udp(source: str, words: bytes) -> bytes:
        return veth.datagram(source, two.address, (9, 9), words)

    def arp(mac: str, address: str) -> bytes:
        claim = veth.packed(mac) + socket.inet_aton(address)
        return struct.pack("!HHBBH", 1, _IPV4, 6, 4, 2) + claim + target + socket.inet_aton(two.address)

    with one.wire() as sender, two.wire() as receiver:
        receiver.settimeout(veth.PATIENCE)
        sender.send(veth.frame(false_mac, target, _IPV4, udp(one.address, b"false mac")))
        sender.send(veth.frame(one.mac, target, _IPV4, udp(false_ip, b"false ip!")))
        sender.send(veth.frame(one.mac, target, _ARP, arp(one.mac, false_ip)))
        sender.send(veth.frame(one.mac, target, _ARP, arp(false_mac, one.address)))
        sender.send(veth.frame(one.mac, target, _IPV4, udp(one.address, b"the truth")))
        heard = b""
        while b"the truth" not in heard:
            part = receiver.recv(4096)
            assert socket.inet_aton(false_ip) not in part
            assert veth.packed(false_mac) not in part
            heard += part
    assert b"false" not in heard


def test_every_port_is_in_its_groups_and_nowhere_else(cloud: Cloud) -> None:
    network = cloud.network(9)
    groups = [cloud.group(OUT).uuid for _ in range(3)]
    chosen = [(), (groups[0],), (groups[1], groups[2]), tuple(groups)]
    ports = [cloud.port(network, *of) for of in chosen]
    by_port = {seen.uuid: seen.groups for seen in cloud.provider.scan() if seen.kind == "port"}
    for port, of in zip(ports, chosen, strict=True):
        assert cloud.groups(port) == by_port[port.uuid] == tuple(sorted((*of, "drop")))
    # A stranger's hand: out of a group, into another one.
    nbctl = enter(cloud.layout, "ovn-nbctl", "--db=unix:/srv/nb/ovnnb_db.sock", "--timeout=10")
    name = "pg_drop"
    subprocess.run([*nbctl, "set", "Port_Group", name, "ports=[]"], check=True)
    eventually(lambda: "drop" not in cloud.groups(ports[1]), "the stranger's change is seen")
    for port in ports:
        cloud.provider.ensure(port)
    assert [cloud.groups(port) for port in ports] == [tuple(sorted((*of, "drop"))) for of in chosen]


def test_an_older_order_does_nothing(cloud: Cloud) -> None:
    network, group = cloud.network(10), cloud.group(OUT)
    old = cloud.port(network, group.uuid)
    new_one = cloud.port(network, own=old.uuid)
    cloud.provider.ensure(old)
    assert cloud.groups(old) == ("drop",)
    cloud.provider.remove(BodyRef(kind="port", uuid=old.uuid, revision=old.revision))
    seen = cloud.provider.observe(BodyRef(kind="port", uuid=old.uuid))
    assert seen is not None
    assert seen.revision == new_one.revision
    cloud.provider.remove(BodyRef(kind="port", uuid=old.uuid, revision=cloud.revision()))
    cloud.provider.ensure(new_one)
    never_held = BodyRef(kind="port", uuid=new(), revision=cloud.revision())
    cloud.provider.remove(never_held)
    cloud.provider.ensure(msgspec.structs.replace(old, uuid=never_held.uuid))
    assert not [port for port in cloud.provider.scan() if port.kind == "port"]


def test_what_is_not_there_yet_is_a_passing_fault(cloud: Cloud) -> None:
    network = cloud.network(11)
    orphan = NetworkSpec(uuid=new(), revision=cloud.revision(), router=new(), subnets=network.subnets)
    with pytest.raises(Fault) as fault:
        cloud.provider.ensure(orphan)
    assert (fault.value.code, fault.value.permanent) == ("RouterMissing", False)
    assert cloud.provider.observe(BodyRef(kind="network", uuid=orphan.uuid)) is None
    early = PortSpec(
        uuid=new(),
        revision=cloud.revision(),
        network=new(),
        subnet=new(),
        mac=addresses.new_mac(),
        address="10.41.11.9",
    )
    with pytest.raises(Fault) as fault:
        cloud.provider.ensure(early)
    assert (fault.value.code, fault.value.permanent) == ("NetworkMissing", False)


def test_a_row_that_was_removed_can_be_made_again(cloud: Cloud) -> None:
    network, group = cloud.network(12), cloud.group(OUT, Rule(id="in", cidr=ANY))
    (one, _), (two, spec) = cloud.guest(network, group.uuid), cloud.guest(network, group.uuid)
    eventually(lambda: one.pings(two.address), "they ping")
    for _ in range(3):
        cloud.provider.remove(BodyRef(kind="port", uuid=spec.uuid, revision=cloud.revision()))
        spec = msgspec.structs.replace(spec, revision=cloud.revision())
        cloud.write(spec)
    eventually(lambda: one.pings(two.address), "they ping again")


def test_the_provider_survives_the_databases_death(cloud: Cloud) -> None:
    network = cloud.network(13)
    brief = NetworkProvider(cloud.layout.northbound, timeout=1.0)
    try:
        assert brief.observe(BodyRef(kind="network", uuid=network.uuid))
        pid = chassis.status(cloud.layout)["northbound"]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: _unavailable(lambda: brief.ensure(network)), "the loss is noticed")
        assert _unavailable(lambda: list(brief.scan()))
        chassis.up(cloud.layout)
        eventually(lambda: not _unavailable(lambda: brief.ensure(network)), "the provider is back")
        assert brief.observe(BodyRef(kind="network", uuid=network.uuid))
    finally:
        brief.close()
    eventually(lambda: not _unavailable(lambda: cloud.provider.ensure(network)), "the other one is back too")


def test_a_database_that_hangs_hangs_nobody(cloud: Cloud) -> None:
    pid = chassis.status(cloud.layout)["northbound"]
    assert pid is not None
    network = cloud.network(14)
    waiting, fresh = (NetworkProvider(cloud.layout.northbound, timeout=0.5) for _ in range(2))
    own = BodyRef(kind="network", uuid=network.uuid)
    eventually(lambda: not _unavailable(lambda: waiting.observe(own)), "it is connected")
    port = cloud.port(network)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert _unavailable(lambda: waiting.remove(BodyRef(kind="port", uuid=port.uuid, revision=cloud.revision())))
        assert _unavailable(lambda: fresh.observe(BodyRef(kind="network", uuid=network.uuid)))
    finally:
        os.kill(pid, signal.SIGCONT)
    for each in (waiting, fresh):
        eventually(lambda each=each: not _unavailable(lambda: list(each.scan())), "it answers again")  # type: ignore[misc]
        each.close()


def test_a_networks_rows_go_with_it(cloud: Cloud) -> None:
    network = cloud.network(15)
    with cloud.provider._northbound.read() as tables:
        before = {name: len(table.rows) for name, table in tables.items()}
    without = NetworkSpec(uuid=network.uuid, revision=cloud.revision(), router=cloud.router.uuid)
    cloud.write(without)
    cloud.provider.remove(BodyRef(kind="network", uuid=network.uuid, revision=cloud.revision()))
    with cloud.provider._northbound.read() as tables:
        after = {name: len(table.rows) for name, table in tables.items()}
    gone = {name: before[name] - after[name] for name in before if before[name] != after[name]}
    assert gone == {
        "Logical_Switch": 1,
        "Logical_Switch_Port": 2,
        "Logical_Router_Port": 1,
        "ACL": 8,
        "Copp": 1,
        "Meter": 1,
        "Meter_Band": 1,
    }
    # One went, and one came that remembers the removal.
    assert before["DHCP_Options"] == after["DHCP_Options"]
    with cloud.provider._northbound.read() as tables:
        assert uuid.UUID(network.subnets[0].uuid) not in tables["DHCP_Options"].rows


def test_watch_hints_at_what_other_hands_did(cloud: Cloud) -> None:
    port = cloud.port(cloud.network(16))
    hints: list[BodyRef] = []
    cloud.provider.watch(hints.append)
    nbctl = enter(cloud.layout, "ovn-nbctl", "--db=unix:/srv/nb/ovnnb_db.sock", "--timeout=10")
    subprocess.run([*nbctl, "lsp-set-port-security", port.uuid], check=True)
    eventually(lambda: any(hint.uuid == port.uuid for hint in hints), "the hint comes")
    cloud.provider.ensure(port)
    with cloud.provider._northbound.read() as tables:
        row = tables["Logical_Switch_Port"].rows[uuid.UUID(port.uuid)]
        assert row.port_security == [f"{port.mac} {port.address}"]


@pytest.mark.cost(10)
def test_two_hundred_ports(cloud: Cloud) -> None:
    network, group = cloud.network(17), cloud.group(OUT, own=new())
    cloud.group(OUT, Rule(id="in", group=group.uuid), own=group.uuid)
    started, cpu = time.monotonic(), time.process_time()
    ports = [cloud.port(network, group.uuid) for _ in range(200)]
    wall, cpu = time.monotonic() - started, time.process_time() - cpu
    cloud.settled()
    synced = time.monotonic() - started
    print(f"200 ports: {wall * 5:.2f} ms each ({cpu * 5:.2f} ms CPU here), all in the switch after {synced:.2f} s")
    assert all(cloud.groups(port) == tuple(sorted((group.uuid, "drop"))) for port in ports)


def _may_connect(path: Path, group: int) -> bool:
    program = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    done = subprocess.run(
        ["/usr/bin/python3", "-c", program, str(path)],
        user=65534,
        group=group,
        extra_groups=[],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0 or b"PermissionError" in done.stderr
    return done.returncode == 0


def _domain(guest: Guest) -> bytes | None:
    offered = veth.dhcp(guest, 1)
    return offered[1].get(15) if offered else None


def _unavailable(call: Callable[[], object]) -> bool:
    try:
        call()
    except Fault as fault:
        return fault.code == "NetworkEngineUnavailable" and not fault.permanent
    return False
