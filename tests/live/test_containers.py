"""Containers beside machines: one network, one cloud; and what holds for a container alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pileus.app import processes, supervise
from pileus.app.state import StateDirectory
from pileus.app.up import running as parts_of
from pileus.providers.local.container import guests as containers
from pileus.providers.local.container import lxcfs, ranges, views
from pileus.providers.local.machine import cgroups
from tests.live.cloud import KINDS, PILEUS, LiveCloud, running, under, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.providers.local.container.monitor import Monitor
    from tests.live.cloud import Kind

MACHINE, CONTAINER = KINDS


@pytest.fixture(scope="module")
def cloud() -> Iterator[LiveCloud]:
    """A cloud whose host tells Prometheus of its instances."""
    with running(host_metrics="127.0.0.1:0") as found:
        yield found


@pytest.fixture(scope="module")
def group(cloud: LiveCloud) -> str:
    """A security group that admits ssh from this machine, and everything among its members."""
    made = str(cloud.ec2.create_security_group(GroupName="both", Description="both kinds")["GroupId"])
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "127.0.0.0/8"}]}
    own = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": made}]}
    cloud.ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[ssh, own])
    return made


def launch(cloud: LiveCloud, kind: Kind, group: str, flavor: str = "") -> str:
    """Ask for one; its id."""
    asked = cloud.ec2.run_instances(
        ImageId=cloud.image(kind.image),
        InstanceType=flavor or kind.flavor,
        MinCount=1,
        MaxCount=1,
        KeyName="test",
        SecurityGroupIds=[group],
    )
    return str(asked["Instances"][0]["InstanceId"])


@pytest.fixture
def container(cloud: LiveCloud, group: str, key: Path) -> Iterator[str]:
    """A container that answers."""
    ident = launch(cloud, CONTAINER, group)
    cloud.ssh(ident, key, "true")
    yield ident
    cloud.ec2.terminate_instances(InstanceIds=[ident])
    cloud.wait(ident, "terminated")


def monitor(cloud: LiveCloud, ident: str) -> Monitor:
    """What this machine sees of a container that runs."""
    (spec,) = (spec for spec in containers.running(cloud.layout) if spec.ec2_id == ident)
    return containers.monitor(cloud.layout, spec)


def _init(cloud: LiveCloud, ident: str) -> int:
    found: int = until("its first process is there", lambda: monitor(cloud, ident).init())
    return found


@pytest.mark.cost(60)
def test_a_machine_and_a_container_are_neighbours(cloud: LiveCloud, group: str, key: Path) -> None:
    """One subnet, one group, one metadata service: they reach each other, and are told the same things."""
    pair = [launch(cloud, kind, group) for kind in KINDS]
    for ident in pair:
        cloud.ssh(ident, key, "true")
    shown = [cloud.instance(ident) for ident in pair]
    assert shown[0]["SubnetId"] == shown[1]["SubnetId"]
    assert shown[0]["SecurityGroups"] == shown[1]["SecurityGroups"]
    for ident, other in zip(pair, reversed(shown), strict=True):
        ping = f"ping -c 3 -W 2 {other['PrivateIpAddress']} || true"
        until("its neighbour answers", lambda i=ident, c=ping: " 0% packet loss" in cloud.ssh(i, key, c))  # type: ignore[misc]
        connect = f"nc -w 5 {other['PrivateIpAddress']} 22 </dev/null | head -c 3"
        until("by TCP as well", lambda i=ident, c=connect: cloud.ssh(i, key, c) == "SSH")  # type: ignore[misc]
    ask = "wget -q -O - http://169.254.169.254/latest/meta-data/{}"
    for ident, own in zip(pair, shown, strict=True):
        told = {name: cloud.ssh(ident, key, ask.format(name)) for name in ("instance-id", "local-ipv4", "mac")}
        (port,) = own["NetworkInterfaces"]
        assert told == {"instance-id": ident, "local-ipv4": own["PrivateIpAddress"], "mac": port["MacAddress"]}
        assert cloud.ssh(ident, key, ask.format("security-groups")) == "both"
        assert cloud.ssh(ident, key, "hostname") == own["PrivateDnsName"].partition(".")[0]
    cloud.ec2.terminate_instances(InstanceIds=pair)
    for ident in pair:
        cloud.wait(ident, "terminated")


SENT = 4_000_000
"""Bytes that a guest is sent, and sends, to see that they are counted."""


@pytest.mark.cost(60)
def test_what_guests_use_is_measured(cloud: LiveCloud, group: str, key: Path) -> None:
    """Of a machine and of a container alike: a busy loop shows as processor time, bytes as bytes, by every way."""
    pair = [launch(cloud, kind, group) for kind in KINDS]
    for ident in pair:
        cloud.ssh(ident, key, "true")

    for ident in pair:
        _works(cloud, ident, key)
    shown = {one["id"]: one for one in json.loads(cloud.pileus("stats", "--json"))}
    assert all(shown[ident]["trouble"] == "" for ident in pair)
    table = cloud.pileus("stats")
    assert all(ident in table for ident in pair)
    told = _told(cloud)
    for ident in pair:
        assert told["pileus_instance_running", ident] == 1
        assert told["pileus_instance_cpu_seconds_total", ident] >= shown[ident]["cpu_seconds"]
        assert told["pileus_instance_network_sent_bytes_total", ident] >= SENT
    cloud.ec2.stop_instances(InstanceIds=pair)
    for ident in pair:
        cloud.wait(ident, "stopped")
        last = _use(cloud, ident)
        assert (last["state"], last["cpu_seconds"], last["uptime"], last["memory_bytes"]) == ("stopped", 0, 0, 0)
        assert last["disk_allocated_bytes"] > 0
        assert _told(cloud)["pileus_instance_running", ident] == 0
    cloud.ec2.terminate_instances(InstanceIds=pair)
    for ident in pair:
        cloud.wait(ident, "terminated")
    assert not {ident for _, ident in _told(cloud)} & set(pair), "their series went with them"


@pytest.mark.cost(15)
def test_what_others_wrote_by_its_loop_device_is_not_the_containers(
    cloud: LiveCloud, group: str, key: Path, tmp_path: Path
) -> None:
    """The next one that is free is the one that was used last, and the kernel counts on."""
    file, size = tmp_path / "others", 256 << 20
    with file.open("wb") as made:
        made.truncate(size)
    attached = subprocess.run(["losetup", "--find", "--show", file], check=True, capture_output=True, text=True)
    device = attached.stdout.strip()
    try:
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={device}", "bs=1M", "count=256", "conv=fsync", "status=none"], check=True
        )
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    ident = launch(cloud, CONTAINER, group)
    cloud.ssh(ident, key, "true")
    found = _use(cloud, ident)
    assert 0 <= found["disk_written_bytes"] < size
    assert 0 <= found["disk_read_bytes"] < size
    cloud.ec2.terminate_instances(InstanceIds=[ident])
    cloud.wait(ident, "terminated")


def _use(cloud: LiveCloud, ident: str) -> dict[str, Any]:
    return dict(json.loads(cloud.pileus("stats", ident, "--json")))


def _works(cloud: LiveCloud, ident: str, key: Path) -> None:
    """Have a guest do some work of each sort, and see it in its figures."""
    first = _use(cloud, ident)
    assert (first["state"], first["trouble"]) == ("running", "")
    assert 0 < first["disk_allocated_bytes"] <= first["disk_size_bytes"]
    assert first["uptime"] > 0
    (nic,) = first["nics"]

    def port() -> dict[str, Any]:
        return dict(_use(cloud, ident)["nics"][0])

    cloud.ssh(ident, key, "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
    until("its loop used a processor", lambda: _use(cloud, ident)["cpu_seconds"] > first["cpu_seconds"] + 0.1)
    said = cloud.ssh(ident, key, f"head -c {SENT} /dev/zero | tr '\\0' a")
    assert len(said) == SENT
    until("what it sent is counted", lambda: port()["sent_bytes"] >= nic["sent_bytes"] + SENT)
    received = port()["received_bytes"]
    assert received < nic["received_bytes"] + SENT / 2, "and not as received"
    cloud.ssh(ident, key, "wc -c", said="a" * SENT)
    until("so is what it received", lambda: port()["received_bytes"] >= received + SENT)
    assert port()["received_packets"] > nic["received_packets"]
    cloud.ssh(ident, key, f"head -c {SENT} /dev/urandom >/root/much; sync")
    until("so is what it wrote", lambda: _use(cloud, ident)["disk_written_bytes"] >= first["disk_written_bytes"] + SENT)
    assert _use(cloud, ident)["memory_bytes"] > 0


def _told(cloud: LiveCloud) -> dict[tuple[str, str], float]:
    """What the host tells Prometheus, by a sample's name and the instance's id."""
    lines = [
        json.loads(line) for line in StateDirectory(cloud.state).log("host").read_text().splitlines() if "{" in line
    ]
    port = [line["port"] for line in lines if line["event"] == "metrics"][-1]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {(one.name, one.labels["instance_id"]): one.value for family in families for one in family.samples}


@pytest.mark.cost(30)
def test_the_image_says_which_kind_it_is(cloud: LiveCloud, group: str, key: Path) -> None:
    """A flavor is a size: a client that knows `m1.tiny` alone launches containers with it."""
    ident = launch(cloud, CONTAINER, group, flavor="m1.tiny")
    cloud.ssh(ident, key, "true")
    assert _init(cloud, ident)
    assert cloud.instance(ident)["InstanceType"] == "m1.tiny"
    cloud.ec2.terminate_instances(InstanceIds=[ident])
    cloud.wait(ident, "terminated")


def _memory(cloud: LiveCloud, ident: str) -> list[int]:
    """How many bytes of memory the container may have."""
    return [
        int(path.read_text())
        for name in ("memory.limit_in_bytes", "memory.max")
        for path in under(Path("/sys/fs/cgroup"), name)
        if path.parts[-3:-1] == (cgroups.group(cloud.layout), ident)
    ]


@pytest.mark.cost(20)
def test_a_container_gets_another_size_while_it_runs(cloud: LiveCloud, container: str, key: Path) -> None:
    number = _init(cloud, container)
    cloud.ec2.modify_instance_attribute(InstanceId=container, InstanceType={"Value": "vswap-512m"})
    until("it may have more memory", lambda: _memory(cloud, container) == [512 << 20])
    assert cloud.instance(container)["InstanceType"] == "vswap-512m"
    cloud.ec2.modify_instance_attribute(InstanceId=container, InstanceType={"Value": CONTAINER.flavor})
    until("and less again", lambda: _memory(cloud, container) == [128 << 20])
    assert _init(cloud, container) == number
    cloud.ssh(container, key, "true")


@pytest.mark.cost(20)
def test_a_container_gets_what_its_flavor_says_and_no_more(cloud: LiveCloud, container: str, key: Path) -> None:
    """Memory, processors, processes and disk: what its users and the kernel say of each."""
    _init(cloud, container)
    assert _memory(cloud, container) == [128 << 20]
    said = cloud.ssh(container, key, "fallocate -l 2G /root/much && echo had || echo refused; rm -f /root/much")
    assert said == "refused", "the disk is as large as its volume"
    size = int(cloud.ssh(container, key, "df -k / | tail -n 1 | awk '{print $2}'"))
    assert size <= 1 << 20
    said = cloud.ssh(container, key, "dd if=/dev/zero of=/dev/shm/much bs=16M count=12 2>&1; true")
    # The greatest process is killed, and dd it is with such blocks.
    assert "12+0 records out" not in said, "nor is memory, by whatever way"
    cloud.ssh(container, key, "rm -f /dev/shm/much; true")


def _sees(cloud: LiveCloud, ident: str, key: Path) -> tuple[int, int, int]:
    """What a container takes for its memory (MiB) and its processors: those it may run on, and those it is told of."""
    said = cloud.ssh(
        ident, key, "awk '/^MemTotal/ {print $2}' /proc/meminfo; nproc; grep -c ^processor /proc/cpuinfo; true"
    ).split()
    return (int(said[0]) >> 10, int(said[1]), int(said[2])) if len(said) == 3 else (0, 0, 0)


@pytest.mark.cost(30)
def test_a_container_sees_its_own_figures(cloud: LiveCloud, container: str, key: Path) -> None:
    """Memory and processors are its flavor's, after a resize too; uptime, load and swap its own."""
    until("they are there", lambda: _sees(cloud, container, key) == (128, 1, 1))
    machine = float(Path("/proc/uptime").read_text().split()[0])
    assert float(cloud.ssh(container, key, "cat /proc/uptime").split()[0]) < machine
    mounts = [line.split() for line in cloud.ssh(container, key, "grep lxcfs /proc/mounts").splitlines()]
    assert {line[1] for line in mounts} == {f"/{name}" for name in views.FILES}
    assert all({"ro", "nosuid", "nodev", "noexec"} <= set(line[3].split(",")) for line in mounts)
    assert cloud.ssh(container, key, "cat /sys/devices/system/cpu/online").count(",") == 0
    assert cloud.ssh(container, key, "tail -n +2 /proc/swaps") == ""
    assert len(cloud.ssh(container, key, "cat /proc/loadavg").split()) == 5
    assert cloud.ssh(container, key, "grep -c ^cpu[0-9] /proc/stat") == "1"
    two = min(2, os.cpu_count() or 1)
    cloud.ec2.modify_instance_attribute(InstanceId=container, InstanceType={"Value": "m1.large"})
    until("it sees more", lambda: _sees(cloud, container, key) == (2048, two, two))
    cloud.ec2.modify_instance_attribute(InstanceId=container, InstanceType={"Value": CONTAINER.flavor})
    until("and less again", lambda: _sees(cloud, container, key) == (128, 1, 1))


