"""The outside network: what guests reach there by their routers' addresses, and who reaches them by floating ones."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model import addresses
from pileus.model.provider import BodyRef
from pileus.model.securitygroup import Rule
from pileus.model.spec import FloatingIpSpec, SourceSpec
from pileus.providers.local.engine import chassis
from pileus.providers.local.layout import Layout
from pileus.providers.local.network import NetworkProvider
from tests.live import veth
from tests.live.cloud import SSH, until
from tests.live.test_network import OUT, Cloud, new
from tests.live.veth import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from pileus.model.spec import PortSpec
    from tests.live.cloud import LiveCloud

OUTSIDE = "198.51.100.0/24"
GATEWAY = addresses.gateway(OUTSIDE)

pytestmark = [
    pytest.mark.cost(5),
    pytest.mark.allow_hosts(["127.0.0.0/8", "10.41.0.0/16", OUTSIDE]),
]


def fetched(namespace: str, address: str, port: int) -> bytes:
    """What a TCP server says first to somebody in `namespace`; nothing when it cannot be reached."""

    def fetch() -> bytes:
        try:
            with socket.create_connection((address, port), 1.0) as stream:
                return stream.recv(64)
        except OSError:
            return b""

    return veth.within(namespace, fetch)


def mirror(namespace: str, port: int) -> socket.socket:
    """A TCP server at the gateway's address that tells callers how it sees them."""

    def bind() -> socket.socket:
        server = socket.create_server((GATEWAY, port))
        server.listen()
        return server

    server = veth.within(namespace, bind)

    def loop() -> None:
        while True:
            try:
                stream, caller = server.accept()
            except OSError:
                return
            with stream:
                stream.sendall(caller[0].encode())

    threading.Thread(target=loop, daemon=True).start()
    return server


class Side:
    """A project's part: a router with a way out, a network with the same addresses as everybody's, and two guests."""

    def __init__(self, layout: Layout, provider: NetworkProvider, number: int) -> None:
        self.cloud = Cloud(layout, provider)
        self.given: list[str] = []
        self.seen = f"198.51.100.{number}"
        self.router = msgspec.structs.replace(
            self.cloud.router,
            address=self.seen,
            outside=OUTSIDE,
            sources=(SourceSpec(cidr="10.41.0.0/16", address=self.seen),),
            revision=self.cloud.revision(),
        )
        self.cloud.write(self.router)
        network = self.cloud.network(1)
        web = Rule(id="web", protocol="tcp", port_min=80, port_max=80, cidr=OUTSIDE)
        self.group = self.cloud.group(OUT, web)
        self.served, self.port = self.cloud.guest(network, self.group.uuid)
        self.plain, self.other = self.cloud.guest(network, self.group.uuid)
        for guest in (self.served, self.plain):
            for port in (80, 81):
                veth.serve(guest.listen(guest.address, port), guest.namespace.encode())

    def give(self, own: str, address: str, port: PortSpec) -> FloatingIpSpec:
        spec = FloatingIpSpec(
            uuid=own, address=address, port=port.uuid, private=port.address, router=self.router.uuid,
            revision=self.cloud.revision(),
        )  # fmt: skip
        self.cloud.provider.ensure(spec)
        self.given.append(own)
        return spec

    def close(self) -> None:
        for guest in self.cloud.guests:
            guest.close()
        for own in self.given:
            self.cloud.provider.remove(BodyRef(kind=FloatingIpSpec.KIND, uuid=own, revision=(1, 99)))
        order = ("port", "securitygroup", "network", "router")
        for spec in sorted(self.cloud.made, key=lambda spec: order.index(spec.KIND)):
            self.cloud.provider.remove(BodyRef(kind=spec.KIND, uuid=spec.uuid, revision=(1, 99)))


@pytest.fixture
def sides(layout: Layout) -> Iterator[tuple[Side, Side]]:
    chassis.up(layout)
    provider = NetworkProvider(layout.northbound, gateway=layout.netns)
    found = (Side(layout, provider, 10), Side(layout, provider, 11))
    found[0].cloud.settled()
    yield found
    for side in found:
        side.close()
    assert list(provider.scan()) == []
    provider.close()


def test_guests_are_seen_outside_by_their_routers_address(layout: Layout, sides: tuple[Side, Side]) -> None:
    server = mirror(layout.netns, 8080)
    try:
        for side in sides:
            eventually(lambda side=side: side.plain.fetches(GATEWAY, 8080) == side.seen.encode(), "it is seen so")  # type: ignore[misc]
    finally:
        server.close()


