"""The doctor on a real cloud: nothing to find when all is well, every planted leak by its code, and what it mends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import uuid as uuids
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from pileus.model.floatingip import FloatingIp
from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.model.port import Wanted as PortWanted
from pileus.model.volume import Volume
from pileus.providers.local.engine import switch
from pileus.providers.local.machine import tap
from pileus.providers.local.network import floatingip, outside
from pileus.providers.local.network.northbound import Northbound
from pileus.providers.local.network.rows import NorthboundRows, marks
from pileus.rules import recount
from pileus.store import tables
from pileus.store.store import Store
from tests.live.cloud import PILEUS, LiveCloud, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pileus.store.reader import Reader

Found = set[tuple[str, str]]


def doctor(cloud: LiveCloud, *words: str) -> dict[str, Any]:
    """What `pileus doctor` says, with its exit status checked against that."""
    run = subprocess.run(
        [PILEUS, "doctor", "--json", *words, "--state", str(cloud.state)], capture_output=True, text=True, check=False
    )
    assert run.stdout, run.stderr
    said: dict[str, Any] = json.loads(run.stdout)
    assert run.returncode == (1 if said["findings"] else 0), run.stdout + run.stderr
    assert said["well"] is not bool(said["findings"])
    return said


def found(said: dict[str, Any]) -> Found:
    return {(one["code"], one["ident"]) for one in said["findings"]}


def comes_to(cloud: LiveCloud, expected: Found) -> None:
    """Wait for the doctor to find just this: what was stopped, killed or started takes its time to answer."""
    last: list[Found] = []

    def is_it() -> bool:
        last[:] = [found(doctor(cloud))]
        return last[0] == expected

    with contextlib.suppress(AssertionError):
        until("the doctor agrees", is_it)
    assert last[0] == expected


@pytest.fixture
def healthy(cloud: LiveCloud) -> Iterator[LiveCloud]:
    """The cloud, which is well before and after."""
    comes_to(cloud, set())
    yield cloud
    comes_to(cloud, set())


@pytest.fixture(scope="module")
def guests(cloud: LiveCloud) -> list[str]:
    """Two tiny instances that run, with ssh admitted."""
    group = cloud.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    cloud.ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="127.0.0.0/8"
    )
    made = cloud.ec2.run_instances(ImageId=cloud.image("tiny"), InstanceType="m1.tiny", MinCount=2, MaxCount=2)
    idents = [one["InstanceId"] for one in made["Instances"]]
    for ident in idents:
        cloud.wait(ident, "running")
    return idents


@dataclass(frozen=True)
class Ended:
    """An instance that was terminated: its uuid, its port's, and what its domain was."""

    uuid: str
    port: str
    xml: str


@pytest.fixture
def ended(cloud: LiveCloud) -> list[Ended]:
    """Two of them."""
    made = cloud.ec2.run_instances(ImageId=cloud.image("tiny"), InstanceType="m1.tiny", MinCount=2, MaxCount=2)
    idents = [one["InstanceId"] for one in made["Instances"]]
    for ident in idents:
        cloud.wait(ident, "running")
    with reading(cloud) as tx:
        uuids_of = {ident: row.uuid for ident, row in tx.by_ec2(Instance, idents).items()}
        ports = {ident: tx.referring(Port, [uuid])[0].uuid for ident, uuid in uuids_of.items()}
    xml = {ident: virsh(cloud, "dumpxml", "--inactive", ident) for ident in idents}
    cloud.ec2.terminate_instances(InstanceIds=idents)
    for ident in idents:
        cloud.wait(ident, "terminated")
    return [Ended(uuids_of[ident], ports[ident], xml[ident]) for ident in idents]


def released(cloud: LiveCloud) -> str:
    """The uuid of a floating address that was given back."""
    ident = cloud.ec2.allocate_address()["AllocationId"]
    cloud.ec2.release_address(AllocationId=ident)

    def gone() -> str:
        with reading(cloud) as tx:
            row = tx.by_ec2(FloatingIp, [ident])[ident]
            return row.uuid if row.gone is not None else ""

    return str(until("the address to be gone", gone))