@pytest.mark.cost(60)
def test_figures_outlive_what_gives_them(cloud: LiveCloud, container: str, key: Path) -> None:
    """lxcfs is killed, and hangs: the container reads its figures again, and nothing else was started again."""
    state, number = StateDirectory(cloud.state), _init(cloud, container)
    until("they are there", lambda: _sees(cloud, container, key) == (128, 1, 1))
    parts, counts = parts_of(state), supervise.restarts(state)
    for what in (signal.SIGKILL, signal.SIGSTOP):
        dead = lxcfs.pid(cloud.layout)
        assert dead is not None
        os.kill(dead, what)
        until("there is another one", lambda dead=dead: lxcfs.pid(cloud.layout) not in (None, dead))  # type: ignore[misc]
        until("figures are there again", lambda: _sees(cloud, container, key) == (128, 1, 1))
    assert _init(cloud, container) == number
    assert {**parts_of(state), lxcfs.NAME: None} == {**parts, lxcfs.NAME: None}
    assert supervise.restarts(state) == {**counts, lxcfs.NAME: counts.get(lxcfs.NAME, 0) + 2}
    # LXC binds what is dead by now; the host gives it what is alive.
    cloud.ssh(container, key, "reboot")
    until("it is another life", lambda: _init(cloud, container) != number)
    until("with its figures", lambda: _sees(cloud, container, key) == (128, 1, 1))


