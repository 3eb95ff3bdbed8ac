"""A disk that is full, or takes nothing more: what clients and guests see of it, and that it passes without a trace."""

from __future__ import annotations

import http.client
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from pileus.rules import recount
from pileus.store.store import Store
from tests.live.cloud import PILEUS, running_in, until
from tests.live.loop import small_disk
from tests.live.sessions import routes, talking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.live.cloud import LiveCloud
    from tests.live.loop import SmallDisk

USER_DATA = "#" * 12_000


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk(64) as made:
        yield made


def health(cloud: LiveCloud) -> dict[str, Any]:
    """What /healthz says; empty for all is well."""
    host, _, port = json.loads((cloud.state / "endpoints.json").read_text())["ec2"].partition("//")[2].partition(":")
    link = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        link.request("GET", "/healthz")
        answer = link.getresponse()
        said = answer.read()
        return {} if answer.status == 200 else json.loads(said)
    finally:
        link.close()


def launch(cloud: LiveCloud, image: str, count: int = 1, **more: Any) -> list[str]:
    found = cloud.ec2.run_instances(ImageId=image, InstanceType="m1.tiny", MinCount=count, MaxCount=count, **more)
    return [one["InstanceId"] for one in found["Instances"]]


def shown(cloud: LiveCloud) -> dict[str, str]:
    """The state of every instance that is not gone."""
    pages = cloud.ec2.get_paginator("describe_instances").paginate()
    found = [one for page in pages for group in page["Reservations"] for one in group["Instances"]]
    return {one["InstanceId"]: one["State"]["Name"] for one in found if one["State"]["Name"] != "terminated"}


def launch_until_refused(cloud: LiveCloud, image: str, before: Callable[[], None]) -> tuple[list[str], ClientError]:
    """What was acknowledged, and the refusal: the database has some room of its own that it takes first."""
    made: list[str] = []
    for _ in range(200):
        before()
        try:
            made += launch(cloud, image, 5, UserData=USER_DATA)
        except ClientError as error:
            return made, error
    raise AssertionError("a full disk takes everything")


def agrees(state: Path) -> None:
    """Claims and usage are what a recount of the rows says."""
    store = Store(f"sqlite:///{state}/cloud/pileus.db")
    try:
        with store.read() as tx:
            assert recount.differences(tx) == []
    finally:
        store.close()


@pytest.mark.cost(30)
def test_a_full_state_directory_refuses_and_goes_on_by_itself(disk: SmallDisk) -> None:
    """Every launch that was acknowledged is there and runs, every other one never was."""
    state = disk.path / "s"
    with running_in(state, "--provider", "stub") as cloud:
        image = cloud.ec2.describe_images()["Images"][0]["ImageId"]
        made, error = launch_until_refused(cloud, image, disk.fill)
        assert error.response["Error"]["Code"] == "Unavailable"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert "the disk is full" in error.response["Error"]["Message"]
        assert shown(cloud).keys() == set(made)
        until("healthz says it", lambda: "the disk is full" in health(cloud).get("why", {}).get("store", ""))
        up = subprocess.run([PILEUS, "up", "--state", str(state)], capture_output=True, text=True, check=False)
        assert up.returncode == 1
        assert "is on a file system that is full" in up.stderr
        assert "Traceback" not in up.stderr
        upload = disk.image.parent / "upload"
        upload.write_bytes(b"\1" * (1 << 20))
        words = [PILEUS, "image", "add", str(upload), "--name", "late", "--state", str(state)]
        added = subprocess.run(words, capture_output=True, text=True, check=False)
        assert added.returncode == 1
        assert "the disk is full" in added.stderr
        until("nothing is left of it", lambda: not list((state / "cloud" / "objects" / "incoming").iterdir()))
        disk.empty()
        until("it is well again", lambda: not health(cloud))
        made += launch(cloud, image)
        until("all run", lambda: shown(cloud) == dict.fromkeys(made, "running"))
        cloud.pileus("image", "add", str(upload), "--name", "late")
        assert "Traceback" not in (state / "log" / "cloud.log").read_text()
        restarts = state / "run" / "restarts.json"
        assert not restarts.exists(), restarts.read_text()
        cloud.pileus("down")
        agrees(state)


@pytest.mark.cost(30)
def test_a_state_directory_that_became_read_only_is_said_and_can_be_mended(disk: SmallDisk) -> None:
    state = disk.path / "s"
    # A file system that fails loses what was not synced, as a power cut does.
    with running_in(state, "--provider", "stub", store_sync="full") as cloud:
        image = cloud.ec2.describe_images()["Images"][0]["ImageId"]
        (one,) = launch(cloud, image)
        cloud.wait(one, "running")
        disk.fail()
        made, error = launch_until_refused(cloud, image, lambda: None)
        assert made == []
        assert error.response["Error"]["Code"] == "Unavailable"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert shown(cloud) == {one: "running"}
        until("healthz says it", lambda: "store" in health(cloud).get("missing", []))
        up = subprocess.run([PILEUS, "up", "--state", str(state)], capture_output=True, text=True, check=False)
        assert up.returncode == 1
        assert "cannot be written: the file system is read-only" in up.stderr
        cloud.pileus("down")
        disk.mend()
        cloud.pileus("up")
        launch(cloud, image)
        until("all run", lambda: set(shown(cloud).values()) == {"running"})
        cloud.pileus("down")
        agrees(state)
        disk_is_free = subprocess.run(["fuser", "-m", str(disk.path)], capture_output=True, check=False)
        assert disk_is_free.returncode == 1


