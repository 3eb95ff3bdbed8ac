"""A database that was restored from an old copy, and one that is gone, under running guests: `up` recovers both."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app import processes
from pileus.app.state import StateDirectory
from pileus.providers.local.machine import daemon
from pileus.providers.local.network import NetworkProvider
from pileus.rules import recount
from pileus.store.store import Store
from tests.live.cloud import PILEUS, SSH, LiveCloud, logs, until
from tests.live.sessions import routes, talking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.cost(60)


@pytest.fixture(scope="module")
def group(cloud: LiveCloud) -> str:
    """A group that admits ssh from everywhere, and all from its own members."""
    ident = str(cloud.ec2.create_security_group(GroupName="kept", Description="ssh and peers")["GroupId"])
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "x"}]}
    peers = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": ident}]}
    cloud.ec2.authorize_security_group_ingress(GroupId=ident, IpPermissions=[ssh, peers])
    return ident


def launch(cloud: LiveCloud, key: Path, group: str, *names: str) -> dict[str, str]:
    """Tiny guests by name, running."""
    found = {}
    for name in names:
        launched = cloud.ec2.run_instances(
            ImageId=cloud.image("tiny"),
            InstanceType="m1.tiny",
            MinCount=1,
            MaxCount=1,
            KeyName=key.name,
            SecurityGroupIds=[group],
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}],
        )
        found[name] = str(launched["Instances"][0]["InstanceId"])
    for ident in found.values():
        cloud.wait(ident, "running")
    return found


@contextlib.contextmanager
def without_cloud(cloud: LiveCloud) -> Iterator[Path]:
    """Supervisor and cloud are killed, and `up` follows; the path of the database meanwhile."""
    state = StateDirectory(cloud.state)
    for name in ("supervisor", "cloud"):
        pid = processes.owner(state.pidfile(name))
        assert pid is not None, name
        os.kill(pid, signal.SIGKILL)
        assert processes.until(lambda name=name: processes.owner(state.pidfile(name)) is None, 10)  # type: ignore[misc]
    path = state.cloud / "pileus.db"
    yield path
    for more in ("-wal", "-shm"):
        path.with_name(path.name + more).unlink(missing_ok=True)


def up(cloud: LiveCloud) -> str:
    """What `pileus up` says; the credentials are read anew afterwards."""
    words = [PILEUS, "up", "--state", str(cloud.state)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + logs(cloud.state)
    for kept in ("admin", "ec2"):
        cloud.__dict__.pop(kept, None)
    return done.stderr


def disagreements(cloud: LiveCloud) -> list[str]:
    """Claims and usage that are not what the rows say."""
    store = Store(StateDirectory(cloud.state).database)
    try:
        with store.read() as tx:
            return recount.differences(tx)
    finally:
        store.close()


def shown(cloud: LiveCloud) -> dict[str, Any]:
    """What a user sees of all that is his."""
    ec2 = cloud.ec2
    instances = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    groups = ec2.describe_security_groups()["SecurityGroups"]
    return {
        "instances": {i["InstanceId"]: i for i in instances if i["State"]["Name"] != "terminated"},
        "interfaces": {i["NetworkInterfaceId"]: i for i in ec2.describe_network_interfaces()["NetworkInterfaces"]},
        "volumes": {v["VolumeId"]: v for v in ec2.describe_volumes()["Volumes"]},
        "groups": {g["GroupId"]: g for g in groups},
        "rules": sorted(r["SecurityGroupRuleId"] for r in ec2.describe_security_group_rules()["SecurityGroupRules"]),
        "vpcs": ec2.describe_vpcs()["Vpcs"],
        "subnets": ec2.describe_subnets()["Subnets"],
        "addresses": ec2.describe_addresses()["Addresses"],
        "keys": [k["KeyName"] for k in ec2.describe_key_pairs()["KeyPairs"]],
        "tags": sorted((t["ResourceId"], t["Key"], t["Value"]) for t in ec2.describe_tags()["Tags"]),
    }


def comes_to(cloud: LiveCloud, before: dict[str, Any]) -> None:
    """Wait until a user sees just what he saw before."""
    with contextlib.suppress(AssertionError):
        until("all is as it was", lambda: shown(cloud) == before, 60)
    assert shown(cloud) == before


def test_an_old_copy_is_brought_up_to_its_hosts(cloud: LiveCloud, key: Path, group: str) -> None:
    """After the copy one was launched, one terminated, one stopped: so it stays, and nobody's guest notices."""
    guests = launch(cloud, key, group, "stays", "goes", "stops")
    cloud.ssh(guests["stays"], key, "true")
    copy = cloud.state / "copy.db"
    database = StateDirectory(cloud.state).cloud / "pileus.db"
    with contextlib.closing(sqlite3.connect(database)) as now, contextlib.closing(sqlite3.connect(copy)) as aside:
        now.backup(aside)
    guests |= launch(cloud, key, group, "comes")
    cloud.ec2.stop_instances(InstanceIds=[guests["stops"]], Force=True)
    cloud.ec2.terminate_instances(InstanceIds=[guests["goes"]])
    (peers,) = (
        rule["SecurityGroupRuleId"]
        for rule in cloud.ec2.describe_security_group_rules()["SecurityGroupRules"]
        if rule["GroupId"] == group and not rule["IsEgress"] and rule["IpProtocol"] == "-1"
    )
    until("the rule is in the engine", lambda: recalled(cloud, group, peers))
    cloud.ec2.revoke_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}]
    )
    cloud.wait(guests["stops"], "stopped")
    cloud.wait(guests["goes"], "terminated")
    # What a database loses, and nobody else was told of, is lost.
    until("the rule is gone from the engine", lambda: not recalled(cloud, group, peers))
    session = talking(routes(cloud, guests["stays"], key)["loopback"])
    try:
        assert session.say("before") == "before"
        boot = session.ask("cat /proc/sys/kernel/random/boot_id")
        before, running = shown(cloud), daemon._processes(cloud.layout)
        with without_cloud(cloud) as database:
            shutil.copyfile(copy, database)
            os.chown(database, pwd.getpwnam("pileus").pw_uid, -1)
        assert "older than what this cloud's hosts hold" in up(cloud)
        assert session.ask("cat /proc/sys/kernel/random/boot_id") == boot
        states = {name: cloud.wait(ident, state)["State"]["Name"] for name, ident, state in (
            ("stays", guests["stays"], "running"),
            ("comes", guests["comes"], "running"),
            ("stops", guests["stops"], "stopped"),
            ("goes", guests["goes"], "terminated"),
        )}  # fmt: skip
        assert set(states) == set(guests)
        # Instances are as they were; what goes with them is told by the same reports, but not in the same step.
        comes_to(cloud, before)
        assert daemon._processes(cloud.layout) == running
        assert session.say("after") == "after"
    finally:
        session.end()
    until("nothing is left of what went", lambda: not cloud.left((guests["goes"],)), 30)
    assert disagreements(cloud) == []
    cloud.ssh(guests["comes"], key, "true")


