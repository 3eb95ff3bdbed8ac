"""Metadata and loopback listeners over real namespaces: a Linux bridge for the switch, then the real one."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from pileus.faces import metadata
from pileus.model import bounds
from pileus.model.addresses import derived_mac
from pileus.model.errors import Fault
from pileus.model.instance import Power
from pileus.model.spec import (
    Ingress,
    InstanceSpec,
    NetworkSpec,
    NicSpec,
    PortSpec,
    SecurityGroupSpec,
    SubnetSpec,
)
from pileus.providers.local.doctor import listeners
from pileus.providers.local.engine import chassis, switch
from pileus.providers.local.guestnet import GuestNet, bpf, dial, ensure_network, namespaces, sklookup
from pileus.providers.local.guestnet.server import NetworkSetup
from pileus.providers.local.layout import Layout
from pileus.providers.local.network.provider import NetworkProvider
from tests.live import veth

CIDR = "10.77.0.0/24"
BRIDGE = "br-int"
PORT = 2222
SECRET = b"secret"
NETWORKS = ("aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002")

pytestmark = [pytest.mark.cost(5), pytest.mark.allow_hosts(["127.0.0.0/8", CIDR])]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def curl(namespace: str, *arguments: str) -> str:
    """What curl prints inside a namespace, with the status on a line of its own at the end."""
    command = ["nsenter", f"--net=/run/netns/{namespace}", "curl", "-sS", "--max-time", "20"]
    done = subprocess.run([*command, "-w", "\n%{http_code}", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.01)


def spec_of(number: int, *ports: int, network: str = NETWORKS[0], prefix: int = 250) -> InstanceSpec:
    """An instance whose one group admits `ports` from everywhere."""
    uuid = f"1000000{number}-0000-4000-8000-00000000000{number}"
    nic = NicSpec(
        uuid=f"2000000{number}-0000-4000-8000-00000000000{number}",
        ec2_id=f"eni-{number}",
        mac=f"02:50:00:00:00:0{number}",
        address=f"10.77.0.{number + 4}",
        cidr=CIDR,
        gateway="10.77.0.1",
        localport="10.77.0.2",
        localport_mac=derived_mac(network, "localport"),
        network=network,
        ingress=tuple(Ingress(cidr="0.0.0.0/0", port_min=port, port_max=port) for port in ports),
    )
    loopback = f"127.{prefix}.77.{number}"
    return InstanceSpec(
        uuid=uuid, power=Power(), vcpus=1, memory=1, nics=(nic,), ec2_id=f"i-{number}", loopback=loopback
    )


@dataclass
class Stage:
    """A cloud's namespaces with guests that are mere namespaces; `specs` is what its host holds."""

    layout: Layout
    engine: NetworkSetup
    specs: dict[str, InstanceSpec] = field(default_factory=dict)
    guests: list[str] = field(default_factory=list)
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def guest(self, spec: InstanceSpec, plug: Callable[[str], None]) -> str:
        """Make a namespace that stands for `spec`'s guest, `plug` its link into the switch; its name."""
        nic, name = spec.nics[0], f"guest-{self.layout.digest}-{len(self.guests)}"
        device = f"guest{len(self.guests)}"
        self.guests.append(name)
        ip("netns", "add", name)
        ip(
            "-n",
            self.layout.netns,
            "link",
            "add",
            device,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            name,
        )
        ip("-n", self.layout.netns, "link", "set", device, "up")
        ip("-n", name, "link", "set", "eth0", "address", nic.mac, "mtu", str(nic.mtu), "up")
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "addr", "add", f"{nic.address}/24", "dev", "eth0")
        ip("-n", name, "route", "add", "169.254.169.254", "via", nic.localport)
        plug(device)
        return name

    def serve(self, namespace: str, handle: Callable[[socket.socket], None], port: int = PORT) -> None:
        """Accept connections in a guest and `handle` each in a thread."""
        listener = namespaces.open_socket(namespace)
        listener.bind(("0.0.0.0", port))  # noqa: S104  (a namespace of its own)
        listener.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=handle, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

        def close() -> None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

        self.undo.callback(close)

    def net(self, *specs: InstanceSpec, interval: float = 3600.0) -> GuestNet:
        """Start serving `specs`; stopped with the stage."""
        self.specs.update({spec.uuid: spec for spec in specs})
        net = GuestNet(self.layout, lambda: self.specs, metadata.bind(SECRET), engine=self.engine, interval=interval)
        net.start()
        self.undo.callback(net.stop)
        return net


