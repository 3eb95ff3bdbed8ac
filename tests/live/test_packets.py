"""Packets a second are bounded at the host's end of a guest's interface, before the switch spends anything on them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from pileus.cli.client import connect
from pileus.model.errors import Fault
from pileus.providers.local.container import guests as containers
from pileus.providers.local.container import veth as pair
from pileus.providers.local.guestnet import bpf, packetrate
from pileus.providers.local.machine import tap
from tests.live.cloud import KINDS, LiveCloud, running, until
from tests.live.daemons import packet_rate
from tests.live.veth import frame, ip, ping, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.cost(5), pytest.mark.allow_hosts(["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12"])]

HOSTS_END, GUESTS_END = "host0", "guest0"
RATE = 2000
FRAME = frame("02:00:00:00:00:01", b"\xff" * 6, 0x88B5, bytes(50))
SECONDS = 2.0


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"packets-{secrets.token_hex(4)}"
    ip("netns", "add", name)
    yield name
    ip("netns", "delete", name)


@pytest.fixture(params=["pair", "tap"])
def send(request: pytest.FixtureRequest, namespace: str) -> Iterator[Callable[[], object]]:
    """Sends one small frame as the guest whose interface has its other end, HOSTS_END, in the namespace."""
    if request.param == "pair":
        pair.make(namespace, HOSTS_END, GUESTS_END, "02:00:00:00:00:01", 1442)
        ip("-n", namespace, "link", "set", GUESTS_END, "up")
        raw = within(namespace, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        with raw:
            within(namespace, lambda: raw.bind((GUESTS_END, 0)))
            yield lambda: raw.send(FRAME)
        pair.remove(namespace, HOSTS_END)
    else:
        tap.make(namespace, HOSTS_END, 1442)
        device = within(namespace, _open_tap)
        yield lambda: os.write(device, FRAME)
        os.close(device)
        tap.remove(namespace, HOSTS_END)


def _open_tap() -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(device, 0x400454CA, struct.pack("16sH", HOSTS_END.encode(), 0x1002).ljust(40, b"\0"))
    return device


class Reader:
    """A packet socket at an interface, as the switch in user space has: it counts what comes from the guest."""

    def __init__(self, namespace: str, interface: str) -> None:
        def opened() -> socket.socket:
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            raw.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
            raw.bind((interface, 3))
            return raw

        self._raw = within(namespace, opened)

    def count(self) -> int:
        """The packets since the last call, those included that this socket had no room for."""
        packets, _ = struct.unpack("=II", self._raw.getsockopt(263, 6, 8))  # PACKET_STATISTICS
        return int(packets)

    def close(self) -> None:
        self._raw.close()


def passed(namespace: str, send: Callable[[], object]) -> tuple[float, float]:
    """Packets a second that are sent, as fast as can be, and that a reader of the interface sees."""
    with contextlib.closing(Reader(namespace, HOSTS_END)) as reader:
        sent, until = 0, time.monotonic() + SECONDS
        while time.monotonic() < until:
            send()
            sent += 1
        return sent / SECONDS, reader.count() / SECONDS


def test_a_reader_sees_the_rate_of_a_flood(namespace: str, send: Callable[[], object]) -> None:
    sent, seen = passed(namespace, send)
    # The guest's kernel may have sent a few of its own.
    assert seen == pytest.approx(sent, rel=0.01)
    assert sent > 10 * RATE
    packetrate.limit(namespace, HOSTS_END, RATE)
    sent, seen = passed(namespace, send)
    # A burst is a tenth of a second.
    assert sent > 10 * RATE
    assert 0.7 * RATE < seen < 1.1 * RATE
    packetrate.limit(namespace, HOSTS_END, 0)
    sent, seen = passed(namespace, send)
    assert seen == pytest.approx(sent, rel=0.01)


def test_a_bound_is_set_once_replaced_and_outlives_its_process(namespace: str) -> None:
    pair.make(namespace, HOSTS_END, GUESTS_END, "02:00:00:00:00:01", 1442)
    code = "import sys; from pileus.providers.local.guestnet import packetrate; packetrate.limit(*sys.argv[1:3], 5000)"
    subprocess.run([sys.executable, "-c", code, namespace, HOSTS_END], check=True)
    assert packet_rate(namespace, HOSTS_END) == 5000
    first = _program(namespace)
    packetrate.limit(namespace, HOSTS_END, 5000)
    assert _program(namespace) == first, "the bucket is as it was"
    packetrate.limit(namespace, HOSTS_END, RATE)
    assert packet_rate(namespace, HOSTS_END) == RATE
    for _ in range(2):
        packetrate.limit(namespace, HOSTS_END, 0)
        assert packet_rate(namespace, HOSTS_END) == 0
    packetrate.limit(namespace, "absent", RATE)
    packetrate.limit("absent", HOSTS_END, RATE)


def _program(namespace: str) -> str:
    shown = subprocess.run(["ip", "-n", namespace, "link", "show", HOSTS_END], capture_output=True, check=True)
    return shown.stdout.decode().partition("prog/xdp")[2].split()[1]


def test_large_segments_pass_whole(namespace: str) -> None:
    pair.make(namespace, HOSTS_END, GUESTS_END, "02:00:00:00:00:01", 1442)
    inner = f"{namespace}-guest"
    ip("netns", "add", inner)
    try:
        ip("-n", namespace, "link", "set", GUESTS_END, "netns", inner)
        for where, link, address in ((namespace, HOSTS_END, "10.41.9.1"), (inner, GUESTS_END, "10.41.9.2")):
            ip("-n", where, "address", "add", f"{address}/24", "dev", link)
            ip("-n", where, "link", "set", link, "up")
        packetrate.limit(namespace, HOSTS_END, 50_000)
        with within(namespace, lambda: socket.create_server(("10.41.9.1", 5000))) as server:
            sender = within(inner, lambda: socket.create_connection(("10.41.9.1", 5000), 10))
            receiver, _ = server.accept()
            with sender, receiver:
                started, arrived = time.monotonic(), 0
                while arrived < 256 << 20:
                    sender.sendall(bytes(1 << 17))
                    got = 0
                    while got < 1 << 17:
                        got += len(receiver.recv(1 << 17))
                    arrived += got
                # More than so many packets could carry, if each were as large as the interface's.
                assert arrived / (time.monotonic() - started) > 1442 * 50_000
    finally:
        ip("netns", "delete", inner)


def test_a_kernel_that_refuses_is_named_once(namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.make(namespace, HOSTS_END, GUESTS_END, "02:00:00:00:00:01", 1442)
    assert packetrate.refusal() == ""
    monkeypatch.setattr(bpf, "_SYSTEM_CALLS", {})
    packetrate._warn.cache_clear()
    with capture_logs() as lines:
        for _ in range(3):
            packetrate.limit(namespace, HOSTS_END, RATE)
    assert len(lines) == 1
    assert "not bounded" in lines[0]["event"]
    assert packetrate.refusal()
    monkeypatch.undo()
    monkeypatch.setattr(packetrate, "_load", _no_memory)
    with pytest.raises(Fault, match="cannot be bounded"):
        packetrate.limit(namespace, HOSTS_END, RATE)


def _no_memory(rate: int) -> int:
    raise OSError(12, f"no memory for {rate}")


# -- a real cloud ----------------------------------------------------------------------------------------------------

FLOOD = """if True:
    import socket, sys, time
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    until, sent = time.monotonic() + float(sys.argv[2]), 0
    while time.monotonic() < until:
        try:
            sent += own.sendto(bytes(18), (sys.argv[1], 9)) > 0
        except OSError:
            pass
    print(sent)