@contextlib.contextmanager
def reading(cloud: LiveCloud) -> Iterator[Reader]:
    store = Store(f"sqlite:///{cloud.state}/cloud/pileus.db")
    try:
        with store.read() as tx:
            yield tx
    finally:
        store.close()


def spoil_store(cloud: LiveCloud) -> Found:
    """A claim, usage and a wake of nobody's, as a program with a fault would leave them."""
    with reading(cloud) as tx:
        subnet = tx.list(Port)[0].wanted.subnet
    nobody = Port(uuid=str(uuids.uuid4()), wanted=PortWanted(network="", subnet=subnet))
    store = Store(f"sqlite:///{cloud.state}/cloud/pileus.db")
    try:
        with store.write() as tx:
            tx.claim(f"subnet:{subnet}", "172.31.15.77", nobody)
            tx.count({(f"project:{nobody.uuid}", "instances"): 3})
            tx.wake(nobody)
    finally:
        store.close()
    return {
        ("ClaimLeaked", f"subnet:{subnet} 172.31.15.77"),
        ("UsageWrong", f"project:{nobody.uuid} instances"),
        ("WakeLeaked", nobody.uuid),
    }


def spoil_engine(cloud: LiveCloud, port: str, floating: str) -> tuple[Found, Found]:
    """A port and a translation that are gone, back in OVN, which can be mended; and a port of nobody's, which stays."""
    stranger = uuids.uuid4()
    northbound = Northbound(cloud.layout.northbound)

    def work(database: Any, transaction: Any) -> None:
        rows = NorthboundRows(database, transaction)
        switch_row = rows.get("Logical_Switch", outside._SWITCH)
        gone = {"name": port, "external_ids": marks("port", port, (0, 1))}
        for own, columns in ((uuids.UUID(port), gone), (stranger, {"name": "by-hand"})):
            rows.put("Logical_Switch_Port", own, **columns)
            rows.attach(switch_row, "ports", own)
        rows.put(
            floatingip.TRANSLATION,
            floatingip.translation(floating),
            type="dnat_and_snat",
            external_ip="198.51.100.250",
            logical_ip="172.31.15.77",
            external_ids=marks("floatingip", floating, (0, 1)),
        )
        router = next(iter(database.tables["Logical_Router"].rows.values()))
        rows.attach(router, "nat", floatingip.translation(floating))

    northbound.transact(work)
    northbound.close()
    return {("OvnLeaked", port), ("OvnLeaked", floating)}, {("OvnForeign", str(stranger))}


def remove_stranger(cloud: LiveCloud) -> None:
    northbound = Northbound(cloud.layout.northbound)

    def work(database: Any, transaction: Any) -> None:
        rows = NorthboundRows(database, transaction)
        for row in list(database.tables["Logical_Switch_Port"].rows.values()):
            if row.name == "by-hand":
                rows.delete("Logical_Switch_Port", row.uuid)

    northbound.transact(work)
    northbound.close()


def spoil_machine(cloud: LiveCloud, instance: str, guest: Ended) -> tuple[Found, Found]:
    """Leftovers of what is known to be gone; and a folder of which nothing is known, which stays."""
    layout = cloud.layout
    virsh(cloud, "define", "/dev/stdin", text=guest.xml)
    (layout.instances / instance).mkdir()
    (layout.instances / instance / "disk.qcow2").write_bytes(b"left over")
    (layout.instances / "precious").mkdir()
    tap.make(layout.netns, "tapdeadbeef000", 1442)
    switch.attach(layout, "tap00000000000", "no-such-port")
    subprocess.run(["ip", "netns", "add", layout.network_netns("deadbeef")], check=True)
    leaked = {
        ("DomainLeaked", guest.uuid),
        ("FolderLeaked", instance),
        ("TapLeaked", "tapdeadbeef000"),
        ("PlugLeaked", "tap00000000000"),
        ("NamespaceLeaked", "deadbeef"),
    }
    return leaked, {("FolderUnknown", "precious")}