def tag_until_refused(cloud: LiveCloud, ident: str, before: Callable[[], None]) -> tuple[str, ClientError]:
    """The last value of the tag `count` that was acknowledged, and the refusal."""
    last = ""
    for number in range(2000):
        before()
        try:
            cloud.ec2.create_tags(Resources=[ident], Tags=[{"Key": "count", "Value": str(number)}])
        except ClientError as error:
            return last, error
        last = str(number)
    raise AssertionError("a full disk takes everything")


@pytest.mark.cost(90)
def test_a_cloud_whose_state_directory_is_full_keeps_its_guests_and_comes_back(tmp_path: Path) -> None:
    """Database, book, engine, libvirtd and disks are all on it: what is asked is refused, what runs goes on."""
    with small_disk(5 << 10) as disk, running_in(disk.path / "s") as cloud:
        cloud.open_ssh()
        image, key = cloud.image("tiny"), cloud.key("full", tmp_path)
        (one,) = launch(cloud, image, KeyName="full")
        boot = cloud.ssh(one, key, "cat /proc/sys/kernel/random/boot_id")
        # A guest that writes stands still until there is room, which is another test's matter: this one does not.
        quiet = "sync; echo u > /proc/sysrq-trigger; until grep -q ' / ext4 ro' /proc/mounts; do sleep 0.1; done"
        cloud.ssh(one, key, quiet)
        session = talking(routes(cloud, one, key)["loopback"])
        try:
            assert session.say("before") == "before"
            count, error = tag_until_refused(cloud, one, disk.fill)
            assert error.response["Error"]["Code"] == "Unavailable"
            with pytest.raises(ClientError, match="the disk is full") as refused:
                launch(cloud, image, UserData=USER_DATA)
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
            until("healthz says it", lambda: "the disk is full" in health(cloud).get("why", {}).get("store", ""))
            assert shown(cloud) == {one: "running"}
            assert session.say("meanwhile") == "meanwhile"
            disk.empty()
            until("it is well again", lambda: not health(cloud))
            (two,) = launch(cloud, image, KeyName="full")
            assert cloud.ssh(two, key, "cat /proc/sys/kernel/random/boot_id") != boot
            assert session.say("after") == "after"
        finally:
            session.end()
        assert cloud.ssh(one, key, "cat /proc/sys/kernel/random/boot_id") == boot
        assert {tag["Key"]: tag["Value"] for tag in cloud.instance(one).get("Tags", [])}.get("count", "") == count
        cloud.ec2.terminate_instances(InstanceIds=[one, two])
        for ident in (one, two):
            cloud.wait(ident, "terminated")
        assert not (cloud.state / "run" / "restarts.json").exists()
        cloud.pileus("down", "--instances")
        agrees(cloud.state)


@pytest.mark.cost(90)
def test_guests_whose_hosts_disk_is_full_stand_still_and_go_on(tmp_path: Path) -> None:
    """No write of a guest is lost; what cannot be made yet is made once there is room."""
    # Large enough to be given instances; nothing but what guests write takes room on the disk below it.
    with small_disk(5 << 10, "s/instances") as disk, running_in(disk.path.parent) as cloud:
        cloud.open_ssh()
        key = cloud.key("full", tmp_path)
        (one,) = launch(cloud, cloud.image("tiny"), KeyName="full")
        cloud.ssh(one, key, "true")
        # It writes when the disk becomes full: what stands still then takes no orders any more.
        some = "dd if=/dev/zero bs=256k count=1 | tr '\\0' x >> /root/x; sync; sleep 0.5"
        write = f"for n in $(seq 80); do {some}; done; md5sum /root/x > /root/sum"
        cloud.ssh(one, key, f"({write}) </dev/null >/dev/null 2>&1 &")
        disk.fill()

        def status() -> str:
            # Nothing is said of one that is not known to run yet.
            found = cloud.ec2.describe_instance_status(InstanceIds=[one])["InstanceStatuses"]
            return str(found[0]["InstanceStatus"]["Status"]) if found else ""

        until("impaired", lambda: status() == "impaired")
        assert cloud.instance(one)["State"]["Name"] == "running"
        (two,) = launch(cloud, cloud.image("tiny"), KeyName="full")
        until("two says why", lambda: "HostDiskFull" in cloud.instance(two).get("StateReason", {}).get("Message", ""))
        disk.empty()
        until("one goes on", lambda: status() == "ok")
        until("all was written", lambda: cloud.ssh(one, key, "cat /root/sum").strip())
        assert cloud.ssh(one, key, "md5sum /root/x") == cloud.ssh(one, key, "cat /root/sum")
        cloud.wait(two, "running")
        cloud.ssh(two, key, "true")