"""


def _in(cloud: LiveCloud, ident: str) -> tuple[str, str]:
    """A container's network namespace, by a path, and the host's end of its interface."""
    (spec,) = (spec for spec in containers.running(cloud.layout) if spec.ec2_id == ident)
    first = until(f"{ident} has a process", containers.monitor(cloud.layout, spec).init)
    return f"/proc/{first}/ns/net", cloud.layout.tap(spec.nics[0].uuid)


def _flood(cloud: LiveCloud, sender: str, target: str, victim: str) -> tuple[float, float, float]:
    """Packets a second that a container sends and that reach the switch, and the share of a victim's answered pings."""
    where, interface = _in(cloud, sender)
    words = ["nsenter", f"--net={where}", sys.executable, "-c", FLOOD, target, str(2 * SECONDS)]
    reader = Reader(cloud.layout.netns, interface)
    with contextlib.closing(reader), subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as flood:
        pings = []
        while flood.poll() is None:
            pings.append(within(f"../../{_in(cloud, victim)[0]}", lambda: ping(target, 1.0)))
        assert flood.stdout is not None
        rates = int(flood.stdout.read()) / (2 * SECONDS), reader.count() / (2 * SECONDS)
    return *rates, sum(pings) / len(pings)


@pytest.mark.cost(40)
def test_a_flood_of_small_packets_is_held_to_the_flavor_and_others_are_answered(tmp_path: Path) -> None:
    with running() as cloud:
        cloud.key("test", tmp_path)
        client = connect(cloud.state)
        for name, rate in (("calm", RATE), ("calmer", RATE // 4)):
            size = {"vcpus": 1, "memory": 128, "disk": 1, "kind": "container", "allowance": {"packets": rate}}
            client.post("flavors", body={"name": name, **size})
        greedy, victim, target = (
            str(
                cloud.ec2.run_instances(
                    ImageId=cloud.image(KINDS[1].image), InstanceType=flavor, MinCount=1, MaxCount=1
                )["Instances"][0]["InstanceId"]
            )
            for flavor in ("calm", KINDS[1].flavor, KINDS[1].flavor)
        )
        address = [cloud.wait(ident, "running")["PrivateIpAddress"] for ident in (greedy, victim, target)][-1]
        where = f"../../{_in(cloud, victim)[0]}"
        until("the victim's ping is answered", lambda: within(where, lambda: ping(address)))
        sent, reached, answered = _flood(cloud, greedy, address, victim)
        assert sent > 5 * RATE
        assert 0.5 * RATE < reached < 1.15 * RATE
        assert answered > 0.9
        cloud.ec2.modify_instance_attribute(InstanceId=greedy, InstanceType={"Value": "calmer"})
        _, interface = _in(cloud, greedy)
        until(
            "another flavor's packets hold at once",
            lambda: packet_rate(cloud.layout.netns, interface) == RATE // 4,
        )
        _, reached, _ = _flood(cloud, greedy, address, victim)
        assert 0.1 * RATE < reached < 0.3 * RATE
        assert "PacketsUnbounded" not in cloud.pileus("doctor", "--json")