def define_stranger(cloud: LiveCloud) -> str:
    """A guest that is none of ours, in the cloud's own libvirt; its uuid."""
    own = str(uuids.uuid4())
    xml = f"<domain type='qemu'><name>stranger</name><uuid>{own}</uuid><memory>65536</memory><os><type>hvm</type></os>"
    virsh(cloud, "define", "/dev/stdin", text=f"{xml}</domain>")
    return own


def virsh(cloud: LiveCloud, *words: str, text: str = "") -> str:
    command = ["virsh", "-c", cloud.layout.libvirt_uri, *words]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


@pytest.mark.cost(90)
def test_a_cloud_with_two_guests_is_well_and_says_what_it_runs_on(cloud: LiveCloud, guests: list[str]) -> None:
    said = doctor(cloud)
    assert said["findings"] == []
    assert said["unchecked"] == {}
    assert "processes run" in said["facts"]["cloud"]
    assert said["facts"]["KVM"].startswith(("used", "not used"))
    assert "ovs-vswitchd" in said["facts"]["network engine"]
    assert cloud.pileus("doctor").rstrip().endswith("All is well.")


@pytest.mark.cost(120)
def test_every_planted_leak_is_found_and_only_what_is_known_to_be_gone_is_removed(
    healthy: LiveCloud, guests: list[str], ended: list[Ended]
) -> None:
    cloud, (one_gone, other_gone) = healthy, ended
    store = spoil_store(cloud)
    ovn, foreign = spoil_engine(cloud, one_gone.port, released(cloud))
    machine, unknown = spoil_machine(cloud, one_gone.uuid, other_gone)
    stays = foreign | unknown | {("DomainForeign", define_stranger(cloud))}
    said = doctor(cloud)
    assert found(said) == store | ovn | machine | stays
    for one in said["findings"]:
        assert one["says"]
        assert one["do"]
        assert one["mend"] == ("" if (one["code"], one["ident"]) in stays else "repair")

    said = doctor(cloud, "--repair")
    assert found(said) == stays, "what is not known to be gone stays"
    assert {(one["code"], one["ident"]) for one in said["mended"]} == store | ovn | machine
    assert (cloud.layout.instances / "precious").is_dir()
    assert "stranger" in virsh(cloud, "list", "--all", "--name")
    for ident in guests:
        assert cloud.instance(ident)["State"]["Name"] == "running"

    (cloud.layout.instances / "precious").rmdir()
    remove_stranger(cloud)
    virsh(cloud, "undefine", "stranger")


@pytest.mark.cost(60)
def test_what_is_missing_is_found_too(healthy: LiveCloud, guests: list[str]) -> None:
    cloud = healthy
    with reading(cloud) as tx:
        row = tx.by_ec2(Instance, guests)[guests[0]]
        port = tx.referring(Port, [row.uuid])[0]
    name = cloud.layout.tap(port.uuid)
    switch.detach(cloud.layout, name)
    assert found(doctor(cloud)) == {("PlugMissing", row.uuid)}
    switch.attach(cloud.layout, name, port.uuid)


@pytest.mark.cost(30)
def test_a_state_directory_that_cannot_be_written_is_the_one_finding(healthy: LiveCloud) -> None:
    state = str(healthy.state)
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" doctor --json --state "$1"'
    command = ["unshare", "--mount", "--propagation=private", "sh", "-ec", script, "sh", state, PILEUS]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found(json.loads(run.stdout)) == {("StateReadOnly", state)}, run.stdout + run.stderr


@pytest.mark.cost(60)
def test_a_cloud_that_is_down_is_examined_too(healthy: LiveCloud, guests: list[str]) -> None:
    cloud = healthy
    before = sorted(path.name for path in (cloud.state / "cloud").iterdir())
    cloud.pileus("down")
    try:
        said = doctor(cloud)
        assert said["findings"] == []
        assert said["facts"]["cloud"].startswith("down")
        assert list(said["unchecked"]) == ["loopback listeners"]
        assert "pileus.db" in before
        owners = {path.name: path.stat().st_uid for path in (cloud.state / "cloud").iterdir()}
        assert 0 not in owners.values(), f"root left files that the cloud cannot write: {owners}"
        store = spoil_store(cloud)
        (cloud.state / "cloud" / "pileus.db-shm").unlink(missing_ok=True)
        (cloud.state / "cloud" / "pileus.db-wal").unlink(missing_ok=True)
        assert found(doctor(cloud)) == store
    finally:
        cloud.pileus("up")
    comes_to(cloud, store)
    assert found(doctor(cloud, "--repair")) == set()


