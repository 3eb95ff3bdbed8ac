"""What users of the machine, a captured cloud process and a captured QEMU reach of a cloud that runs."""

from __future__ import annotations

import json
import pwd
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pileus.app.state import StateDirectory
from pileus.providers.local.layout import SHARED, Layout
from pileus.providers.local.machine import owner, tap
from tests.live.cloud import under, until
from tests.live.security.probe import Somebody, reached

if TYPE_CHECKING:
    from tests.live.cloud import LiveCloud

pytestmark = [pytest.mark.cost(20)]

NOBODY = Somebody(uid=65534, gid=65534)
MARKER = "the-users-own-secret"
ROOTS = {"/root": "folder", "/etc/shadow": "file", "/proc/1/environ": "file", "/proc/1/mem": "file"}
"""What of this machine is root's."""


def everything(cloud: LiveCloud) -> dict[str, str]:
    """All files, folders and sockets of the cloud and of the image cache, as root sees them."""
    found = {str(cloud.state): "folder"}
    for path in (*under(cloud.state), SHARED / "cache", *(SHARED / "cache").iterdir()):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue  # it had its time, or was another cloud's
        if stat.S_ISDIR(mode):
            found[str(path)] = "folder"
        elif stat.S_ISSOCK(mode):
            found[str(path)] = "socket"
        elif stat.S_ISREG(mode):
            found[str(path)] = "file"
    return found


def there(paths: set[str]) -> set[str]:
    """Those that have not gone since they were found."""
    return {path for path in paths if Path(path).exists()}


def processes(cloud: LiveCloud) -> dict[str, int]:
    """Its processes by name, the instances' QEMUs by id."""
    state, found = StateDirectory(cloud.state), {}
    for path in state.run.glob("*.pid"):
        found[path.stem] = int(path.read_text())
    found["libvirtd"] = int((cloud.layout.libvirt / "libvirtd.pid").read_text())
    for path in (cloud.layout.libvirt / "run" / "qemu").glob("i-*.pid"):
        found[path.stem] = int(path.read_text())
    return found