def test_a_database_that_is_gone_is_made_again(cloud: LiveCloud, key: Path, group: str) -> None:
    """Ids, names, tags, groups with their rules, addresses, also the floating one, are those that were."""
    (guest,) = launch(cloud, key, group, "kept").values()
    cloud.ssh(guest, key, "true")
    loopback = cloud.instance(guest)["PublicIpAddress"]
    floating = cloud.ec2.allocate_address(Domain="vpc")
    cloud.ec2.associate_address(AllocationId=floating["AllocationId"], InstanceId=guest)
    cloud.ec2.create_tags(Resources=[group, guest], Tags=[{"Key": "colour", "Value": "blue"}])
    session = talking(routes(cloud, guest, key)["switch"])
    try:
        assert session.say("before") == "before"
        before, running = shown(cloud), daemon._processes(cloud.layout)
        secret = cloud.admin["secret_key"]
        # What was told to nobody else yet would be lost.
        until("the group's tag is in the engine", lambda: recalled(cloud, group, "colour"), 60)
        (nic,) = cloud.instance(guest)["NetworkInterfaces"]
        port = nic["NetworkInterfaceId"].partition("-")[2][:8]
        until("and the address's holder", lambda: recalled(cloud, floating["AllocationId"], port))
        until("the guest's tag is at its host", lambda: ordered(cloud, guest, "colour"))
        with without_cloud(cloud) as database:
            database.unlink()
        said = up(cloud)
        assert "credentials were lost" in said
        assert cloud.admin["secret_key"] != secret
        cloud.wait(guest, "running")
        comes_to(cloud, before)
        assert daemon._processes(cloud.layout) == running
        assert session.say("after") == "after"
    finally:
        session.end()
    assert disagreements(cloud) == []
    for way, address in ((), loopback), (("ip", "netns", "exec", cloud.layout.netns), floating["PublicIp"]):
        words = [*way, *SSH, "-i", str(key), f"root@{address}", "echo alive"]
        until(f"ssh to {address}", lambda words=words: answers(words), 60)  # type: ignore[misc]
    (again,) = launch(cloud, key, group, "another").values()
    cloud.ssh(again, key, "true")
    cloud.ec2.terminate_instances(InstanceIds=[guest])
    cloud.wait(guest, "terminated")
    until("nothing is left of it", lambda: not cloud.left((guest,)), 30)


def answers(words: list[str]) -> bool:
    """Whether the guest does what it is told."""
    try:
        return "alive" in subprocess.run(words, capture_output=True, text=True, check=False, timeout=30).stdout
    except subprocess.TimeoutExpired:
        return False


def recalled(cloud: LiveCloud, ident: str, word: str) -> bool:
    """Whether the engine's record of a noun with this EC2 id has this word."""
    provider = NetworkProvider(cloud.layout.northbound)
    try:
        return any(
            word in told.record and told.uuid.startswith(ident.partition("-")[2][:8]) for told in provider.recall()
        )
    finally:
        provider.close()


def ordered(cloud: LiveCloud, ident: str, word: str) -> bool:
    """Whether the host holds an order for an instance that has this word."""
    (path,) = (cloud.state / "host" / "orders").glob(f"{ident[2:10]}-*.json")
    return word in path.read_text()
