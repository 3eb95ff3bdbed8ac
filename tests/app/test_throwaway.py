"""A program's own cloud works, keeps its projects apart, and is removed however the program ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

import pileus
from pileus.app import processes
from pileus.app.throwaway import ThrowawayCloud
from pileus.cli.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import os, signal, sys
import pileus

cloud = pileus.cloud()
if os.fork() == 0:
    # A fork has the program's end of the reaper's pipe, and outlives the program.
    cloud.close()
    signal.pause()
print(cloud.state, cloud.client("sts").get_caller_identity()["Account"], flush=True)
"""


@pytest.fixture(scope="module")
def cloud() -> Iterator[ThrowawayCloud]:
    """A cloud on the stub."""
    with pileus.cloud() as throwaway_cloud:
        yield throwaway_cloud


def running(state: Path) -> list[int]:
    """List the processes whose command line names the state directory."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(state) in (folder / "cmdline").read_bytes():
                pids.append(int(folder.name))
        except OSError:
            continue
    return pids


def removed(state: Path) -> bool:
    return processes.until(lambda: not state.exists() and not running(state), 60)


def test_projects_do_not_see_each_others_instances(cloud: ThrowawayCloud) -> None:
    one, other = cloud.project(), cloud.project()
    ec2 = one.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ec2.run_instances(ImageId=image, InstanceType="t2.micro", MinCount=2, MaxCount=2)
    address = ec2.allocate_address()["PublicIp"]
    assert other.client("ec2").describe_instances()["Reservations"] == []
    accounts = {each.client("sts").get_caller_identity()["Account"] for each in (one, other, cloud.account)}
    assert len(accounts) == 3
    one.clear()

    def states() -> set[str]:
        reservations = ec2.describe_instances()["Reservations"]
        return {instance["State"]["Name"] for each in reservations for instance in each["Instances"]}

    assert processes.until(lambda: states() <= {"terminated"}, 30)
    assert address not in {each["PublicIp"] for each in ec2.describe_addresses()["Addresses"]}


def test_a_protected_instance_does_not_keep_the_others(cloud: ThrowawayCloud) -> None:
    account = cloud.project()
    ec2 = account.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    launch = {"ImageId": image, "InstanceType": "t2.micro", "MinCount": 1, "MaxCount": 1}
    protected = ec2.run_instances(**launch, DisableApiTermination=True)["Instances"][0]["InstanceId"]
    ec2.run_instances(**launch)
    account.clear()

    def living() -> list[str]:
        reservations = ec2.describe_instances()["Reservations"]
        instances = [instance for each in reservations for instance in each["Instances"]]
        return [each["InstanceId"] for each in instances if each["State"]["Name"] == "running"]

    assert processes.until(lambda: living() == [protected], 30)


def test_an_account_is_plain_data_without_boto3(cloud: ThrowawayCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    account = cloud.project("plain")
    assert account.environment["AWS_ENDPOINT_URL"] == account.endpoint == cloud.account.endpoint
    assert account.environment["AWS_ACCESS_KEY_ID"] == account.access_key
    assert account.project == "plain"
    assert account.secret_key not in repr(account)
    assert account.token not in repr(account)
    assert cloud.environment["PILEUS_STATE"] == str(cloud.state)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(Problem, match="pip install boto3, or give the account's endpoint and keys"):
        account.client("ec2")


def test_a_profile_of_the_user_leads_nowhere_else(cloud: ThrowawayCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    client = cloud.client("ec2")
    assert client.describe_regions()["Regions"]
    with pytest.raises(ClientError, match="InvalidInstanceID"):
        client.terminate_instances(InstanceIds=["i-1"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_program_leaves_nothing(number: signal.Signals) -> None:
    program = [sys.executable, "-c", f"{PROGRAM}\nos.kill(os.getpid(), {int(number)})\nsignal.pause()"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as child:
        assert child.stdout is not None
        state = Path(child.stdout.readline().split()[0].decode())
        try:
            assert state.name.startswith("pileus-run-")
            assert child.wait(60) != 0
            assert removed(state)
        finally:
            os.killpg(child.pid, signal.SIGKILL)  # the fork


def test_a_killed_reaper_leaves_nothing() -> None:
    with pileus.cloud() as cloud:
        os.kill(cloud._reaper.pid, signal.SIGKILL)
    assert removed(cloud.state)
    cloud.close()


def test_a_cloud_that_does_not_start_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 80)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(Problem, match="too long for sockets"):
        pileus.cloud()
    assert list(folder.iterdir()) == []
    with pytest.raises(Problem, match="no provider 'cloudy'"):
        pileus.cloud("cloudy")
    assert list(folder.iterdir()) == []
