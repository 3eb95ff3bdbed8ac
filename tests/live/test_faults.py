"""What a user sees when something is wrong with what an instance is made from."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.live.cloud import PILEUS, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.cloud import LiveCloud


@pytest.mark.cost(20)
def test_an_image_that_rotted_ends_the_launch_and_leaves_nothing(cloud: LiveCloud, tmp_path: Path) -> None:
    """As on EC2 the instance ends by itself, says why, and holds no claim, port, disk or quota."""
    raw, disk = tmp_path / "noise.raw", tmp_path / "noise.qcow2"
    raw.write_bytes(os.urandom(4 << 20))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(disk)], check=True)
    digest = hashlib.sha256(disk.read_bytes()).hexdigest()
    cloud.pileus("image", "add", str(disk), "--name", "noise")
    (stored,) = [path for path in (cloud.state / "cloud" / "objects").rglob("*") if digest[2:] in path.name]
    rotten = bytearray(stored.read_bytes())
    rotten[len(rotten) // 2] ^= 1
    stored.chmod(0o600)
    stored.write_bytes(rotten)

    launched = cloud.ec2.run_instances(ImageId=cloud.image("noise"), InstanceType="m1.tiny", MinCount=1, MaxCount=1)
    ident = launched["Instances"][0]["InstanceId"]
    port = launched["Instances"][0]["NetworkInterfaces"][0]
    found = cloud.wait(ident, "terminated")
    assert found["StateReason"]["Code"] == "Server.InternalError"
    assert "ImageCorrupt" in found["StateReason"]["Message"]
    names = (ident[2:], port["NetworkInterfaceId"][4:12], port["MacAddress"])
    until("nothing is left", lambda: not cloud.left(names))


@pytest.mark.cost(5)
def test_a_file_that_is_no_disk_is_no_image(cloud: LiveCloud, tmp_path: Path) -> None:
    """Refused at once, with a text that says what to do, and without a trace in the list."""
    backed = tmp_path / "backed.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", str(backed), "1G"], check=True
    )
    run = subprocess.run(
        [PILEUS, "image", "add", str(backed), "--name", "bad", "--state", str(cloud.state)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "Traceback" not in run.stderr
    assert "has a backing file" in run.stderr
    assert not cloud.ec2.describe_images(Filters=[{"Name": "name", "Values": ["bad"]}])["Images"]
