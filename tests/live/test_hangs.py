"""What hangs is seen and said, holds up nobody who does not need it, and is started again after a minute."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from pileus.app.probe import PERIOD
from pileus.app.state import StateDirectory
from pileus.app.up import running as parts_of
from tests.live.cloud import PILEUS, until
from tests.live.sessions import routes, talking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.cloud import LiveCloud

SAID_BY_INSTANCE = {
    "libvirtd": "HypervisorUnavailable",
    "switch-db": "NetworkEngineUnavailable",
    "northbound": "NetworkEngineUnavailable",
    "host": "which was last heard of",
}
"""What `pileus explain` says that a launch waits for, while the process hangs that is needed for it."""

PARTS = ("libvirtd", "switch-db", "northbound", "southbound", "northd", "switch", "controller", "host", "cloud")


@pytest.fixture(scope="module")
def guest(cloud: LiveCloud, key: Path) -> Iterator[str]:
    """A tiny guest that admits ssh."""
    ec2 = cloud.ec2
    group = str(ec2.create_security_group(GroupName="hangs", Description="ssh")["GroupId"])
    ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0")
    ident = launch(cloud, key, group)
    cloud.wait(ident, "running")
    cloud.ssh(ident, key, "true")
    yield ident
    ec2.terminate_instances(InstanceIds=[ident])
    cloud.wait(ident, "terminated")


def launch(cloud: LiveCloud, key: Path, group: str) -> str:
    """Ask for a tiny guest."""
    asked = cloud.ec2.run_instances(
        ImageId=cloud.image("tiny"),
        InstanceType="m1.tiny",
        MinCount=1,
        MaxCount=1,
        KeyName=key.name,
        SecurityGroupIds=[group],
    )
    return str(asked["Instances"][0]["InstanceId"])


@contextlib.contextmanager
def hanging(cloud: LiveCloud, name: str) -> Iterator[int]:
    """One process stands still."""
    pid = cloud.part(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def status(cloud: LiveCloud) -> subprocess.CompletedProcess[str]:
    """What `pileus status` says."""
    command = [PILEUS, "status", "--state", str(cloud.state)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def await_said(cloud: LiveCloud, name: str, fresh: str) -> None:
    """Wait until `status` says that a part is silent, and the launch `fresh` what it waits for, if it waits for that.

    Both are asked for in turn: after a minute the part is started again, and neither says it any more.
    """
    heard: list[subprocess.CompletedProcess[str]] = []
    explained = name not in SAID_BY_INSTANCE

    def said() -> bool:
        nonlocal explained
        explained = explained or SAID_BY_INSTANCE[name] in cloud.pileus("explain", "instance", fresh)
        if not heard and name in (answer := status(cloud)).stderr:
            heard.append(answer)
        return explained and bool(heard)

    until(f"{name} is said to be silent, by the launch too", said)
    assert heard[0].returncode == 1
    line = next(line for line in heard[0].stdout.splitlines() if line.startswith(f"{name} "))
    assert "has not answered for" in line


@pytest.mark.cost(30)
@pytest.mark.parametrize("name", PARTS)
def test_a_hung_part_is_said_and_holds_up_nobody_else(cloud: LiveCloud, guest: str, key: Path, name: str) -> None:
    """`status` names it, a launch says what it waits for, all else is answered; it goes on when the part does."""
    until("all answer", lambda: status(cloud).returncode == 0, 60)
    (group,) = (held["GroupId"] for held in cloud.instance(guest)["SecurityGroups"])
    ways = routes(cloud, guest, key)
    # What the part itself carries stands still with it; a hung switch carries nothing.
    quiet = {"host": {"loopback"}, "switch": {"loopback", "switch"}}.get(name, set())
    shells = {via: talking(words) for via, words in ways.items() if via not in quiet}
    fresh = ""
    try:
        assert all(shell.say("before") == "before" for shell in shells.values())
        with hanging(cloud, name):
            if name != "cloud":
                fresh = launch(cloud, key, group)
            await_said(cloud, name, fresh)
            assert all(shell.say("during") == "during" for shell in shells.values())
            if name != "cloud":
                assert cloud.instance(guest)["State"]["Name"] == "running"
        until("all answer", lambda: status(cloud).returncode == 0, 60)
        fresh = fresh or launch(cloud, key, group)
        cloud.wait(fresh, "running")
        cloud.ssh(fresh, key, "true")
        assert all(shell.say("after") == "after" for shell in shells.values())
    finally:
        for shell in shells.values():
            shell.end()
        if fresh:
            cloud.ec2.terminate_instances(InstanceIds=[fresh])
            cloud.wait(fresh, "terminated")


@pytest.mark.cost(90)
def test_what_goes_on_hanging_is_started_again(cloud: LiveCloud, guest: str, key: Path) -> None:
    """All at once, as bad as it gets; a session that only the switch carries outlives it."""
    state = StateDirectory(cloud.state)
    until("all answer", lambda: status(cloud).returncode == 0, 60)
    # Whoever has not been asked yet is not judged: he may be long in starting.
    time.sleep(2 * PERIOD)
    session = talking(routes(cloud, guest, key)["switch"])
    before = {name: cloud.part(name) for name in PARTS}
    try:
        assert session.say("before") == "before"
        for name in PARTS:
            os.kill(before[name], signal.SIGSTOP)
        until(
            "each has another process",
            lambda: all(parts_of(state)[name] not in (None, before[name]) for name in PARTS),
            120,
        )
        cloud.pileus("up")
        assert session.say("after") == "after"
        cloud.ssh(guest, key, "true")
        assert cloud.instance(guest)["State"]["Name"] == "running"
        assert "unanswered: killed" in (state.log("supervisor")).read_text()
    finally:
        session.end()
        for name in PARTS:
            with contextlib.suppress(ProcessLookupError):
                os.kill(before[name], signal.SIGCONT)