@pytest.mark.cost(60)
@pytest.mark.parametrize("name", ["northbound", "switch", "controller"])
def test_a_part_that_hangs_is_named(healthy: LiveCloud, name: str) -> None:
    pid = int((healthy.state / "engine" / "run" / f"{name}.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        said = doctor(healthy)
    finally:
        # If it stood still for a minute, its supervisor has killed it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    assert ("PartSilent", name) in found(said)
    assert ("OVN's rows" in said["unchecked"]) is (name == "northbound")


@pytest.mark.cost(30)
def test_a_part_that_does_not_run_is_named(healthy: LiveCloud) -> None:
    cloud = healthy
    supervisor = int((cloud.state / "run" / "supervisor.pid").read_text())
    subprocess.run(["kill", "-9", str(supervisor)], check=True)
    assert found(doctor(cloud)) == {("PartDown", "supervisor")}
    cloud.pileus("up")


def forget(cloud: LiveCloud, ident: str, *, order: bool) -> tuple[str, str]:
    """Take an instance's rows out of the store of a cloud that is down, without a tombstone; its host's order too.

    The uuids of the instance and of its port.
    """
    store = Store(f"sqlite:///{cloud.state}/cloud/pileus.db")
    try:
        with store.write() as tx:
            row = tx.by_ec2(Instance, [ident])[ident]
            port = tx.referring(Port, [row.uuid])[0]
            for noun in (row, port, *tx.referring(Volume, [row.uuid])):
                tx.make_tombstone(noun)
                table = tables.nouns[noun.KIND]
                tx.sql.execute(table.delete().where(table.c.uuid == noun.uuid))
                tx.unwake(noun.KIND, noun.uuid)
            recount.set_right(tx)
    finally:
        store.close()
    if order:
        (cloud.state / "host" / "orders" / f"{row.uuid}.json").unlink()
    return row.uuid, port.uuid


@pytest.mark.cost(120)
@pytest.mark.parametrize("lost", ["row", "row and order"])
def test_a_guest_that_no_row_names_is_left_alone_until_it_is_adopted(
    healthy: LiveCloud, guests: list[str], key: Path, lost: str
) -> None:
    cloud = healthy
    made = cloud.ec2.run_instances(
        ImageId=cloud.image("tiny"), InstanceType="m1.tiny", MinCount=1, MaxCount=1, KeyName="test"
    )
    ident = made["Instances"][0]["InstanceId"]
    cloud.wait(ident, "running")
    cloud.ssh(ident, key, "echo kept > /tmp/witness")
    cloud.pileus("down")
    uuid, port = forget(cloud, ident, order="order" in lost)
    cloud.pileus("up")
    found_first = {("DomainUnknown" if "order" in lost else "OrderUnknown", uuid), ("OvnUnknown", port)}
    comes_to(cloud, found_first)
    assert found(doctor(cloud, "--repair")) == found_first, "nothing that is unknown is removed"
    with pytest.raises(ClientError, match="InvalidInstanceID"):
        cloud.instance(ident)
    assert ident in virsh(cloud, "list", "--name")

    said = doctor(cloud, "--adopt", ident)
    assert found(said) == set()
    assert [one["ident"] for one in said["mended"]] == [uuid]
    assert cloud.wait(ident, "running")["KeyName"] == "test"
    assert cloud.ssh(ident, key, "cat /tmp/witness") == "kept", "it was never started anew"
    cloud.ec2.terminate_instances(InstanceIds=[ident])
    cloud.wait(ident, "terminated")
    until("nothing is left of it", lambda: not cloud.left((uuid, port, ident)), 30)
