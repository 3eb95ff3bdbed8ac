"""Images made of instances: what is in one, what the source notices of it, and what is left when things die."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError

from pileus.app import processes
from pileus.app.state import StateDirectory
from pileus.providers.local.container.monitor import Monitor
from pileus.providers.local.machine import daemon
from tests.live.cloud import KINDS, Kind, running_in, second, until
from tests.live.loop import small_disk
from tests.live.sessions import counting, routes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.live.cloud import LiveCloud

MACHINE, CONTAINER = KINDS
CHANGES = """set -e
echo kept >/root/file; chmod 4755 /root/file; ln /root/file /root/other; ln -s /etc/shadow /root/link
mkfifo /root/pipe; touch "/root/two
lines"; truncate -s 8M /root/holes; rm /etc/shells; sync"""
"""What a user does to an instance before making an image of it."""

SEEN = """cat /root/file; stat -c '%a %h %u %s' /root/file; readlink /root/link; stat -c '%F' /root/pipe
stat -c '%s %b' /root/holes; ls /root | wc -l; ls /etc/shells 2>/dev/null || echo gone"""
KEY = "dropbearkey -y -f /etc/dropbear/dropbear_ed25519_host_key | grep ^ssh-"


@pytest.fixture(scope="module", autouse=True)
def _ssh(cloud: LiveCloud) -> None:
    cloud.open_ssh()


def launch(cloud: LiveCloud, kind: Kind, image: str, user_data: str = "") -> str:
    """Ask for an instance of it; its id."""
    asked = cloud.ec2.run_instances(
        ImageId=image, InstanceType=kind.flavor, MinCount=1, MaxCount=1, KeyName="test", UserData=user_data
    )
    return str(asked["Instances"][0]["InstanceId"])


def end(cloud: LiveCloud, *idents: str) -> None:
    """Terminate them."""
    cloud.ec2.terminate_instances(InstanceIds=list(idents))
    for ident in idents:
        cloud.wait(ident, "terminated")


def ask(cloud: LiveCloud, ident: str, name: str, *, reboot: bool = False) -> str:
    """Ask for an image of the instance; its id."""
    return str(cloud.client("ec2", retries=4).create_image(InstanceId=ident, Name=name, NoReboot=not reboot)["ImageId"])


def shown(cloud: LiveCloud, image: str) -> dict[str, Any]:
    """What DescribeImages says of it."""
    found: dict[str, Any] = cloud.client("ec2", retries=4).describe_images(ImageIds=[image])["Images"][0]
    return found


def available(cloud: LiveCloud, image: str) -> dict[str, Any]:
    """Wait until it is there, and its host has nothing of it any more."""
    until(f"{image} available; {shown(cloud, image)}", lambda: shown(cloud, image)["State"] == "available")
    until("the capture is gone from its host", lambda: not captures(cloud))
    return shown(cloud, image)


def captures(cloud: LiveCloud) -> list[str]:
    """What lies where hosts keep captures, and what is left of them beside instances' disks."""
    beside = [*second(cloud.layout.instances), *second(cloud.layout.containers)]
    left = [path for path in beside if path.name == "still" or path.name.startswith("capture")]
    return [str(path) for path in (*second(cloud.layout.captures), *left)]


@pytest.fixture(params=KINDS, ids=str, scope="module")
def kind(request: pytest.FixtureRequest) -> Kind:
    """Machines, then containers."""
    found: Kind = request.param
    return found


@pytest.fixture(scope="module")
def source(cloud: LiveCloud, kind: Kind, key: Path) -> Iterator[str]:
    """An instance that somebody has worked in."""
    ident = launch(cloud, kind, cloud.image(kind.image))
    cloud.ssh(ident, key, CHANGES)
    yield ident
    end(cloud, ident)