def test_a_floating_address_leads_to_its_port_alone_and_as_the_rules_say(
    layout: Layout, sides: tuple[Side, Side]
) -> None:
    one, other = sides
    first = one.give(new(), "198.51.100.20", one.port)
    second = other.give(new(), "198.51.100.21", other.port)
    for side, spec in ((one, first), (other, second)):
        name = side.served.namespace.encode()
        eventually(lambda a=spec.address, n=name: fetched(layout.netns, a, 80) == n, "it leads there")  # type: ignore[misc]
        assert fetched(layout.netns, spec.address, 81) == b""
    for guest in (one.served, one.plain):
        for side, spec in ((one, first), (other, second)):
            name = side.served.namespace.encode()
            eventually(lambda a=spec.address, n=name, g=guest: g.fetches(a, 80) == n, "it leads there")  # type: ignore[misc]
        assert guest.fetches(second.address, 81) == b""
    server = mirror(layout.netns, 8081)
    try:
        for guest, seen in ((one.served, first.address), (one.plain, one.seen)):
            eventually(lambda g=guest, s=seen: g.fetches(GATEWAY, 8081) == s.encode(), "it is seen so")  # type: ignore[misc]
    finally:
        server.close()
    one.cloud.group(OUT, own=one.group.uuid)
    eventually(lambda: fetched(layout.netns, first.address, 80) == b"", "no rule admits it any more")
    eventually(lambda: fetched(layout.netns, second.address, 80), "the other's still lets in")
    _moves(layout, sides, second)


def _moves(layout: Layout, sides: tuple[Side, Side], spec: FloatingIpSpec) -> None:
    """Taken away it leads nowhere; given to another router's port it leads there."""
    one, other = sides
    web = Rule(id="web", protocol="tcp", port_min=80, port_max=80, cidr="198.51.100.1/32")
    one.cloud.group(OUT, web, own=one.group.uuid)
    unused = msgspec.structs.replace(spec, port="", private="", router="", revision=(1, 90))
    one.cloud.provider.ensure(unused)
    eventually(lambda: fetched(layout.netns, spec.address, 80) == b"", "it leads nowhere")
    moved = msgspec.structs.replace(
        unused, port=one.other.uuid, private=one.other.address, router=one.router.uuid, revision=(1, 91)
    )
    one.cloud.provider.ensure(moved)
    eventually(lambda: fetched(layout.netns, spec.address, 80) == one.plain.namespace.encode(), "it leads elsewhere")
    assert other.plain.fetches(spec.address, 80) == b"", "the rule names another source"


def test_a_secondary_address_has_a_floating_one_of_its_own(layout: Layout, sides: tuple[Side, Side]) -> None:
    """Each floating address leads to its private one, and the guest is seen by that of the address it sends from."""
    one, spare = sides[0], "10.41.1.77"
    one.cloud.write(msgspec.structs.replace(one.port, secondaries=(spare,), revision=one.cloud.revision()))
    veth.ip("-n", one.served.namespace, "address", "add", f"{spare}/24", "dev", "eth0")
    veth.serve(one.served.listen(spare, 80), b"spare")
    first = one.give(new(), "198.51.100.20", one.port)
    second = one.give(new(), "198.51.100.22", msgspec.structs.replace(one.port, address=spare))
    eventually(lambda: fetched(layout.netns, second.address, 80) == b"spare", "it leads to the secondary address")
    primary = one.served.namespace.encode()
    eventually(lambda: fetched(layout.netns, first.address, 80) == primary, "it leads to the primary address")
    server = mirror(layout.netns, 8086)
    try:
        for source, seen in ((spare, second.address), (one.served.address, first.address)):
            eventually(
                lambda f=source, s=seen: one.served.fetches(GATEWAY, 8086, source=f) == s.encode(),  # type: ignore[misc]
                "it is seen so",
            )
    finally:
        server.close()


def test_a_router_takes_its_translations_along_and_that_shows(sides: tuple[Side, Side]) -> None:
    side = sides[0]
    provider = side.cloud.provider
    spec = side.give(new(), "198.51.100.22", side.port)
    ref = BodyRef(kind=spec.KIND, uuid=spec.uuid)
    assert provider.observe(ref) is not None
    provider.remove(BodyRef(kind="router", uuid=side.router.uuid, revision=(1, 90)))
    assert provider.observe(ref) is None