def status(pid: int) -> dict[str, str]:
    """What the kernel says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.fixture(scope="module")
def guests(cloud: LiveCloud, key: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two running guests, which may be reached from this machine and by each other."""
    ec2 = cloud.ec2
    ssh = ec2.create_security_group(GroupName="ssh", Description="ssh from here")["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=ssh, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="127.0.0.0/8")
    default = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    made = ec2.run_instances(
        ImageId=cloud.image("tiny"),
        InstanceType="m1.tiny",
        MinCount=2,
        MaxCount=2,
        KeyName="test",
        SecurityGroupIds=[ssh, default],
        UserData=f"#!/bin/sh\n# {MARKER}\n",
    )["Instances"]
    one, other = (cloud.wait(each["InstanceId"], "running") for each in made)
    for each in (one, other):
        cloud.ssh(each["InstanceId"], key, "true")
    return one, other


def folder(cloud: LiveCloud, instance: dict[str, Any]) -> Path:
    """Where the host keeps an instance."""
    uuid = json.loads(cloud.pileus("explain", "instance", instance["InstanceId"], "--json"))["uuid"]
    return cloud.layout.instances / str(uuid)


def everybodys(state: StateDirectory) -> set[str]:
    """What every user of the machine may read of a cloud: where it answers, what it was started with, its range."""
    return {str(state.endpoints), str(state.started), str(Layout(state.root).prefix_file)}


def test_a_user_of_the_machine_opens_nothing(cloud: LiveCloud, guests: Any) -> None:
    paths = everything(cloud)
    kinds = {kind: {path for path, its in paths.items() if its == kind} for kind in ("file", "folder", "socket")}
    assert len(kinds["socket"]) >= 8
    by_root = reached(Somebody(), {path: kind for path, kind in paths.items() if kind != "socket"})
    assert not there(kinds["file"] - by_root.read)
    assert not there(kinds["folder"] - by_root.list)
    found = reached(NOBODY, paths, processes(cloud).values())
    state = StateDirectory(cloud.state)
    assert found.read == everybodys(state)
    assert found.list == {str(cloud.state)}
    assert not found.write | found.connect
    assert not found.signal | found.trace
    for path in (state.admin, state.account, state.key, state.cloud / "pileus.db", state.host / "token.secret"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_captured_cloud_process_has_what_is_its_own(cloud: LiveCloud, guests: Any) -> None:
    running = processes(cloud)
    pid = running.pop("cloud")
    seen, account = status(pid), pwd.getpwnam("pileus")
    assert seen["Uid"].split() == [str(account.pw_uid)] * 4
    assert seen["Gid"].split() == [str(account.pw_gid)] * 4
    assert seen["NoNewPrivs"] == "1"
    assert {int(seen[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    groups = tuple(int(group) for group in seen["Groups"].split())
    captured = Somebody(account.pw_uid, account.pw_gid, groups, pid)
    paths = everything(cloud) | ROOTS
    state = StateDirectory(cloud.state)
    found = reached(captured, paths, [*running.values(), 1])
    own = {path for path in paths if Path(path).is_relative_to(state.cloud)}
    files = {path for path in own if paths[path] == "file"}
    # The control: what is its own it reads and writes, and it talks to its host and to the northbound database.
    assert {str(state.key), str(state.cloud / "pileus.db")} <= files & found.read
    assert not there(files - found.read)
    north = Path(cloud.layout.northbound.removeprefix("unix:"))
    assert {str(state.channels), str(north)} <= found.connect
    assert found.read - own == everybodys(state)
    assert not found.write - own
    assert found.connect - own == {str(state.channels), *(str(path) for path in north.parent.glob("*.sock"))}
    assert found.list - own <= {str(cloud.state), str(north.parent)}
    assert not found.signal | found.trace
    # As root it is all there to be seen, from the same place.
    by_root = reached(Somebody(process=pid), ROOTS | {str(state.host / "token.secret"): "file"})
    assert {"/etc/shadow", str(state.host / "token.secret")} <= by_root.read


def test_a_captured_qemu_has_its_own_disk(cloud: LiveCloud, guests: tuple[dict[str, Any], dict[str, Any]]) -> None:
    one, other = guests
    running = processes(cloud)
    pid = running.pop(one["InstanceId"])
    seen = status(pid)
    uid, gid = (int(seen[name].split()[0]) for name in ("Uid", "Gid"))
    home, beside = folder(cloud, one), folder(cloud, other)
    assert (uid, gid) == (owner.user(home.name), owner.group())
    assert {int(seen[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert (seen["NoNewPrivs"], seen["Seccomp"]) == ("1", "2")
    assert status(running[other["InstanceId"]])["Uid"] != seen["Uid"]
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    assert words[words.index("-sandbox") + 1].split(",")[0] == "on"
    assert {"spawn=deny", "elevateprivileges=deny"} <= set(words[words.index("-sandbox") + 1].split(","))
    paths = everything(cloud) | ROOTS
    found = reached(Somebody(uid, gid, (gid,), pid), paths, [*running.values(), 1])
    disk = str(home / "disk.qcow2")
    assert {disk} == {path for path in found.write if Path(path).is_relative_to(cloud.layout.instances)}
    assert not {path for path in found.read | found.connect if Path(path).is_relative_to(beside)}
    base = json.loads(qemu_img(home / "disk.qcow2"))["full-backing-filename"]
    state = StateDirectory(cloud.state)
    assert base in found.read
    assert str(SHARED / "cache") not in found.list
    images = {path for path in paths if Path(path).parent == SHARED / "cache"}
    assert found.read - images == {disk, *everybodys(state)}
    assert found.write == {disk}
    assert not found.connect
    assert found.list == {str(cloud.state)}
    assert not found.signal | found.trace
    by_root = reached(Somebody(process=pid), {str(beside / "disk.qcow2"): "file", "/etc/shadow": "file"})
    assert by_root.read == {str(beside / "disk.qcow2"), "/etc/shadow"}


def test_a_captured_qemu_takes_no_idle_tap(cloud: LiveCloud, guests: tuple[dict[str, Any], dict[str, Any]]) -> None:
    pid = processes(cloud)[guests[0]["InstanceId"]]
    uid, gid = (int(status(pid)[name].split()[0]) for name in ("Uid", "Gid"))
    idle = {"tapidle": "tap", "tapfree": "tap"}
    within = ["nsenter", f"--net=/run/netns/{cloud.layout.netns}"]
    tap.make(cloud.layout.netns, "tapidle", 1442)
    subprocess.run([*within, "ip", "tuntap", "add", "dev", "tapfree", "mode", "tap"], check=True)
    try:
        assert reached(Somebody(), idle, through=within).tap == {"tapidle", "tapfree"}
        # One without an owner is anybody's.
        assert reached(Somebody(uid, gid, (gid,)), idle, through=within).tap == {"tapfree"}
    finally:
        for name in idle:
            tap.remove(cloud.layout.netns, name)


def qemu_img(disk: Path) -> str:
    """What the disk says of itself."""
    command = ["qemu-img", "info", "-U", "--output=json", str(disk)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_nothing_listens_where_guests_packets_are(cloud: LiveCloud, guests: Any) -> None:
    def listening(namespace: str) -> set[str]:
        command = ["nsenter", f"--net=/run/netns/{namespace}", "ss", "-Hlntu"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {line.split()[4] for line in said.splitlines()}

    # Where the switch, QEMU, its screen and its agent are, and where the outside network begins.
    assert listening(cloud.layout.netns) == set()
    networks = [path.name for path in Path("/run/netns").glob(f"{cloud.layout.netns}-*")]
    assert networks
    for network in networks:
        assert {place.rpartition(":")[2] for place in listening(network)} == {"80", "53"}


def test_secrets_are_in_no_log_no_command_line_and_no_environment(cloud: LiveCloud, key: Path, guests: Any) -> None:
    other = json.loads(cloud.pileus("user", "create", "somebody", "--json"))
    with pytest.raises(Exception, match="InvalidInstanceID"):
        cloud.client("ec2", other).get_console_output(InstanceId=guests[0]["InstanceId"])
    wrong = {**other, "secret_key": "x" * 40}
    with pytest.raises(Exception, match="AuthFailure"):
        cloud.client("ec2", wrong).describe_instances()
    private = key.read_text().splitlines()[2]
    secrets = [account[name] for account in (cloud.admin, other) for name in ("secret_key", "password", "token")]
    secrets += [private, MARKER, StateDirectory(cloud.state).key.read_bytes().hex()]
    logs = [path for path in under(cloud.state) if path.is_file() and path.suffix in (".log", ".out")]
    assert {"cloud.log", "host.log", f"{guests[0]['InstanceId']}.log"} <= {path.name for path in logs}
    said = "".join(path.read_text(errors="replace") for path in logs)
    told = "".join(
        Path(f"/proc/{pid}/{what}").read_text(errors="replace")
        for pid in processes(cloud).values()
        for what in ("cmdline", "environ")
    )
    # It would be found: what is no secret is.
    assert guests[0]["InstanceId"] in said
    assert guests[0]["InstanceId"] in told
    assert [secret for secret in secrets if secret in said] == []
    assert [secret for secret in secrets if secret in told] == []


def test_a_guest_finds_its_own_cloud_closed(cloud: LiveCloud, key: Path, guests: Any) -> None:
    port = json.loads((cloud.state / "endpoints.json").read_text())["ec2"].rpartition(":")[2]
    me, beside = guests
    tries = [
        ("169.254.169.254", "80"),
        ("169.254.169.254", port),
        ("198.51.100.1", port),
        (beside["PrivateIpAddress"], "22"),
    ]
    script = "; ".join(
        f"nc -w 5 {address} {number} </dev/null >/dev/null 2>&1 && echo open {address} {number}"
        for address, number in tries
    )
    # The default group admits its own members; and metadata is there. (What begins with 127 is the guest's own.)
    expected = {"open 169.254.169.254 80", f"open {beside['PrivateIpAddress']} 22"}
    opened: set[str] = set()

    def tried() -> bool:
        said = cloud.ssh(me["InstanceId"], key, f"{script}; echo done").splitlines()
        opened.update(said)
        return "done" in said and expected <= opened

    until("what is there answers", tried)
    assert opened - {"done"} == expected