def on_a_bridge() -> NetworkSetup:
    """Networks whose localports are plugged into a Linux bridge, one for each network."""

    def attach(layout: Layout, device: str, port: str) -> None:
        bridge = f"br-{port[3:11]}"
        if not (Path("/run/netns") / layout.netns).exists():
            raise Fault("switch", "gone")
        subprocess.run(
            ["ip", "-n", layout.netns, "link", "add", bridge, "up", "type", "bridge"],
            capture_output=True,
            check=False,
        )
        ip("-n", layout.netns, "link", "set", device, "master", bridge)

    def detach(layout: Layout, device: str) -> None:
        pass

    return NetworkSetup(
        ensure=partial(ensure_network, attach=attach),
        remove=partial(namespaces.remove_network, detach=detach),
        clear=lambda layout, keep: namespaces.remove_networks(layout, keep, detach=detach),
    )


@pytest.fixture
def layout() -> Iterator[Layout]:
    state = Path(tempfile.mkdtemp(prefix="pileus-guestnet-"))
    yield Layout(state)
    shutil.rmtree(state)


@pytest.fixture
def stage(layout: Layout) -> Iterator[Stage]:
    ip("netns", "add", layout.netns)
    made = Stage(layout, on_a_bridge())
    yield made
    made.undo.close()
    for name in [*made.guests, *(path.name for path in Path("/run/netns").glob(f"{layout.netns}*"))]:
        ip("netns", "del", name)


def bridged(stage: Stage, spec: InstanceSpec) -> str:
    """A guest on its network's Linux bridge."""
    bridge = f"br-{spec.nics[0].network[:8]}"
    return stage.guest(spec, lambda device: ip("-n", stage.layout.netns, "link", "set", device, "master", bridge))


def echo(connection: socket.socket) -> None:
    """Say who called, then everything it said, once it has ended its sending."""
    with connection, contextlib.suppress(OSError):
        said = connection.getpeername()[0].encode() + b"|"
        while data := connection.recv(65536):
            said += data
        connection.sendall(said)


def repeat(connection: socket.socket) -> None:
    """Say everything back at once."""
    with connection, contextlib.suppress(OSError):
        while data := connection.recv(65536):
            connection.sendall(data)


def call(address: str, port: int = PORT) -> socket.socket:
    return socket.create_connection((address, port), timeout=20)


def listens(address: str, port: int) -> bool:
    try:
        call(address, port).close()
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:
        return True
    return True


def broke(connection: socket.socket) -> bool:
    """Whether the connection is cut; waits for it to be, and closes our side."""
    with connection:
        try:
            return connection.recv(1) == b""
        except ConnectionResetError:
            return True