@pytest.mark.cost(60)
def test_an_image_is_what_the_instance_was_and_its_instances_are_others(
    cloud: LiveCloud, kind: Kind, source: str, key: Path
) -> None:
    """The source loses no session; who is launched from the image has name, keys and user data of its own."""
    session = counting(routes(cloud, source, key)["switch"])
    try:
        until("the source counts", lambda: len(session.heard) > 5)
        image = ask(cloud, source, f"golden {kind}")
        available(cloud, image)
        counted = len(session.heard)
        until("the source counts on", lambda: len(session.heard) > counted + 5)
        heard = [int(line) for _, line in list(session.heard)]
    finally:
        session.end()
        until("the session has ended", lambda: not session.open)
    assert heard == list(range(len(heard)))

    marker = "#!/bin/sh\necho told >/root/told\n"
    other = launch(cloud, kind, image, marker)
    known = {ident: cloud.ssh(ident, key, SEEN).splitlines() for ident in (source, other)}
    *told, files, shells = known[other]
    until("its user data ran", lambda: cloud.ssh(other, key, "cat /root/told 2>/dev/null") == "told")
    assert told[:4] == ["kept", "4755 2 0 5", "/etc/shadow", "fifo"]
    assert [int(number) for number in told[4].split()] == [8 << 20, 0]
    assert int(files) - int(known[source][-2]) in (0, 1), "the file of its user data, if it was quick"
    assert shells == "gone"
    name = cloud.instance(other)["PrivateDnsName"].partition(".")[0]
    assert cloud.ssh(other, key, "hostname; cat /var/lib/tiny/instance-id").split() == [name, other]
    assert cloud.ssh(other, key, KEY) != cloud.ssh(source, key, KEY)
    end(cloud, other)
    cloud.ec2.deregister_image(ImageId=image)


@pytest.mark.cost(60)
def test_with_a_reboot_what_the_guest_had_in_memory_is_in_the_image(
    cloud: LiveCloud, kind: Kind, source: str, key: Path
) -> None:
    """It is shut down for it, and runs again by itself."""
    began = cloud.ssh(source, key, "echo late >/root/late; cat /proc/sys/kernel/random/uuid >/run/life; cat /run/life")
    image = ask(cloud, source, f"rebooted {kind}", reboot=True)
    available(cloud, image)
    until("another life", lambda: cloud.ssh(source, key, "cat /run/life 2>/dev/null || echo none") != began)
    cloud.wait(source, "running")
    other = launch(cloud, kind, image)
    assert cloud.ssh(other, key, "cat /root/late") == "late"
    end(cloud, other)
    cloud.ec2.deregister_image(ImageId=image)


def _guest(cloud: LiveCloud, kind: Kind, ident: str) -> int | None:
    """The process that is an instance; None where it does not run."""
    if kind is MACHINE:
        with contextlib.suppress(FileNotFoundError):
            return int((cloud.layout.libvirt / "run" / "qemu" / f"{ident}.pid").read_text())
        return None
    (folder,) = cloud.layout.containers.glob(f"{ident[2:10]}-*")
    return Monitor(folder, folder.name).pid()


def _killed(pid: int | None) -> bool:
    """Kill a process; False where there is none, or none any more: the guest may be down for its capture."""
    with contextlib.suppress(ProcessLookupError):
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            return True
    return False


@pytest.mark.cost(60)
@pytest.mark.parametrize("process", ["host", "libvirtd", "guest"])
def test_with_a_reboot_the_guest_comes_back_whatever_is_killed_once_the_moment_is_there(
    cloud: LiveCloud, kind: Kind, source: str, key: Path, process: str
) -> None:
    """The image is of the shutdown, or, where the guest itself was killed, perhaps none; nobody stays down."""
    word = f"late {process}"
    cloud.ssh(source, key, f"echo {word} >/root/late; touch /run/before")
    image = ask(cloud, source, f"{process} dies after a {kind}", reboot=True)
    moments = cloud.layout.captures.glob

    def fixed() -> bool:
        return bool(list(moments("*/moment.json"))) or shown(cloud, image)["State"] != "pending"

    until("the moment is there", fixed)
    find: dict[str, Callable[[], int | None]] = {
        "host": lambda: processes.owner(StateDirectory(cloud.state).pidfile("host")),
        "libvirtd": lambda: daemon.pid(cloud.layout),
        "guest": lambda: _guest(cloud, kind, source),
    }
    until(f"{process} is killed", lambda: _killed(find[process]()))
    until("it is over", lambda: shown(cloud, image)["State"] != "pending")
    until("nothing is left of it on the host", lambda: not captures(cloud))
    assert shown(cloud, image)["State"] == "available" or process == "guest"
    until("it is another life", lambda: cloud.ssh(source, key, "ls /run/before 2>/dev/null || echo none") == "none")
    assert cloud.ssh(source, key, "cat /root/late") == word
    if shown(cloud, image)["State"] == "available":
        other = launch(cloud, kind, image)
        assert cloud.ssh(other, key, "cat /root/late") == word
        end(cloud, other)
    cloud.ec2.deregister_image(ImageId=image)