@pytest.mark.cost(60)
def test_without_lxcfs_containers_run_all_the_same(tmp_path: Path) -> None:
    """Where it cannot run they see the machine's figures; `up` and the doctor say so."""
    with tempfile.TemporaryDirectory(prefix="pileus-live-") as folder:
        Path(folder).chmod(0o755)
        state = Path(folder) / "s"
        hidden = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /dev/fuse && exec "$@"', "sh"]
        try:
            up = subprocess.run(
                [*hidden, PILEUS, "up", "--state", str(state)], capture_output=True, text=True, check=False
            )
            assert up.returncode == 0, f"{up.stdout}{up.stderr}"
            assert "lxcfs does not run" in up.stderr
            own = LiveCloud(state)
            own.open_ssh()
            (group,) = own.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
            key = own.key("test", tmp_path)
            ident = launch(own, CONTAINER, str(group["GroupId"]))
            assert own.ssh(ident, key, "grep -c lxcfs /proc/mounts; true") == "0"
            assert _sees(own, ident, key)[0] > 128

            def found() -> bool:
                asked = [PILEUS, "doctor", "--json", "--state", str(state)]
                said = json.loads(subprocess.run(asked, capture_output=True, text=True, check=False).stdout)
                return ("PartDown", "lxcfs") in {(one["code"], one["ident"]) for one in said["findings"]}

            # Not while it is just being started once more, which ends at once.
            until("the doctor says so", found)
        finally:
            down = [PILEUS, "down", "--instances", "--state", str(state)]
            subprocess.run(down, capture_output=True, check=False)