def test_the_gateway_is_back_after_the_switch_was_killed(layout: Layout, sides: tuple[Side, Side]) -> None:
    pid = chassis.status(layout)["switch"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: chassis.status(layout)["switch"] is None, "it is dead")
    chassis.up(layout)

    server = eventually(lambda: _mirror_again(layout.netns), "the gateway has its address")
    assert server is not None
    try:
        eventually(lambda: sides[1].plain.fetches(GATEWAY, 8082) == sides[1].seen.encode(), "guests reach it again")
    finally:
        server.close()


def _mirror_again(namespace: str) -> socket.socket | None:
    try:
        return mirror(namespace, 8082)
    except OSError:
        return None


@pytest.fixture
def second(cloud: LiveCloud) -> dict[str, str]:
    """A user of another project."""
    made: dict[str, str] = json.loads(cloud.pileus("user", "create", "other", "--json"))
    return made


@pytest.mark.cost(90)
def test_two_projects_guests(cloud: LiveCloud, key: Path, second: dict[str, str]) -> None:
    """Real guests: reached from outside by floating addresses, and one by the other; terminate and release free."""
    netns = cloud.layout.netns
    clients = [cloud.ec2, cloud.client("ec2", second)]
    guests = [_launched(cloud, cloud.ec2, KeyName="test"), _launched(cloud, clients[1])]
    loopback = cloud.instance(guests[0])["PublicIpAddress"]
    made = [client.allocate_address() for client in clients]
    for client, ident, address in zip(clients, guests, made, strict=True):
        client.associate_address(AllocationId=address["AllocationId"], InstanceId=ident)
        assert not fetched(netns, address["PublicIp"], 22)
    first, other = (address["PublicIp"] for address in made)
    assert cloud.instance(guests[0])["PublicIpAddress"] == first
    _admit(clients[0])
    until("ssh answers", lambda: fetched(netns, first, 22).startswith(b"SSH-2.0"))
    assert not fetched(netns, other, 22)
    _admit(clients[1])
    until("ssh answers", lambda: fetched(netns, other, 22).startswith(b"SSH-2.0"))
    _admit(clients[0], "127.0.0.0/8")
    banner = f"nc -w 5 {other} 22 </dev/null | head -n 1"
    until("one guest reaches the other", lambda: "SSH-2.0" in _said(loopback, key, banner))
    server = mirror(netns, 8083)
    try:
        seen = f"nc -w 5 {GATEWAY} 8083 </dev/null"
        until("seen by its floating address", lambda: first in _said(loopback, key, seen))
        clients[0].disassociate_address(PublicIp=first)
        plain = f"nc -w 5 {GATEWAY} 8083 </dev/null; echo"
        until("seen by its router's address", lambda: _said(loopback, key, plain).strip() not in ("", first))
        clients[0].associate_address(PublicIp=first, InstanceId=guests[0])
    finally:
        server.close()
    for client, ident in zip(clients, guests, strict=True):
        client.terminate_instances(InstanceIds=[ident])
    for client, address in zip(clients, made, strict=True):
        (left,) = client.describe_addresses()["Addresses"]
        assert "AssociationId" not in left
        client.release_address(AllocationId=address["AllocationId"])
        assert client.describe_addresses()["Addresses"] == []
    until("nothing is left", lambda: not cloud.left((first, other)))


def _said(address: str, key: Path, command: str) -> str:
    """What a command prints in the first guest, over ssh by its loopback address; nothing when it cannot be run."""
    words = [*SSH, "-i", str(key), f"root@{address}", command]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout
    except subprocess.TimeoutExpired:
        return ""


def _launched(cloud: LiveCloud, client: Any, **more: str) -> str:
    launched = client.run_instances(ImageId=cloud.image("tiny"), InstanceType="m1.tiny", MinCount=1, MaxCount=1, **more)
    ident = str(launched["Instances"][0]["InstanceId"])

    def running() -> bool:
        shown = client.describe_instances(InstanceIds=[ident])["Reservations"][0]["Instances"][0]
        return bool(shown["State"]["Name"] == "running")

    until(f"{ident} runs", running)
    return ident


def _admit(client: Any, source: str = OUTSIDE) -> None:
    (group,) = client.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    client.authorize_security_group_ingress(
        GroupId=group["GroupId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp=source
    )