DEBIAN = {
    "file": "cat /root/file",
    "instance id": "cat /var/lib/cloud/data/instance-id",
    "host name": "hostname",
    "machine id": "cat /etc/machine-id",
    "host key": "cat /etc/ssh/ssh_host_ed25519_key.pub",
    "keys": "cut -d' ' -f1-2 /home/admin/.ssh/authorized_keys | tail -n 1",
    "user data": "cat /root/told 2>/dev/null || echo nothing",
}
"""What a guest of debian-12 is asked."""


@pytest.mark.cost(200)
def test_a_debian_machine_that_was_captured_is_another_when_it_is_launched(
    cloud: LiveCloud, key: Path, tmp_path: Path
) -> None:
    """cloud-init takes the new machine for what it is: name, keys and user data are its own, the files are the old."""
    kind, words = Kind("machine", "debian-12", "m1.small"), f"sudo -n sh -c {shlex.quote('; '.join(DEBIAN.values()))}"

    def said(ident: str, key: Path) -> dict[str, str]:
        """Nothing while cloud-init makes what is asked for."""
        lines = cloud.ssh(ident, key, words, user="admin", seconds=300).splitlines()
        return dict(zip(DEBIAN, lines, strict=True)) if len(lines) == len(DEBIAN) else {}

    ident = launch(cloud, kind, cloud.image(kind.image))
    cloud.ssh(ident, key, "sudo -n sh -c 'echo kept >/root/file'", user="admin", seconds=300)
    before = until("it is all there", lambda: said(ident, key), 300)
    image = ask(cloud, ident, "golden debian", reboot=True)
    available(cloud, image)
    mine = cloud.key("second", tmp_path)
    made = cloud.ec2.run_instances(
        ImageId=image, InstanceType=kind.flavor, MinCount=1, MaxCount=1, KeyName="second",
        UserData="#!/bin/sh\necho told >/root/told\n",
    )  # fmt: skip
    other = str(made["Instances"][0]["InstanceId"])
    until("its user data ran", lambda: said(other, mine).get("user data") == "told", 300)
    after = said(other, mine)
    assert (before["file"], after["file"]) == ("kept", "kept")
    assert (before["instance id"], after["instance id"]) == (ident, other)
    assert after["host name"] == cloud.instance(other)["PrivateDnsName"].partition(".")[0]
    for what in ("machine id", "host key", "keys", "host name"):
        assert before[what] != after[what], what
    assert until("the source is back", lambda: said(ident, key), 300) == before
    end(cloud, ident, other)
    cloud.ec2.deregister_image(ImageId=image)


@pytest.mark.cost(40)
def test_of_a_stopped_instance_that_is_started_meanwhile(cloud: LiveCloud, kind: Kind, key: Path) -> None:
    """The image is of what it was when it was asked for, or later; the start does not wait for it."""
    ident = launch(cloud, kind, cloud.image(kind.image))
    cloud.ssh(ident, key, "echo mine >/root/mine; sync")
    cloud.ec2.stop_instances(InstanceIds=[ident])
    cloud.wait(ident, "stopped")
    image = ask(cloud, ident, f"still {kind}")
    cloud.ec2.start_instances(InstanceIds=[ident])
    cloud.wait(ident, "running")
    available(cloud, image)
    assert cloud.ssh(ident, key, "cat /root/mine") == "mine"
    other = launch(cloud, kind, image)
    assert cloud.ssh(other, key, "cat /root/mine") == "mine"
    end(cloud, ident, other)
    cloud.ec2.deregister_image(ImageId=image)


