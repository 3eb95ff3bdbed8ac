"""Every process of a cloud is killed while a guest runs with open ssh sessions: all comes back, and the guest stays."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from pileus.app import processes, supervise
from pileus.app.state import StateDirectory
from pileus.app.up import running as parts_of
from pileus.providers.local.machine import daemon
from tests.live.cloud import PILEUS, until
from tests.live.sessions import routes, talking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.cloud import LiveCloud

CARRIES_LOOPBACK = "host"
"""The process through which connections to the instances' loopback addresses run."""


@pytest.fixture(scope="module")
def guest(cloud: LiveCloud, key: Path) -> Iterator[str]:
    """A tiny guest that admits ssh from this machine and from its own network."""
    ec2 = cloud.ec2
    group = str(ec2.create_security_group(GroupName="kills", Description="ssh")["GroupId"])
    ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0")
    launched = ec2.run_instances(
        ImageId=cloud.image("tiny"),
        InstanceType="m1.tiny",
        MinCount=1,
        MaxCount=1,
        KeyName=key.name,
        SecurityGroupIds=[group],
    )["Instances"]
    ident = str(launched[0]["InstanceId"])
    cloud.wait(ident, "running")
    yield ident
    # A cloud that was killed a moment ago takes no changes until it has compared its database with its hosts.
    cloud.client("ec2", retries=8).terminate_instances(InstanceIds=[ident])
    cloud.wait(ident, "terminated")


@pytest.mark.cost(120)
def test_what_is_killed_comes_back_under_a_running_guest(cloud: LiveCloud, guest: str, key: Path) -> None:
    """In an order that the seed gives; the guest's QEMU and sessions stay, but for sessions the dead one carried."""
    state = StateDirectory(cloud.state)
    cloud.ssh(guest, key, "true")
    opened = {via: talking(words) for via, words in routes(cloud, guest, key).items()}
    before, counts = daemon._processes(cloud.layout), supervise.restarts(state)
    names = sorted(name for name in parts_of(state) if name != "supervisor")
    random.shuffle(names)
    try:
        assert {name: one.say("begin") for name, one in opened.items()} == dict.fromkeys(opened, "begin")
        for name in names:
            dead = cloud.part(name)
            os.kill(dead, signal.SIGKILL)
            until(f"{name} is back", lambda name=name, dead=dead: parts_of(state)[name] not in (None, dead), 30)  # type: ignore[misc]
            if name == CARRIES_LOOPBACK:
                opened.pop("loopback").end()
            assert {via: one.say(name) for via, one in opened.items()} == dict.fromkeys(opened, name)
            cloud.pileus("up")
            cloud.ssh(guest, key, "true", seconds=30)
            assert cloud.instance(guest)["State"]["Name"] == "running"
        assert daemon._processes(cloud.layout) == before
        assert supervise.restarts(state) == {name: counts.get(name, 0) + 1 for name in names}
    finally:
        for one in opened.values():
            one.end()


@pytest.mark.cost(60)
def test_all_at_once_then_the_supervisor_then_up(cloud: LiveCloud, guest: str, key: Path) -> None:
    """Whatever was killed together comes back; a new supervisor takes over what runs."""
    state = StateDirectory(cloud.state)
    before = {name: cloud.part(name) for name in parts_of(state)}
    for name, pid in before.items():
        if name != "supervisor":
            os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        now = parts_of(state)
        return all(pid and (name == "supervisor" or pid != before[name]) for name, pid in now.items())

    until("all is back", back, 60)
    cloud.pileus("up")
    cloud.ssh(guest, key, "true", seconds=60)
    now = parts_of(state)
    os.kill(cloud.part("supervisor"), signal.SIGKILL)
    assert processes.until(lambda: parts_of(state)["supervisor"] is None, 10)
    cloud.pileus("up")
    after = parts_of(state)
    assert after.pop("supervisor") not in (None, now.pop("supervisor"))
    assert after == now
    # A new supervisor has the listening socket of a cloud that it did not start.
    os.kill(cloud.part("cloud"), signal.SIGKILL)
    assert processes.until(lambda: parts_of(state)["cloud"] != after["cloud"], 10)
    assert cloud.instance(guest)["State"]["Name"] == "running"


@pytest.mark.cost(60)
def test_down_leaves_the_guest_and_up_finds_it(cloud: LiveCloud, guest: str, key: Path) -> None:
    """The supervisor goes first, so nothing comes back; the next `up` is whole again."""
    state = StateDirectory(cloud.state)
    guests = daemon.guests(cloud.layout)
    subprocess.run([PILEUS, "down", "--state", str(cloud.state)], check=True, capture_output=True)
    assert {name for name, pid in parts_of(state).items() if pid is None} == {"supervisor", "cloud", "host"}
    assert daemon.guests(cloud.layout) == guests
    cloud.pileus("up")
    assert all(parts_of(state).values())
    cloud.ssh(guest, key, "true", seconds=60)


@pytest.mark.cost(90)
def test_up_starts_again_what_down_ended(cloud: LiveCloud, guest: str, key: Path) -> None:
    """`down --instances` is no shutdown by a guest or a user: machines and containers run again after `up`."""
    container = cloud.ec2.run_instances(
        ImageId=cloud.image("tiny-container"),
        InstanceType="light",
        KeyName=key.name,
        MinCount=1,
        MaxCount=1,
        SecurityGroups=["kills"],
    )["Instances"][0]["InstanceId"]
    begun = {ident: cloud.ssh(ident, key, "touch /run/before; echo begun") for ident in (guest, container)}
    assert set(begun.values()) == {"begun"}
    cloud.pileus("down", "--instances")
    cloud.pileus("up")
    for ident in begun:
        cloud.wait(ident, "running")
        assert cloud.ssh(ident, key, "ls /run/before 2>/dev/null || echo again") == "again"
    # A container that shuts itself down stays down.
    cloud.ssh(container, key, "poweroff")
    stopped = cloud.wait(container, "stopped")
    assert stopped["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    cloud.ec2.terminate_instances(InstanceIds=[container])


@pytest.mark.cost(90)
def test_up_after_a_power_cut_brings_the_guest_back(cloud: LiveCloud, guest: str, key: Path) -> None:
    """As after one: no process of the cloud, its guests included, none of its namespaces, and another boot's id."""
    state, layout = StateDirectory(cloud.state), cloud.layout
    running = {**{name: cloud.part(name) for name in parts_of(state)}, **daemon._processes(layout)}
    assert guest in running
    # The supervisor is the first of them.
    for pid in running.values():
        os.kill(pid, signal.SIGKILL)
    assert processes.until(lambda: not (any(parts_of(state).values()) or daemon.guests(layout)), 20)
    for name in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.split():
        if name.startswith(layout.netns):
            subprocess.run(["ip", "netns", "delete", name], check=True)
    (layout.libvirt / "boot").write_text("another")
    cloud.pileus("up")
    assert all(parts_of(state).values())
    cloud.ssh(guest, key, "true")
    cloud.wait(guest, "running")
