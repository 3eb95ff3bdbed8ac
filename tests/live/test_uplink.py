"""The uplink: guests reach what the machine reaches, and never the machine itself. No packet leaves the machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.model import addresses, bounds
from pileus.providers.local.engine import chassis
from pileus.providers.local.engine.fabric import alone
from pileus.providers.local.layout import Layout
from pileus.providers.local.uplink import daemon, process, rules
from tests.live import veth, veth6
from tests.live.cloud import KINDS, PILEUS, LiveCloud, running, until
from tests.live.veth import eventually, within
from tests.live.world import FAR, FAR6, MACHINE, NAME, World, serve, world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.cloud import Kind

pytestmark = [
    pytest.mark.cost(5),
    pytest.mark.allow_hosts(["127.0.0.0/8", "192.0.2.0/24", "203.0.113.0/24", "198.51.100.0/24", "2001:db8::/32"]),
]

EVERYWHERE = "0.0.0.0"  # noqa: S104  (an address to be refused, and a server in a namespace of the test)
SENDER, SENDER6 = "198.51.100.20", "fd70:696c:6500::20"
RATE = 4_000_000


class Bench:
    """An uplink of a namespace whose outside network is a veth pair: at its other end, `guest` stands for routers."""

    def __init__(self, layout: Layout, outer: World) -> None:
        self.layout, self.world, self.guest = layout, outer, f"{layout.netns}-guest"
        self.fabric = alone(layout)
        chassis.prepare(layout, self.fabric)
        veth.ip("netns", "add", self.guest)
        veth.ip("-n", self.guest, "link", "set", "lo", "up")
        veth.ip("-n", layout.netns, "link", "add", "br-ex", "type", "veth", "peer", "name", "eth0", "netns", self.guest)
        gateways = [addresses.gateway(cidr) for cidr in (self.fabric.outside, self.fabric.outside_ipv6)]
        for namespace, link, pair in (
            (layout.netns, "br-ex", gateways),
            (self.guest, "eth0", [SENDER, SENDER6]),
        ):
            for address, prefix in zip(pair, (24, 40), strict=True):
                words = ["nodad"] if ":" in address else []
                veth.ip("-n", namespace, "address", "add", f"{address}/{prefix}", "dev", link, *words)
            veth.ip("-n", namespace, "link", "set", link, "up")
        for gateway in gateways:
            veth.ip("-n", self.guest, "route", "add", "default", "via", gateway)

    def up(self, rate: int = 100_000_000) -> None:
        """Start the uplink in the world's machine."""
        within(self.world.machine, lambda: daemon.up(self.layout, self.fabric, rate))

    def send(self, target: str, words: bytes) -> None:
        """Send a UDP datagram for port 8053 of `target` in a frame to the gateway, whatever the address means here."""
        raw = within(self.guest, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        with raw:
            within(self.guest, lambda: raw.bind(("eth0", 0)))
            if ":" in target:
                body = veth6.datagram(SENDER6, target, (8053, 8053), words)
                raw.send(veth6.frame(_mac(self.guest, "eth0"), target, body, _mac(self.layout.netns, "br-ex")))
                return
            body = veth.datagram(SENDER, target, (8053, 8053), words)
            gateway = veth.packed(_mac(self.layout.netns, "br-ex"))
            raw.send(veth.frame(_mac(self.guest, "eth0"), gateway, 0x0800, body))

    def heard(self, far: socket.socket, words: bytes) -> bool:
        """Send `words` far away; whether they have arrived."""
        self.send(FAR, words)
        try:
            return far.recv(64) == words
        except BlockingIOError:
            return False

    def fetch(self, address: str, path: str = "", port: int = 80) -> str:
        """Return the answer of a web server to the guest; "" without an answer."""
        host = f"[{address}]" if ":" in address else address
        words = ["curl", "--silent", "--max-time", "3", f"http://{host}:{port}/{path}"]
        return within(self.guest, lambda: subprocess.run(words, capture_output=True, text=True, check=False).stdout)


def _mac(namespace: str, link: str) -> str:
    shown = subprocess.run(
        ["ip", "-n", namespace, "-json", "link", "show", "dev", link], capture_output=True, check=True
    ).stdout
    return str(json.loads(shown)[0]["address"])


def receiver(namespace: str, address: str) -> socket.socket:
    """A socket for datagrams at port 8053 that does not block; `::` takes those of IPv4 too."""

    def bind() -> socket.socket:
        link = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        link.bind((address, 8053))
        link.setblocking(False)
        return link

    return within(namespace, bind)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    layout = Layout(tmp_path)
    with world() as outer:
        bench = Bench(layout, outer)
        try:
            yield bench
        finally:
            daemon.down(layout)
            chassis.down(layout)


def test_guests_reach_what_the_machine_reaches_by_its_own_address(bench: Bench) -> None:
    assert bench.fetch(FAR) == ""
    bench.up()
    assert bench.fetch(FAR) == f"{FAR} sees {MACHINE}\n"
    assert bench.fetch(FAR6) == f"{FAR6} sees 2001:db8:1::2\n"


def test_no_address_of_the_machine_is_reached(bench: Bench) -> None:
    """Addresses of its interfaces, new ones too, metadata services of its own cloud, and what libslirp stands for."""
    bench.up()
    machine = bench.world.machine
    servers = [serve(machine, address, 8080) for address in (EVERYWHERE, "2001:db8:1::2")]
    try:
        closed = [
            *(EVERYWHERE, MACHINE, "169.254.169.254", "168.63.129.16", rules.IPV4_GATEWAY, "198.18.0.3"),
            *(addresses.gateway(bench.fabric.outside), "2001:db8:1::2", rules.IPV6_GATEWAY, "fd00::3", "fd00:ec2::254"),
        ]
        assert {address: bench.fetch(address, port=8080) for address in closed} == dict.fromkeys(closed, "")
        veth.ip("-n", machine, "address", "add", "192.0.2.77/24", "dev", "eth0")
        eventually(lambda: bench.fetch("192.0.2.77", port=8080) == "", "a new address is closed")
        for address in (MACHINE, "192.0.2.77"):
            within(machine, lambda own=address: socket.create_connection((own, 8080), 5).close())  # type: ignore[misc]  # mypy infers no type of a lambda with a default
        assert bench.fetch(FAR)
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def test_frames_for_loopback_addresses_arrive_nowhere(bench: Bench) -> None:
    """Frames that no guest's own kernel would send; after each comes one that arrives, at a server far away."""
    bench.up()
    closed = receiver(bench.world.machine, "::")
    far = receiver(bench.world.far, FAR)
    try:
        for target in (FAR, "127.0.0.1", "127.7.0.9", EVERYWHERE, MACHINE, "::1", "::", "::ffff:127.0.0.1"):
            bench.send(target, b"closed")
            eventually(lambda t=target: bench.heard(far, t.encode()), "a frame far away arrives")  # type: ignore[misc]  # mypy infers no type of a lambda with a default
        with pytest.raises(BlockingIOError):
            closed.recv(64)
    finally:
        closed.close()
        far.close()


def test_connections_of_an_address_are_bounded(bench: Bench) -> None:
    """One router's connections leave room for another's."""
    table = rules.table("198.51.100.0/24", "fd70:696c:6500::/40", RATE, [])
    bench.up()
    few = table.replace(f"ct count over {bounds.UPLINK_CONNECTIONS_OF_ADDRESS.most} ", "ct count over 2 ")
    process.inside(bench.layout.netns, "nft", "-f", "-", text=few)
    veth.ip("-n", bench.guest, "address", "add", "198.51.100.21/24", "dev", "eth0")

    def connect(source: str) -> socket.socket:
        return within(bench.guest, lambda: socket.create_connection((FAR, 80), 3, source_address=(source, 0)))

    links = [connect(SENDER), connect(SENDER)]
    try:
        with pytest.raises(OSError, match="No route to host"):
            connect(SENDER)
        links.append(connect("198.51.100.21"))
    finally:
        for link in links:
            link.close()


def test_processes_of_the_clouds_namespace_have_no_uplink(bench: Bench) -> None:
    bench.up()
    netns = bench.layout.netns
    words = ["curl", "--silent", "--max-time", "1", f"http://{FAR}/"]
    assert within(netns, lambda: subprocess.run(words, capture_output=True, check=False).stdout) == b""


def test_guests_send_and_receive_within_the_rate(bench: Bench) -> None:
    """The rate holds, and most of it is used."""
    bench.up(RATE)
    began = time.monotonic()
    assert len(bench.fetch(FAR, str(3 * RATE))) <= 3 * RATE
    seconds = time.monotonic() - began
    assert seconds >= 2 * (1 - rules.BURST / RATE)


@pytest.mark.parametrize("victim", ["uplink", "libslirp"])
def test_a_killed_uplink_is_whole_again_when_it_is_started(bench: Bench, victim: str) -> None:
    """Each of the two processes takes the other along; the next start finds no obstacle, also at once."""
    bench.up()
    for _ in range(3):
        own = daemon.pid(bench.layout)
        assert own is not None
        child = libslirp(own)
        os.kill(own if victim == "uplink" else child, signal.SIGKILL)
        eventually(lambda pid=own: daemon.pid(bench.layout) != pid, "it ended")  # type: ignore[misc]  # mypy infers no type of a lambda with a default
        bench.up()
        assert bench.fetch(FAR)
        eventually(lambda pid=child: ended(pid), "so did libslirp")  # type: ignore[misc]  # mypy infers no type of a lambda with a default


def test_the_end_leaves_nothing(bench: Bench) -> None:
    bench.up()
    own = daemon.pid(bench.layout)
    assert own is not None
    child = libslirp(own)
    daemon.down(bench.layout)
    eventually(lambda: ended(child), "libslirp ended")
    process.inside(bench.layout.netns, "sh", "-ec", '[ -z "$(nft list ruleset)" ] && [ ! -e /sys/class/net/uplink ]')
    assert bench.fetch(FAR) == ""
    daemon.down(bench.layout)


def test_libslirp_has_no_files_and_keeps_no_other_clouds_namespace(bench: Bench) -> None:
    """A namespace ends when nothing has it mounted any more."""
    bench.up()
    own = daemon.pid(bench.layout)
    assert own is not None
    child = libslirp(own)
    root = Path(f"/proc/{child}/root")
    assert [path for place in root.iterdir() if not place.is_symlink() for path in place.iterdir()] == []
    assert "nsfs" not in Path(f"/proc/{child}/mountinfo").read_text(encoding="utf-8")
    status = Path(f"/proc/{child}/status").read_text(encoding="utf-8")
    assert "CapEff:\t0000000000000400\n" in status
    assert "Seccomp:\t2\n" in status


@pytest.mark.cost(90)
def test_guests_of_a_cloud_reach_the_world_by_name(tmp_path: Path) -> None:
    """A container and a machine, through `pileus up --internet`, kill -9, down, up, and purge."""
    resolvers = tmp_path / "resolv.conf"
    resolvers.write_text(f"nameserver {FAR}\n")
    with world() as outer:
        within(outer.machine, lambda: _cloud_in_a_world(outer, resolvers, tmp_path))


def _cloud_in_a_world(outer: World, resolvers: Path, folder: Path) -> None:
    secret = serve(outer.machine, EVERYWHERE, 8080)
    try:
        with running("--internet", resolv_conf=resolvers) as cloud:
            key = cloud.key("test", folder)
            cloud.open_ssh()
            idents = {kind: _launched(cloud, kind) for kind in KINDS}
            for ident in idents.values():
                assert cloud.ssh(ident, key, ask(f"http://{NAME}/")) == f"{FAR} sees {MACHINE}"
                closed = [f"http://{address}:8080/" for address in (MACHINE, "198.18.0.2", "198.51.100.1")]
                closed.append(f"{cloud.ec2.meta.endpoint_url.replace('127.0.0.1', MACHINE)}healthz")
                for url in closed:
                    assert cloud.ssh(ident, key, ask(url)) == "unreachable"
            _ended_and_started_again(cloud, idents[KINDS[1]], key)
        assert not Path(f"/run/netns/{cloud.layout.netns}").exists()
    finally:
        secret.shutdown()
        secret.server_close()


def _ended_and_started_again(cloud: LiveCloud, ident: str, key: Path) -> None:
    """The uplink comes back by itself, stays while guests run without a cloud, and is gone where it is not wanted."""
    for name in (daemon.NAME, "switch"):
        _killed(cloud, name)
        until("guests go out again", lambda: cloud.ssh(ident, key, ask(f"http://{NAME}/")) == f"{FAR} sees {MACHINE}")
    cloud.pileus("down")
    cloud.pileus("up")
    assert cloud.ssh(ident, key, ask(f"http://{FAR}/")) == f"{FAR} sees {MACHINE}", "kept from the start before"
    cloud.pileus("down")
    cloud.pileus("up", "--no-internet")
    assert cloud.ssh(ident, key, ask(f"http://{FAR}/")) == "unreachable"
    assert daemon.pid(cloud.layout) is None
    assert "pileus down first" in refused(cloud.state, "--internet")
    cloud.pileus("down")
    cloud.pileus("up", "--internet")
    cloud.pileus("doctor")
    last = cloud.part(daemon.NAME)
    cloud.pileus("purge", "--yes")
    assert ended(last)


@pytest.mark.cost(60)
def test_an_outside_interface_leads_to_the_gateway_behind_it(tmp_path: Path) -> None:
    """Guests go out by their router's address, and are reached by floating ones; the interface comes back."""
    with world() as outer:
        veth.ip("-n", outer.machine, "link", "add", "eth9", "type", "veth", "peer", "name", "eth9", "netns", outer.far)
        veth.ip("-n", outer.far, "address", "add", "198.51.100.1/24", "dev", "eth9")
        veth.ip("-n", outer.far, "link", "set", "eth9", "up")
        within(outer.machine, lambda: _cloud_with_an_interface(outer, tmp_path))
        shown = subprocess.run(["ip", "-n", outer.machine, "link", "show", "eth9"], capture_output=True, check=False)
        assert shown.returncode == 0, "it came back"


def _cloud_with_an_interface(outer: World, folder: Path) -> None:
    for interface, why in (
        ("eth0", "has an address of this machine (192.0.2.2, 2001:db8:1::2)"),
        ("eth8", "There is no interface eth8 here"),
        ("lo", "is the loopback interface"),
    ):
        assert why in refused(folder / "s", "--outside", interface)
    assert "leave --internet out" in refused(folder / "s", "--internet", "--outside", "eth9")
    with running("--outside", "eth9") as cloud:
        key = cloud.key("test", folder)
        cloud.open_ssh()
        ident = _launched(cloud, KINDS[1])
        (router,) = {line.split()[3] for line in cloud.pileus("router", "list").splitlines() if "198.51.100." in line}
        assert cloud.ssh(ident, key, ask(f"http://{FAR}/")) == f"{FAR} sees {router}"
        address = cloud.ec2.allocate_address()["PublicIp"]
        cloud.ec2.associate_address(PublicIp=address, InstanceId=ident)
        (group,) = cloud.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
        cloud.ec2.authorize_security_group_ingress(
            GroupId=group["GroupId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="198.51.100.1/32"
        )
        eventually(lambda: b"SSH-2.0" in within(outer.far, lambda: _banner(address)), "it is reached from outside")


def _banner(address: str) -> bytes:
    try:
        with socket.create_connection((address, 22), 2) as link:
            return link.recv(16)
    except OSError:
        return b""


def refused(state: Path, *options: str) -> str:
    """Return the message by which `pileus up` refuses to start."""
    words = [PILEUS, "up", "--state", str(state), *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return " ".join(done.stderr.split())


def _killed(cloud: LiveCloud, name: str) -> None:
    """Kill a daemon, and wait for the next one."""
    first = cloud.part(name)
    os.kill(first, signal.SIGKILL)
    until("the supervisor starts it again", lambda: cloud.part(name) != first)


def ask(url: str) -> str:
    """A command for a guest that prints a page, or `unreachable`."""
    return f"timeout 10 wget -q -O - {url} || echo unreachable"


def _launched(cloud: LiveCloud, kind: Kind) -> str:
    reservation = cloud.ec2.run_instances(
        ImageId=cloud.image(kind.image), InstanceType=kind.flavor, MinCount=1, MaxCount=1, KeyName="test"
    )
    return str(reservation["Instances"][0]["InstanceId"])


def ended(pid: int) -> bool:
    """Whether a process has ended; its parent may not have heard of that."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def libslirp(uplink: int) -> int:
    """The libslirp of an uplink, beside which the uplink has others run for a moment."""

    def look() -> int:
        pids = Path(f"/proc/{uplink}/task/{uplink}/children").read_text(encoding="ascii").split()
        return next((int(pid) for pid in pids if _name(pid) == "slirp4netns"), 0)

    return eventually(look, "libslirp runs")


def _name(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
