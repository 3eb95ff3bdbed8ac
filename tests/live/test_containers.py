"""Containers beside machines: one network, one cloud; and what holds for a container alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.app import processes
from pileus.app.state import State
from pileus.providers.local.container import guests as containers
from pileus.providers.local.container import ranges
from pileus.providers.local.machine import cgroups
from tests.live.cloud import KINDS, under, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.providers.local.container.monitor import Monitor
    from tests.live.cloud import Kind, LiveCloud

MACHINE, CONTAINER = KINDS


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
def test_what_its_monitor_takes_along_comes_back(cloud: LiveCloud, container: str, key: Path) -> None:
    """A container whose monitor is killed is started again, with its disk; no mount or loop device is left of it."""
    cloud.ssh(container, key, "echo kept >/root/kept; sync")
    number = _init(cloud, container)
    parent = int(next(line for line in Path(f"/proc/{number}/status").read_text().splitlines() if "PPid" in line)[5:])
    os.kill(parent, signal.SIGKILL)
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
    supervisor = processes.owner(State(cloud.state).pidfile("supervisor"))
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
    pidfile = State(cloud.state).pidfile("host")
    dead = processes.owner(pidfile)
    assert dead is not None
    os.kill(dead, signal.SIGKILL)
    if again:
        until("the host is back", lambda: processes.owner(pidfile) not in (None, dead))
