"""Seconds for 100 boto3 tests, pytest and server included: the plugin with the stub, against moto's two ways.

All sides run the same tests, each of which begins with nothing: in a new project here; after a reset of `moto_server`;
in `mock_aws`, which answers within the tests' process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = """
import boto3
import pytest


@pytest.mark.parametrize("number", range({count}))
def test_launch(account, number):
    ec2 = boto3.client("ec2")
    assert ec2.describe_instances()["Reservations"] == []
    image = ec2.describe_images()["Images"][0]["ImageId"]
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    rule = {{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{{"CidrIp": "0.0.0.0/0"}}]}}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    launched = ec2.run_instances(
        ImageId=image, InstanceType="t2.micro", MinCount=1, MaxCount=1, SecurityGroupIds=[group]
    )["Instances"][0]["InstanceId"]
    ec2.create_tags(Resources=[launched], Tags=[{{"Key": "Name", "Value": "web"}}])
    (reservation,) = ec2.describe_instances(Filters=[{{"Name": "tag:Name", "Values": ["web"]}}])["Reservations"]
    assert reservation["Instances"][0]["InstanceId"] == launched
    ec2.terminate_instances(InstanceIds=[launched])
"""

OURS = """
import pytest


@pytest.fixture
def account(pileus_cloud):
    return pileus_cloud
"""

SERVER = """
import os
import urllib.request

import pytest

from bench.peers import moto


@pytest.fixture(scope="session")
def server():
    with moto() as target:
        os.environ.update(
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{target.port}", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b",
            AWS_DEFAULT_REGION="us-east-1",
        )
        yield target


@pytest.fixture
def account(server):
    reset = urllib.request.Request(f"http://127.0.0.1:{server.port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
"""

MOCK = """
import os

import pytest
from moto import mock_aws


@pytest.fixture
def account():
    os.environ.update(AWS_DEFAULT_REGION="us-east-1")
    with mock_aws():
        yield
"""


def _seconds(conftest: str, count: int) -> float:
    """Run the tests in a folder of their own; RuntimeError where one fails."""
    with tempfile.TemporaryDirectory(prefix="pileus-bench-") as name:
        folder = Path(name)
        (folder / "conftest.py").write_text(conftest)
        (folder / "test_launch.py").write_text(TESTS.format(count=count))
        variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        variables["PYTHONPATH"] = str(Path(__file__).parents[1])
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "."]
        began = time.perf_counter()
        run = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        if run.returncode or f"{count} passed" not in run.stdout:
            raise RuntimeError(run.stdout[-4000:] + run.stderr[-4000:])
        return seconds


def run(rounds: int, count: int = 100) -> None:
    """Print a line for each peer: the medians, in rounds that take turns."""
    sides: dict[str, tuple[str, list[float]]] = {"ours": (OURS, []), "server": (SERVER, []), "mock": (MOCK, [])}
    for _ in range(rounds):
        for conftest, seconds in sides.values():
            seconds.append(_seconds(conftest, count))
    ours, *peers = ((name, statistics.median(seconds)) for name, (_, seconds) in sides.items())
    for name, seconds_of_peer in peers:
        ratio = ours[1] / seconds_of_peer
        print(
            f"suite-{count}-moto-{name} ratio={ratio:.2f} ours={ours[1]:.1f}s peer={seconds_of_peer:.1f}s", flush=True
        )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.suite", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side, taken in turn")
    parser.add_argument("--tests", type=int, default=100, help="tests of a run")
    chosen = parser.parse_args()
    run(chosen.rounds, chosen.tests)


if __name__ == "__main__":
    main()
