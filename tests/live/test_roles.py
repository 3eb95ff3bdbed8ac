"""A cloud of several processes and joined hosts: two of each role over one broker, with certificates of its own."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from pileus.app import certificates
from pileus.app.processes import until
from pileus.app.state import StateDirectory
from tests.live import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.processes import Cloud


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Two `api`, two `loops`, and two hosts that joined."""
    with processes.running(None) as made:
        yield made


@pytest.mark.cost(60)
def test_what_one_process_takes_is_done_by_others_on_hosts_that_joined(cloud: Cloud) -> None:
    made = cloud.launched("api-1", 10) + cloud.launched("api-2", 10)
    assert until(lambda: cloud.all_in("running", made, "api-2"), 120, 0.2), cloud.why()
    shown = {one["id"]: one["host"] for one in cloud.client("api-1").all("instances")}
    assert {shown[ident] for ident in made} <= {"east", "west"}
    # A console is bytes from the host itself, known by its certificate.
    assert "output" in cloud.client("api-2").get("instances", made[0], "console")


@pytest.mark.cost(10)
def test_a_disabled_access_key_is_refused_by_every_process_within_a_second(cloud: Cloud) -> None:
    """With the sessions that descend from it, also by the process that has just let them in."""
    first = cloud.client("api-1")
    eve = first.post("users", body={"name": "eve"})
    key = {"aws_access_key_id": eve["access_key"], "aws_secret_access_key": eve["secret_key"]}
    session = cloud.aws("api-1", "sts", **key).get_session_token()["Credentials"]
    temporary = {
        "aws_access_key_id": session["AccessKeyId"],
        "aws_secret_access_key": session["SecretAccessKey"],
        "aws_session_token": session["SessionToken"],
    }
    clients = [cloud.aws(name, "sts", **proof) for name in ("api-1", "api-2") for proof in (key, temporary)]

    def refusing() -> int:
        """The number of clients that are refused."""
        refusals = 0
        for client in clients:
            try:
                client.get_caller_identity()
            except ClientError as error:
                refusals += error.response["Error"]["Code"] == "InvalidClientTokenId"
        return refusals

    assert refusing() == 0
    first.post("credentials", eve["access_key"], body={"enabled": False})
    assert until(lambda: refusing() == len(clients), 1.0, 0.05)
    first.post("credentials", eve["access_key"], body={"enabled": True})
    assert until(lambda: refusing() == 0, 1.0, 0.05)


@pytest.mark.cost(60)
def test_the_cloud_outlives_any_of_its_processes(cloud: Cloud) -> None:
    cloud.kill("loops-1")
    made = cloud.launched("api-2", 5)
    assert until(lambda: cloud.all_in("running", made, "api-2"), 120, 0.2)
    # Without any, requests are taken all the same; who comes first does them.
    cloud.kill("loops-2")
    waiting = cloud.launched("api-1", 3)
    assert not cloud.all_in("running", waiting, "api-1")
    cloud.role("loops-1", "loops")
    assert until(lambda: cloud.all_in("running", [*made, *waiting], "api-1"), 90, 0.2)
    cloud.role("loops-2", "loops")
    assert until(lambda: cloud.healthy("loops-2"), 120, 0.2)


@pytest.mark.cost(30)
def test_a_host_without_its_certificate_is_nobody_to_broker_and_cloud(cloud: Cloud) -> None:
    machine = StateDirectory(cloud.root / "east")
    found = json.loads(machine.joined.read_text())
    assert "admin" not in found["bus"]
    assert oct((machine.identity / "host.pem").stat().st_mode & 0o777) == "0o600"
    stranger = StateDirectory(cloud.root / "stranger")
    shutil.copytree(machine.root, stranger.root, ignore=shutil.ignore_patterns("run", "channels", "host"))
    other = certificates.authority(cloud.root)
    key, asked = certificates.new_request("east")
    (stranger.identity / "host.pem").write_bytes(key + other.host(asked, "east")[0])
    cloud.run("stranger", "host", "run", "--provider", "stub", "--state", str(stranger.root))
    assert until(lambda: "broker does not answer" in (cloud.root / "stranger.log").read_text(), 30, 0.2)
    cloud.kill("stranger")