def test_guests_of_two_networks_with_the_same_address_are_told_apart(stage: Stage) -> None:
    one = spec_of(1)
    two = msgspec.structs.replace(spec_of(2, network=NETWORKS[1]), metadata_v2_only=True)
    nic = msgspec.structs.replace(two.nics[0], address=one.nics[0].address)
    two = msgspec.structs.replace(two, nics=(nic,))
    net = stage.net(one, two)
    first, second = bridged(stage, one), bridged(stage, two)
    url = "http://169.254.169.254/latest"
    assert curl(first, f"{url}/meta-data/instance-id") == "i-1\n200"
    assert curl(second, f"{url}/meta-data/instance-id").endswith("\n401")
    ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60"
    token, _, status = curl(second, "-X", "PUT", "-H", ttl, f"{url}/api/token").partition("\n")
    assert status == "200"
    # One connection for two requests.
    header = f"X-aws-ec2-metadata-token: {token}"
    got = curl(second, "-H", header, f"{url}/meta-data/instance-id", f"{url}/meta-data/mac")
    assert got == "i-2\n200" + nic.mac + "\n200"
    assert curl(first, "-H", header, f"{url}/meta-data/instance-id").endswith("\n401")
    # An address that no spec has is nobody.
    ip("-n", first, "addr", "add", "10.77.0.99/24", "dev", "eth0")
    assert curl(first, "--interface", "10.77.0.99", f"{url}/meta-data/instance-id").endswith("\n404")
    net.sync([two]).result(30)
    assert not (Path("/run/netns") / stage.layout.network_netns(NETWORKS[0])).exists()
    assert curl(second, "-H", header, f"{url}/meta-data/instance-id") == "i-2\n200"


def test_a_token_goes_as_far_and_the_service_is_as_on_as_its_instance_wants(stage: Stage) -> None:
    spec = spec_of(1)
    net, guest = stage.net(spec), bridged(stage, spec)
    for hops in (1, 3):
        net.sync([msgspec.structs.replace(spec, metadata_hops=hops)]).result(30)
        assert veth.token_hops(guest) == hops
    net.sync([msgspec.structs.replace(spec, metadata_enabled=False)]).result(30)
    assert curl(guest, "http://169.254.169.254/latest/meta-data/instance-id").endswith("\n403")


def test_bytes_reach_the_guest_from_the_localport_and_come_back(stage: Stage) -> None:
    spec = spec_of(1, PORT)
    stage.net(spec)
    guest = bridged(stage, spec)
    stage.serve(guest, echo)
    with call(spec.loopback) as caller:
        caller.sendall(b"x" * 1_000_000)
        caller.shutdown(socket.SHUT_WR)
        got = b""
        while data := caller.recv(65536):
            got += data
    assert got == b"10.77.0.2|" + b"x" * 1_000_000
    for dialled in (dial(stage.layout, spec.nics[0], PORT), dial(stage.layout, spec.nics[0], PORT, 20)):
        with dialled:
            dialled.shutdown(socket.SHUT_WR)
            assert dialled.recv(100) == b"10.77.0.2|"


def test_an_address_that_changes_hands_leads_to_its_new_guest_at_once(stage: Stage) -> None:
    old, other = spec_of(1, PORT), spec_of(2, PORT)
    net = stage.net(old, other)
    stage.serve(bridged(stage, old), echo)
    dial(stage.layout, old.nics[0], PORT).close()
    ip("-n", stage.layout.netns, "link", "del", "guest0")
    nic = msgspec.structs.replace(old.nics[0], uuid="20000009-0000-4000-8000-000000000009", mac="02:50:00:00:00:09")
    new = msgspec.structs.replace(old, uuid="10000009-0000-4000-8000-000000000009", nics=(nic,))
    net.sync([other, new]).result(30)
    stage.serve(bridged(stage, new), echo)
    dial(stage.layout, nic, PORT).close()


def test_a_guest_that_refuses_ends_the_call(stage: Stage) -> None:
    spec = spec_of(1, PORT)
    stage.net(spec)
    bridged(stage, spec)
    # The end may come before the caller has seen the beginning.
    with contextlib.suppress(ConnectionResetError):
        assert broke(call(spec.loopback))
    with pytest.raises(ConnectionRefusedError):
        dial(stage.layout, spec.nics[0], PORT)
    absent = msgspec.structs.replace(spec.nics[0], network=NETWORKS[1])
    with pytest.raises(FileNotFoundError):
        dial(stage.layout, absent, PORT)