def _under_way(cloud: LiveCloud, image: str) -> None:
    """Wait until its host has begun, or is through with it."""
    until("the host has begun", lambda: captures(cloud) or shown(cloud, image)["State"] != "pending")


@pytest.mark.cost(60)
@pytest.mark.parametrize("process", ["host", "cloud", "libvirtd"])
def test_whatever_is_killed_it_ends_in_one_image(
    cloud: LiveCloud, kind: Kind, source: str, key: Path, process: str
) -> None:
    """The source runs on, and the image is there in the end, once, with nothing left beside it."""
    life = cloud.ssh(source, key, "[ -e /run/life ] || cat /proc/sys/kernel/random/uuid >/run/life; cat /run/life")
    name = f"{process} dies under a {kind}"
    image = ask(cloud, source, name)
    _under_way(cloud, image)
    # Waited for: an earlier test may have killed it, and ended without it.
    os.kill(cloud.part(process), signal.SIGKILL)
    client = cloud.client("ec2", retries=8)

    def there() -> bool:
        # Until the cloud is back.
        with contextlib.suppress(BotoCoreError):
            return bool(client.describe_images(ImageIds=[image])["Images"][0]["State"] == "available")
        return False

    until(f"{image} is available", there)
    assert len(client.describe_images(Filters=[{"Name": "name", "Values": [name]}])["Images"]) == 1
    until("nothing is left of it on the host", lambda: not captures(cloud))
    assert cloud.ssh(source, key, "cat /run/life") == life
    client.deregister_image(ImageId=image)


@pytest.mark.cost(30)
def test_one_that_is_deregistered_while_it_is_made_leaves_nothing(
    cloud: LiveCloud, kind: Kind, source: str, key: Path
) -> None:
    """No file, no mount, no job in the hypervisor; and the next one is made as ever."""
    image = ask(cloud, source, f"unwanted {kind}")
    _under_way(cloud, image)
    cloud.ec2.deregister_image(ImageId=image)
    until("nothing is left", lambda: not captures(cloud) and not cloud.left((str(cloud.layout.captures),)))
    following = ask(cloud, source, f"wanted {kind}")
    available(cloud, following)
    cloud.ec2.deregister_image(ImageId=following)
    cloud.ssh(source, key, "true")


@pytest.mark.cost(30)
def test_an_instance_that_is_terminated_meanwhile(cloud: LiveCloud, kind: Kind, key: Path) -> None:
    """What was asked for before is made first; then nothing is left of the instance, nor on its host of the image."""
    ident = launch(cloud, kind, cloud.image(kind.image))
    cloud.ssh(ident, key, "true")
    image = ask(cloud, ident, f"of a gone {kind}")
    end(cloud, ident)
    available(cloud, image)
    cloud.ec2.deregister_image(ImageId=image)
    until("nothing is left", lambda: not cloud.left((ident[2:],)))


@pytest.mark.cost(60)
def test_a_disk_without_room_is_said_and_the_image_comes_once_there_is(tmp_path: Path) -> None:
    """The instances do not notice, and nothing half made takes what room there is."""
    with small_disk(5000) as disk, running_in(disk.path / "s") as cloud:
        key = cloud.key("test", tmp_path)
        cloud.open_ssh()
        idents = [launch(cloud, kind, cloud.image(kind.image)) for kind in KINDS]
        lives = [
            cloud.ssh(ident, key, "cat /proc/sys/kernel/random/uuid >/run/life; cat /run/life") for ident in idents
        ]
        with (disk.path / "ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, shutil.disk_usage(disk.path).free - (40 << 20))
        images = [ask(cloud, ident, f"roomless {kind}") for ident, kind in zip(idents, KINDS, strict=True)]

        def told() -> bool:
            return all("HostDiskFull" in str(shown(cloud, image).get("StateReason")) for image in images)

        until("it is said of each", told)
        assert [shown(cloud, image)["State"] for image in images] == ["pending"] * len(images)
        until("nothing is half made", lambda: all(path.endswith("order.json") for path in captures(cloud)))
        disk.empty()
        for image in images:
            available(cloud, image)
        assert [cloud.ssh(ident, key, "cat /run/life") for ident in idents] == lives
        end(cloud, *idents)
