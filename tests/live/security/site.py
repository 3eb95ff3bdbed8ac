"""Two projects on one switch, with the host's own listeners: attackers are namespaces that send what they like.

Both projects use the same addresses. Each guest's instance is in the host's book, so that metadata and names are
served to it as to a real one.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from pileus.faces import metadata
from pileus.model import addresses
from pileus.model.instance import Power
from pileus.model.provider import BodyRef
from pileus.model.securitygroup import Rule
from pileus.model.spec import Ingress, InstanceSpec, NetworkSpec, NicSpec, PortSpec, SourceSpec
from pileus.providers.local.engine.daemons import enter
from pileus.providers.local.guestnet import GuestNet
from tests.live import veth
from tests.live.test_network import Cloud
from tests.live.veth import Guest, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.providers.local.layout import Layout
    from pileus.providers.local.network import NetworkProvider

SECRET = b"of this host"
OPEN = [Rule(id=f"{way}{cidr}", direction=way, cidr=cidr) for way in ("ingress", "egress") for cidr in ("", "::/0")]
"""Rules that stop nothing, of either version: what is dropped all the same, something else drops."""


@dataclass
class Project:
    """A router with networks and guests of its own."""

    cloud: Cloud
    group: str = ""
    specs: list[InstanceSpec] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the group of all its guests."""
        self.group = self.cloud.group(*OPEN).uuid

    def guest(self, network: NetworkSpec, name: str) -> tuple[Guest, InstanceSpec]:
        """A guest on the network, and the instance that the host takes it for."""
        guest, port = self.cloud.guest(network, self.group)
        self.specs.append(self._instance(network, port, name))
        return guest, self.specs[-1]

    def _instance(self, network: NetworkSpec, port: PortSpec, name: str) -> InstanceSpec:
        subnet = self.cloud.subnets[network.uuid]
        nic = NicSpec(
            uuid=port.uuid,
            ec2_id=f"eni-{name}",
            mac=port.mac,
            address=port.address,
            cidr=subnet.cidr,
            gateway=subnet.gateway,
            localport=subnet.localport,
            localport_mac=subnet.localport_mac,
            network=network.uuid,
            ingress=(Ingress(cidr="0.0.0.0/0", port_min=22, port_max=22),),
        )
        return InstanceSpec(
            uuid=port.uuid,
            power=Power(),
            vcpus=1,
            memory=1,
            nics=(nic,),
            ec2_id=f"i-{name}",
            hostname=name,
            domain="internal",
        )


class Site:
    """The attacker's own project and another one; their networks have the same range and the same addresses."""

    def __init__(self, layout: Layout, provider: NetworkProvider) -> None:
        self.layout = layout
        self.specs: dict[str, InstanceSpec] = {}
        # Asked every half minute: what is not in it then is served no more.
        self.net = GuestNet(layout, lambda: self.specs, metadata.bind(SECRET))
        # First of all: it takes every namespace of this cloud that is there before it for an old network's.
        self.net.start()
        self.own, self.other = Project(routed(layout, provider, 10)), Project(routed(layout, provider, 11))
        self.home, self.away = self.own.cloud.network(30), self.other.cloud.network(30)
        self.near = self.own.cloud.network(31)
        self.mallory, self.mallorys = self.own.guest(self.home, "mallory")
        self.victim, self.victims = self.own.guest(self.home, "victim")
        self.neighbour, self.neighbours = self.own.guest(self.near, "neighbour")
        self.twin, self.twins = self.other.guest(self.away, "twin")
        self.stranger, self.strangers = self.other.guest(self.away, "stranger")
        self.subnet = self.own.cloud.subnets[self.home.uuid]
        for guest, spec in self.guests.values():
            way = ("route", "add", addresses.METADATA, "via", spec.nics[0].localport)
            veth.ip("-n", guest.namespace, *way)
        self.specs = {spec.uuid: spec for _, spec in self.guests.values()}
        self.net.sync(self.specs.values()).result(60)
        self.own.cloud.settled()
        for guest, _ in self.guests.values():
            eventually(lambda one=guest: connects(one, addresses.METADATA, 80), "metadata is served")  # type: ignore[misc]
        for asker, asked in ((self.mallory, self.victim), (self.mallory, self.neighbour), (self.twin, self.stranger)):
            eventually(lambda one=asker, other=asked: one.pings(other.address), "guests of one project meet")  # type: ignore[misc]

    @property
    def guests(self) -> dict[str, tuple[Guest, InstanceSpec]]:
        """All of them, by name."""
        return {
            "mallory": (self.mallory, self.mallorys),
            "victim": (self.victim, self.victims),
            "neighbour": (self.neighbour, self.neighbours),
            "twin": (self.twin, self.twins),
            "stranger": (self.stranger, self.strangers),
        }

    @contextlib.contextmanager
    def unguarded(self) -> Iterator[None]:
        """Take the attacker's port security away for a while: what an attempt would do without it."""
        self._guard()
        try:
            yield
        finally:
            self._guard(f"{self.mallory.mac} {self.mallory.address}")
            # What was forged meanwhile was believed, and would be for most of a minute.
            for guest, _ in self.guests.values():
                veth.ip("-n", guest.namespace, "neigh", "flush", "all")

    def _guard(self, *allowed: str) -> None:
        nbctl = enter(self.layout, "ovn-nbctl", "--db=unix:/srv/nb/ovnnb_db.sock", "--timeout=20", "--wait=hv")
        port = self.mallorys.nics[0].uuid
        subprocess.run([*nbctl, "lsp-set-port-security", port, *allowed], check=True)

    def close(self) -> None:
        """Stop listening, unplug all, and remove what was made."""
        self.net.stop()
        for project in (self.own, self.other):
            for guest in project.cloud.guests:
                guest.close()
            order = ("port", "securitygroup", "network", "router")
            for spec in sorted(project.cloud.made, key=lambda spec: order.index(spec.KIND)):
                project.cloud.provider.remove(BodyRef(kind=spec.KIND, uuid=spec.uuid, revision=(1, 999)))


