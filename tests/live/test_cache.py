"""The image cache under a cloud that uses it: damaged, emptied, too small."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pileus.providers.local.layout import SHARED
from tests.live.cloud import running_in, until
from tests.live.loop import small_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.cloud import LiveCloud

TINY = SHARED / "images" / "tiny.qcow2"


@pytest.fixture(scope="module")
def cloud() -> Iterator[LiveCloud]:
    """A cloud whose cache has room for one tiny image and a half, on a disk of its own."""
    room = TINY.stat().st_size * 3 // 2
    with small_disk((room >> 20) + 8) as disk:
        state, cache = disk.image.parent / "s", disk.path / "cache"
        with running_in(state, image_cache_folder=cache) as found:
            found.open_ssh()
            yield found


@pytest.fixture(scope="module")
def cache(cloud: LiveCloud) -> Path:
    return cloud.state.parent / "d" / "cache"


def launch(cloud: LiveCloud, image: str, **more: Any) -> str:
    found = cloud.ec2.run_instances(ImageId=image, InstanceType="m1.tiny", MinCount=1, MaxCount=1, **more)
    return str(found["Instances"][0]["InstanceId"])


def end(cloud: LiveCloud, ident: str) -> None:
    cloud.ec2.terminate_instances(InstanceIds=[ident])
    cloud.wait(ident, "terminated")


def flip(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.cost(60)
def test_what_happens_to_the_cache_costs_no_instance(cloud: LiveCloud, cache: Path, key: Path) -> None:
    """Damaged between a stop and a start: noticed and brought again. Removed under a guest: it runs on.

    What is removed takes its room until that guest's QEMU ends: on this disk none is left for another copy before.
    """
    digest = hashlib.sha256(TINY.read_bytes()).hexdigest()
    ident = launch(cloud, cloud.image("tiny"), KeyName="test")
    cloud.ssh(ident, key, "echo kept > /root/mine; sync")
    for damage in (flip, cut):
        cloud.ec2.stop_instances(InstanceIds=[ident])
        cloud.wait(ident, "stopped")
        damage(cache / digest)
        cloud.ec2.start_instances(InstanceIds=[ident])
        assert cloud.ssh(ident, key, "cat /root/mine") == "kept"
        assert hashlib.sha256((cache / digest).read_bytes()).hexdigest() == digest
    (cache / digest).unlink()
    assert cloud.ssh(ident, key, "dd if=/dev/vda bs=1M of=/dev/null 2>/dev/null && cat /root/mine") == "kept"
    cloud.ec2.stop_instances(InstanceIds=[ident])
    cloud.wait(ident, "stopped")
    other = launch(cloud, cloud.image("tiny"), KeyName="test")
    cloud.ssh(other, key, "true")
    cloud.ec2.start_instances(InstanceIds=[ident])
    assert cloud.ssh(ident, key, "cat /root/mine") == "kept"
    assert hashlib.sha256((cache / digest).read_bytes()).hexdigest() == digest
    end(cloud, ident)
    end(cloud, other)


@pytest.mark.cost(60)
def test_an_image_for_which_there_is_no_room_waits_until_there_is(
    cloud: LiveCloud, cache: Path, key: Path, tmp_path: Path
) -> None:
    """What a guest leans on stays; what none does goes by itself."""
    second = tmp_path / "second.qcow2"
    shutil.copyfile(TINY, second)
    subprocess.run(["qemu-img", "resize", "-q", str(second), "+1M"], check=True)
    cloud.pileus("image", "add", str(second), "--name", "second", "--login-user", "root")
    one = launch(cloud, cloud.image("tiny"), KeyName="test")
    cloud.ssh(one, key, "true")
    two = launch(cloud, cloud.image("second"), KeyName="test")

    def reason() -> str:
        return str(cloud.instance(two).get("StateReason", {}).get("Message", ""))

    until("it says why", lambda: "HostDiskFull" in (why := reason()) and f"{cache} has room for" in why)
    assert cloud.instance(two)["State"]["Name"] == "pending"
    cloud.ssh(one, key, "true")
    end(cloud, one)
    cloud.ssh(two, key, "true")
    kept = {path.name for path in cache.iterdir() if len(path.name) == 64}
    assert kept == {hashlib.sha256(second.read_bytes()).hexdigest()}
    end(cloud, two)