def test_rules_open_close_and_cut_at_once_and_nothing_else(stage: Stage) -> None:
    spec, other = spec_of(1, PORT, PORT + 1), spec_of(2, PORT)
    net = stage.net(spec, other)
    for each in (spec, other):
        guest = bridged(stage, each)
        for port in (PORT, PORT + 1, PORT + 2):
            stage.serve(guest, repeat, port)
    calls = {
        (each.ec2_id, port): call(each.loopback, port) for each, port in [(spec, PORT), (spec, PORT + 1), (other, PORT)]
    }
    for caller in calls.values():
        caller.sendall(b"a")
        assert caller.recv(1) == b"a"
    assert not listens(spec.loopback, PORT + 2)
    changed = spec_of(1, PORT + 1, PORT + 2)
    net.sync([changed, other]).result(30)
    assert not listens(spec.loopback, PORT)
    assert listens(spec.loopback, PORT + 2)
    assert broke(calls.pop((spec.ec2_id, PORT)))
    for caller in calls.values():
        caller.sendall(b"b")
        assert caller.recv(1) == b"b"
    # There and back at once.
    net.sync([other])
    net.sync([changed, other]).result(30)
    assert broke(calls.pop((spec.ec2_id, PORT + 1)))
    assert listens(spec.loopback, PORT + 1)
    net.sync([]).result(30)
    assert broke(calls.pop((other.ec2_id, PORT)))
    assert not listens(other.loopback, PORT)


def test_one_socket_accepts_at_every_port_that_rules_admit(stage: Stage) -> None:
    """Of 960 rules and of a rule for all ports alike; other ports are refused, whoever else of the machine listens."""
    many, every = spec_of(1, *range(2000, 2000 + 960 * 2, 2)), spec_of(2)
    (nic,) = every.nics
    wide = (Ingress(cidr="0.0.0.0/0", port_min=1, port_max=65535),)
    every = msgspec.structs.replace(every, nics=(msgspec.structs.replace(nic, ingress=wide),))
    net = stage.net(many, every)
    for spec in (many, every):
        stage.serve(bridged(stage, spec), repeat, 3000)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  (a count)
    for spec in (many, every):
        with call(spec.loopback, 3000) as caller:
            caller.sendall(b"a")
            assert caller.recv(1) == b"a"
    with socket.create_server(("0.0.0.0", 3001)), socket.create_server((many.loopback, 3003)):  # noqa: S104
        assert not listens(many.loopback, 3001)
        assert not listens(many.loopback, 3003)
        socket.create_connection(("127.250.77.99", 3001), timeout=20).close()
    assert listens(every.loopback, 65535)
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)  # noqa: PTH208
    net.stop()
    assert not listens(many.loopback, 3000)


def test_clouds_side_by_side_accept_at_their_own_addresses(stage: Stage) -> None:
    own = spec_of(1, PORT)
    stage.net(own)
    with socket.create_server(("127.249.0.0", 0)) as listener:
        other = sklookup.PortTable(listener)
        try:
            other.admit({"127.249.77.1": ((PORT, PORT),)})
            for address in (own.loopback, "127.249.77.1"):
                assert listens(address, PORT)
                assert not listens(address, PORT + 1)
        finally:
            other.close()
        assert not listens("127.249.77.1", PORT)
    assert listens(own.loopback, PORT)