@pytest.mark.cost(30)
def test_projects_share_no_users(cloud: LiveCloud, container: str, tmp_path: Path) -> None:
    """Root of one project's containers is another user of this machine than root of another project's."""
    theirs = json.loads(cloud.pileus("user", "create", "stranger", "--project", "theirs", "--json"))
    ec2 = cloud.client("ec2", theirs)
    asked = ec2.run_instances(
        ImageId=cloud.image(CONTAINER.image), InstanceType=CONTAINER.flavor, MinCount=1, MaxCount=1
    )
    other = str(asked["Instances"][0]["InstanceId"])
    until("the stranger's runs", lambda: other in {spec.ec2_id for spec in containers.running(cloud.layout)})
    users = [Path(f"/proc/{_init(cloud, ident)}").stat().st_uid for ident in (container, other)]
    assert abs(users[0] - users[1]) >= ranges.SIZE
    assert min(users) >= ranges.FIRST
    ec2.terminate_instances(InstanceIds=[other])
    until("the stranger's is gone", lambda: not cloud.left((other,)))


@pytest.mark.cost(30)
@pytest.mark.parametrize("process", ["LXC", "recorder"])
def test_what_its_monitor_takes_along_comes_back(cloud: LiveCloud, container: str, key: Path, process: str) -> None:
    """A container whose monitor is killed is started again, with its disk; no mount or loop device is left of it.

    Its monitor is LXC's process, and the parent of that, which records how it ends.
    """
    cloud.ssh(container, key, "echo kept >/root/kept; sync")
    number = _init(cloud, container)
    parent = int(next(line for line in Path(f"/proc/{number}/status").read_text().splitlines() if "PPid" in line)[5:])
    recorder = monitor(cloud, container).pid()
    assert recorder is not None
    os.kill(parent if process == "LXC" else recorder, signal.SIGKILL)
    until("the old one is gone", lambda: not Path(f"/proc/{number}").exists())
    assert cloud.ssh(container, key, "cat /root/kept") == "kept"
    assert _init(cloud, container) != number
    (spec,) = (spec for spec in containers.running(cloud.layout) if spec.ec2_id == container)
    folder = f"{cloud.layout.containers}/{spec.uuid}/"
    assert len([trace for trace in cloud.traces() if trace.startswith("loop ") and folder in trace]) == 1


