"""Instance profiles with real guests: the metadata service gives credentials with which AWS's own client works."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.cloud import KINDS, SSH, Kind, LiveCloud, until

if TYPE_CHECKING:
    from collections.abc import Iterator

MACHINE, CONTAINER = KINDS
AWS = str(Path(sys.executable).parent / "aws")
IAM = "http://169.254.169.254/latest/meta-data/iam"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
        ],
    }
)


@pytest.fixture(scope="module", autouse=True)
def _role(cloud: LiveCloud) -> None:
    """The role `web`, which may only read, in the profile `web`; and ssh from this machine."""
    iam = cloud.client("iam")
    iam.create_role(RoleName="web", AssumeRolePolicyDocument=TRUST)
    iam.attach_role_policy(RoleName="web", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.create_instance_profile(InstanceProfileName="web")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
    cloud.open_ssh()


@contextlib.contextmanager
def launched(cloud: LiveCloud, kind: Kind, **more: Any) -> Iterator[str]:
    """An instance of this kind, until the end of the block."""
    reservation = cloud.ec2.run_instances(
        ImageId=cloud.image(kind.image), InstanceType=kind.flavor, MinCount=1, MaxCount=1, KeyName="test", **more
    )
    ident = str(reservation["Instances"][0]["InstanceId"])
    try:
        yield ident
    finally:
        cloud.ec2.terminate_instances(InstanceIds=[ident])
        cloud.wait(ident, "terminated")


@contextlib.contextmanager
def metadata(cloud: LiveCloud, ident: str, key: Path) -> Iterator[str]:
    """The URL of the guest's metadata service as the guest reaches it: a port of this machine that leads through it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = cloud.instance(ident)["PublicIpAddress"]
    forward = f"127.0.0.1:{port}:169.254.169.254:80"
    words = [*SSH, "-i", str(key), "-N", "-o", "ExitOnForwardFailure=yes", "-L", forward, f"root@{address}"]
    with subprocess.Popen(words) as tunnel:
        try:
            until("the tunnel is open", lambda: _is_open(port), 30)
            yield f"http://127.0.0.1:{port}"
        finally:
            tunnel.terminate()


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def aws(cloud: LiveCloud, url: str, home: Path, *words: str, code: str = "") -> Any:
    """The answer of awscli, which has no credentials but those that the metadata service at `url` gives it.

    With a `code`, awscli is refused with that error, and there is no answer.
    """
    endpoint = json.loads((cloud.state / "endpoints.json").read_text())["ec2"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": url,
    }
    run = subprocess.run([AWS, *words], capture_output=True, text=True, check=False, env=environment, timeout=120)
    if code:
        assert run.returncode != 0, run.stdout
        assert f"({code})" in run.stderr
        return None
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.cost(40)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_awscli_works_with_nothing_but_the_profile(cloud: LiveCloud, key: Path, tmp_path: Path, kind: Kind) -> None:
    """By sessions of version 2, which awscli opens; and by plain requests of version 1 within the guest."""
    with launched(cloud, kind, IamInstanceProfile={"Name": "web"}) as ident:
        assert cloud.ssh(ident, key, f"wget -q -O - {IAM}/security-credentials/") == "web"
        info = json.loads(cloud.ssh(ident, key, f"wget -q -O - {IAM}/info"))
        assert info["InstanceProfileArn"] == cloud.instance(ident)["IamInstanceProfile"]["Arn"]
        credentials = json.loads(cloud.ssh(ident, key, f"wget -q -O - {IAM}/security-credentials/web"))
        assert credentials["AccessKeyId"].startswith("ASIA")
        with metadata(cloud, ident, key) as url:
            identity = aws(cloud, url, tmp_path, "sts", "get-caller-identity")
            assert identity["Arn"].endswith(f":assumed-role/web/{ident}")
            answer = aws(cloud, url, tmp_path, "ec2", "describe-instances")
            shown = [each["InstanceId"] for listed in answer["Reservations"] for each in listed["Instances"]]
            assert ident in shown
            launch = ("ec2", "run-instances", "--image-id", cloud.image(kind.image), "--instance-type", kind.flavor)
            aws(cloud, url, tmp_path, *launch, code="UnauthorizedOperation")
            assert len(cloud.ec2.describe_instances(Filters=_living())["Reservations"]) == 1
        assert _holding(cloud, credentials["SecretAccessKey"], credentials["Token"]) == []


@pytest.mark.cost(20)
def test_a_running_guest_is_given_a_profile_and_loses_it(cloud: LiveCloud, key: Path) -> None:
    ask = f"wget -q -O - {IAM}/security-credentials/ || echo none"
    with launched(cloud, CONTAINER) as ident:
        assert cloud.ssh(ident, key, ask) == "none"
        booted = cloud.ssh(ident, key, "cat /proc/uptime").split(".")[0]
        association = cloud.ec2.associate_iam_instance_profile(InstanceId=ident, IamInstanceProfile={"Name": "web"})[
            "IamInstanceProfileAssociation"
        ]["AssociationId"]
        until("the guest has the role", lambda: cloud.ssh(ident, key, ask) == "web", 30)
        document = f"wget -q -O - {IAM}/security-credentials/web || true"
        until("and its credentials", lambda: "ASIA" in cloud.ssh(ident, key, document), 30)
        cloud.ec2.disassociate_iam_instance_profile(AssociationId=association)
        until("the guest has no role", lambda: cloud.ssh(ident, key, ask) == "none", 30)
        assert int(cloud.ssh(ident, key, "cat /proc/uptime").split(".")[0]) >= int(booted), "the guest was started anew"


def _living() -> list[dict[str, Any]]:
    return [{"Name": "instance-state-name", "Values": ["pending", "running"]}]


def _holding(cloud: LiveCloud, *secrets: str) -> list[str]:
    """The files of the cloud, and the descriptions of its domains, that hold one of these texts."""
    holding = []
    for folder in ("host", "log", "cloud", "run", "instances", "containers"):
        for path in sorted((cloud.state / folder).rglob("*")):
            if path.is_file() and path.stat().st_size < 64 << 20:
                content = path.read_bytes()
                holding += [str(path) for secret in secrets if secret.encode() in content]
    for name in cloud.domains():
        words = ["virsh", "-c", cloud.layout.libvirt_uri, "dumpxml", name]
        shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        holding += [name for secret in secrets if secret in shown]
    return holding