def test_nothing_stays_of_a_process_that_is_killed(stage: Stage) -> None:
    code = """if True:
        import socket, sys, time
        from pileus.providers.local.guestnet.sklookup import PortTable
        listener = socket.create_server(("127.249.0.0", 0))
        table = PortTable(listener)
        table.admit({"127.249.77.1": ((22, 22),)})
        print("ready", flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert sklookup.admitted(process.pid) == {"127.249.77.1": ((22, 22),)}
        assert listens("127.249.77.1", 22)
        process.kill()
    assert not listens("127.249.77.1", 22)


def test_a_kernel_without_such_programs_has_bounded_listeners(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpf, "_SYSTEM_CALLS", {})
    spec = spec_of(1, *range(PORT, PORT + 100))
    stage.net(spec)
    stage.serve(bridged(stage, spec), repeat)
    with call(spec.loopback) as caller:
        caller.sendall(b"a")
        assert caller.recv(1) == b"a"
    own = listeners.listeners(os.getpid())
    assert not own.by_program
    assert len(own.ports[spec.loopback]) == bounds.LOOPBACK_LISTENERS_OF_INSTANCE.most


def test_what_was_lost_is_made_again(stage: Stage) -> None:
    one, two = spec_of(1), spec_of(2, network=NETWORKS[1])
    # Left by a host that was killed: an old network, and a name without a namespace.
    stage.engine.ensure(stage.layout, spec_of(3, network="cccccccc-0000-4000-8000-000000000003").nics[0])
    (Path("/run/netns") / stage.layout.network_netns(NETWORKS[0])).touch()
    net = stage.net(one, two)
    names = {path.name for path in Path("/run/netns").glob(f"{stage.layout.netns}-*")}
    assert names == {stage.layout.network_netns(network) for network in NETWORKS}
    guest = bridged(stage, one)
    url = "http://169.254.169.254/latest/meta-data/instance-id"
    assert curl(guest, url) == "i-1\n200"
    old = namespaces.identity(stage.layout.network_netns(NETWORKS[0]))
    ip("netns", "del", stage.layout.network_netns(NETWORKS[0]))
    net.sync([one, two]).result(30)
    assert namespaces.identity(stage.layout.network_netns(NETWORKS[0])) not in {None, old}
    assert curl(guest, url) == "i-1\n200"


def test_the_hosts_book_counts_when_nobody_says_otherwise(stage: Stage) -> None:
    one, two = spec_of(1, PORT), spec_of(2, PORT, network=NETWORKS[1])
    stage.net(one, interval=0.02)
    stage.specs[two.uuid] = two
    until(lambda: namespaces.identity(stage.layout.network_netns(NETWORKS[1])) is not None)
    # Its namespace comes first, then the places where it listens.
    until(lambda: listens(two.loopback, PORT))
    del stage.specs[one.uuid]
    until(lambda: namespaces.identity(stage.layout.network_netns(NETWORKS[0])) is None)
    until(lambda: not listens(one.loopback, PORT))


def test_a_network_that_cannot_be_made_keeps_no_other_from_it(stage: Stage) -> None:
    ensure = stage.engine.ensure

    def refuse(layout: Layout, nic: NicSpec) -> None:
        if nic.network == NETWORKS[0]:
            raise Fault("switch", "no")
        ensure(layout, nic)

    stage.engine = NetworkSetup(refuse, stage.engine.remove, stage.engine.clear)
    one, two = spec_of(1), spec_of(2, network=NETWORKS[1])
    with capture_logs() as logs:
        net = stage.net(one, two)
        net.sync([one, two]).result(30)
    assert [log["network"] for log in logs if log["log_level"] == "warning"] == [NETWORKS[0]]
    assert curl(bridged(stage, two), "http://169.254.169.254/latest/meta-data/instance-id") == "i-2\n200"


def test_a_guest_with_very_many_keys_keeps_the_service_from_nobody(stage: Stage) -> None:
    greedy, victim = spec_of(1), spec_of(2, network=NETWORKS[1])
    keys = tuple(f"ssh-ed25519 AAAA{number}" for number in range(300_000))
    stage.net(msgspec.structs.replace(greedy, public_keys=keys), victim)
    attacker, guest = bridged(stage, greedy), bridged(stage, victim)
    url = "http://169.254.169.254/latest/meta-data/"
    command = ["nsenter", f"--net=/run/netns/{attacker}", "curl", "-s", "--max-time", "60"]
    calls = [subprocess.Popen([*command, f"{url}public-keys/?[1-1000]"], stdout=subprocess.DEVNULL) for _ in range(16)]
    try:
        for _ in range(5):
            # Clients give up after a few seconds.
            assert curl(guest, "--max-time", "5", f"{url}instance-id") == "i-2\n200"
        assert any(each.poll() is None for each in calls), "they go on meanwhile"
    finally:
        for each in calls:
            each.kill()
            each.wait()


def thread_namespaces() -> set[Path]:
    """The network namespaces of this process's threads."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.add((task / "ns/net").readlink())
    return found