def routed(layout: Layout, provider: NetworkProvider, number: int) -> Cloud:
    """A router with a way to the outside, for networks to be made on."""
    cloud = Cloud(layout, provider)
    outside = addresses.OUTSIDE
    own = str(ipaddress.IPv4Network(outside)[number])
    cloud.write(
        msgspec.structs.replace(
            cloud.router,
            sources=(SourceSpec(cidr="10.41.0.0/16", address=own),),
            address=own,
            outside=outside,
            revision=cloud.revision(),
        )
    )
    return cloud


def arrived(receiver: Guest, sender: Guest, frames: dict[str, bytes]) -> set[str]:
    """The names of those frames whose marker (their name) the receiver hears.

    Two honest frames follow, the second once the first was heard: the switch takes what comes together in an order of
    its own, but one lot after the other. What was sent before has been heard by then, or never will be.
    """
    heard: list[bytes] = []
    with sender.wire() as out, receiver.wire() as into:
        into.settimeout(veth.PATIENCE)
        for one in frames.values():
            out.send(one)
        for _ in range(2):
            end = f"END-{time.monotonic_ns()}".encode()
            words = veth.datagram(sender.address, "255.255.255.255", (9, 9), end)
            out.send(veth.frame(sender.mac, b"\xff" * 6, 0x0800, words))
            while not (heard and end in heard[-1]):
                heard.append(into.recv(4096))
    return {name for name in frames if any(name.encode() in one for one in heard)}


def connects(guest: Guest, address: str, port: int, seconds: float = 0.6) -> bool:
    """Whether a TCP connection is made."""

    def attempt() -> bool:
        try:
            with socket.create_connection((address, port), seconds):
                return True
        except OSError:
            return False

    return veth.within(guest.namespace, attempt)


def leaked(sender: Guest, peer: Guest, others: dict[Guest, Guest], frames: dict[str, bytes]) -> dict[Guest, set[str]]:
    """Which of the frames each guest hears; `peer` is on the sender's network, `others` (who: by whom reached) are not.

    What leaked came before the ping that each of the others gets at the end.
    """
    with contextlib.ExitStack() as stack:
        ears = {other: stack.enter_context(other.wire()) for other in others}
        found = {peer: arrived(peer, sender, frames)}
        for other, teller in others.items():
            eventually(lambda to=other.address, by=teller: by.pings(to), "it is told something itself")  # type: ignore[misc]
            heard = drained(ears[other])
            assert any(socket.inet_aton(teller.address) in one for one in heard), "it hears what is meant for it"
            found[other] = {name for name in frames if any(name.encode() in one for one in heard)}
    return found


def drained(ear: socket.socket) -> list[bytes]:
    """All that was heard until now."""
    found = []
    ear.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:
            found.append(ear.recv(4096))
    return found