@pytest.mark.cost(30)
def test_a_container_that_reboots_itself_is_back_with_its_network(cloud: LiveCloud, container: str, key: Path) -> None:
    """From inside, as its own root does it: no start of the host's, and the same disk and addresses."""
    cloud.ssh(container, key, "echo kept >/root/kept; sync")
    number = _init(cloud, container)
    cloud.ssh(container, key, "(sleep 1; reboot) </dev/null >/dev/null 2>&1 &")
    until("its first process is another one", lambda: monitor(cloud, container).init() not in (None, number))
    assert cloud.ssh(container, key, "cat /root/kept") == "kept"
    assert cloud.instance(container)["State"]["Name"] == "running"


@pytest.mark.cost(30)
def test_a_disk_is_mounted_again_only_after_its_last_life_let_go_of_it(
    cloud: LiveCloud, container: str, key: Path
) -> None:
    """What a container wrote last is written to its disk after it ended: until then the next start waits."""
    (spec,) = (spec for spec in containers.running(cloud.layout) if spec.ec2_id == container)
    cloud.ssh(container, key, "echo kept >/root/kept")
    cloud.ec2.stop_instances(InstanceIds=[container])
    cloud.wait(container, "stopped")
    command = ["losetup", "--find", "--show", f"{cloud.layout.containers}/{spec.uuid}/disk.ext4"]
    device = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        cloud.ec2.start_instances(InstanceIds=[container])
        time.sleep(3.0)
        assert cloud.instance(container)["State"]["Name"] == "pending"
        assert containers.monitor(cloud.layout, spec).init() is None
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert cloud.ssh(container, key, "cat /root/kept") == "kept"
    cloud.wait(container, "running")


@pytest.mark.cost(40)
def test_without_its_host_a_container_goes_on_and_ends(cloud: LiveCloud, container: str, key: Path) -> None:
    """A new host process finds it as it was; one that shut itself down meanwhile did that of its own will."""
    number = _init(cloud, container)
    _kill_host(cloud)
    assert cloud.ssh(container, key, "cat /proc/sys/kernel/random/boot_id")
    assert _init(cloud, container) == number, "nothing happened to it"
    watched = monitor(cloud, container)
    supervisor = processes.owner(StateDirectory(cloud.state).pidfile("supervisor"))
    assert supervisor is not None
    os.kill(supervisor, signal.SIGSTOP)
    try:
        _kill_host(cloud, again=False)
        # As its own root would do it.
        os.kill(number, signal.SIGUSR2)
        until("it went down", lambda: not watched.running())
    finally:
        os.kill(supervisor, signal.SIGCONT)
    cloud.wait(container, "stopped")
    cloud.ec2.start_instances(InstanceIds=[container])
    cloud.wait(container, "running")
    cloud.ssh(container, key, "true")


def _kill_host(cloud: LiveCloud, *, again: bool = True) -> None:
    """Kill the host process; wait for the next one if there is to be one."""
    pidfile = StateDirectory(cloud.state).pidfile("host")
    dead = processes.owner(pidfile)
    assert dead is not None
    os.kill(dead, signal.SIGKILL)
    if again:
        until("the host is back", lambda: processes.owner(pidfile) not in (None, dead))