def test_no_thread_is_left_in_another_namespace(stage: Stage) -> None:
    spec = spec_of(1, PORT)
    home = Path("/proc/self/ns/net").readlink()
    net = stage.net(spec)
    stage.serve(bridged(stage, spec), repeat)
    with pytest.raises(FileNotFoundError):
        namespaces.open_socket("no-such-namespace")
    with call(spec.loopback) as caller:
        caller.sendall(b"a")
        assert caller.recv(1) == b"a"
        # A thread that has ended is listed for a moment more.
        until(lambda: thread_namespaces() == {home})
        net.stop()
        assert broke(caller)
    assert not listens(spec.loopback, PORT)
    with pytest.raises(RuntimeError):
        net.sync([])
    net.start()
    assert listens(spec.loopback, PORT)


def test_a_start_that_fails_leaves_nothing(stage: Stage) -> None:
    spec = spec_of(1, PORT)

    def broken() -> dict[str, InstanceSpec]:
        raise LookupError("no book")

    net = GuestNet(stage.layout, broken, metadata.bind(SECRET), engine=stage.engine)
    for _ in range(2):
        with pytest.raises(LookupError):
            net.start()
    net.stop()
    assert not listens(spec.loopback, PORT)


@pytest.fixture
def ovn(layout: Layout) -> Iterator[Stage]:
    """The real switch with OVN, in place of the Linux bridge."""
    made = Stage(layout, NetworkSetup())
    try:
        chassis.up(layout)
        yield made
    finally:
        made.undo.close()
        for name in made.guests:
            ip("netns", "del", name)
        chassis.down(layout)


def plugged(stage: Stage, spec: InstanceSpec) -> str:
    """A guest on the real switch, as the logical port of its spec."""
    return stage.guest(spec, lambda device: switch.attach(stage.layout, device, spec.nics[0].uuid))


@pytest.mark.cost(15)
def test_the_real_engine(ovn: Stage) -> None:
    spec = spec_of(1, PORT)
    nic = spec.nics[0]
    provider = NetworkProvider(ovn.layout.northbound)
    subnet = SubnetSpec(
        uuid="50000000-0000-4000-8000-000000000001",
        cidr=CIDR,
        gateway=nic.gateway,
        gateway_mac=derived_mac(nic.network, "gateway"),
        localport=nic.localport,
        localport_mac=nic.localport_mac,
    )
    group = SecurityGroupSpec(uuid="60000000-0000-4000-8000-000000000001")
    port = PortSpec(
        uuid=nic.uuid,
        network=nic.network,
        subnet=subnet.uuid,
        mac=nic.mac,
        address=nic.address,
        groups=(group.uuid,),
    )
    provider.ensure(NetworkSpec(uuid=nic.network, subnets=(subnet,)))
    provider.ensure(group)
    provider.ensure(port)
    provider.close()
    net = ovn.net(spec)
    guest = plugged(ovn, spec)
    assert switch.ports(ovn.layout)[namespaces.outside(nic.network)] == f"md-{nic.network}"
    url = "http://169.254.169.254/latest/dynamic/instance-identity/document"
    body, _, status = curl(guest, "--retry", "50", "--retry-all-errors", "--retry-delay", "1", url).rpartition("\n")
    assert status == "200"
    assert json.loads(body)["instanceId"] == "i-1"
    ovn.serve(guest, echo)
    with call(spec.loopback) as caller:
        caller.sendall(b"x" * 300_000)
        caller.shutdown(socket.SHUT_WR)
        got = b""
        while data := caller.recv(65536):
            got += data
    assert got == b"10.77.0.2|" + b"x" * 300_000
    net.sync([]).result(30)
    assert namespaces.outside(nic.network) not in switch.ports(ovn.layout)
