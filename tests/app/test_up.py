"""A cloud is up when `pileus up` returns, stays what it was, and goes without a trace."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from pileus.app import processes, up
from pileus.app.state import ACCOUNT_KEYS, StateDirectory
from pileus.cli.client import Client, exchange
from pileus.cli.problem import Problem
from pileus.faces.wire.signing import RawRequest, SigningCredential, sign
from tests.app import shell
from tests.app.stub import Stub
from tests.services.process import free_port


@pytest.mark.executable
def test_when_up_returns_everything_answers(own: Stub) -> None:
    endpoints = own.up()
    assert endpoints.keys() >= {"ec2", "sts", "rest"}
    assert all(url.startswith("http://127.0.0.1:") for url in endpoints.values())
    assert tuple(own.admin) == ACCOUNT_KEYS
    assert all(own.admin.values())
    assert stat.S_IMODE(own.state.admin.stat().st_mode) == 0o600
    assert stat.S_IMODE(own.state.cloud.stat().st_mode) == 0o700
    assert [image["name"] for image in own.client.all("images")] == ["stub-machine", "stub-container"]
    names = {flavor["name"] for flavor in own.client.all("flavors")}
    assert {"m1.small", "t2.micro", "n1-standard-1", "vswap-256m"} <= names
    assert own.client.all("projects")[0]["wanted"]["quota"] == {}
    # A launch right away finds a host.
    body = {"image": "stub-machine", "flavor": "m1.tiny"}
    instance = own.client.post("instances", body=body)["instances"][0]
    assert processes.until(lambda: own.client.get("instances", instance["id"])["state"] == "running", 20)


def test_all_faces_answer_at_one_more_port(own: Stub, tmp_path: Path) -> None:
    port = free_port()
    endpoints = own.up("--face-port", f"ec2={port}")
    assert endpoints["ec2"] == f"http://127.0.0.1:{port}"
    refused = own.pileus("up", "--face-port", f"ec2={free_port()}", check=False)
    assert (refused.returncode, "pileus down first" in refused.stderr) == (1, True)
    for wrong in ("ec2", "rest=8773", "ec2=0", "ec2=99999", "ec2=http"):
        assert own.pileus("up", "--face-port", wrong, check=False).stderr.startswith("pileus: Give FACE=PORT")
    archive = tmp_path / "root.zip"
    words = ("user", "creds", own.admin["user"], str(archive))
    own.pileus(*words, "--url", endpoints["ec2"])
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    again = own.pileus(*words, check=False)
    assert (again.returncode, again.stderr) == (1, f"pileus: {archive} exists: name another file.\n")
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(tmp_path)
    shown = subprocess.run(
        ["bash", "-c", f". {tmp_path}/novarc && echo $EC2_URL $EC2_ACCESS_KEY $EC2_SECRET_KEY"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert shown[0] == f"{endpoints['ec2']}/services/Cloud/"
    for path, action in (("/services/Cloud/", "DescribeAvailabilityZones"), ("/services/Admin/", "DescribeUsers")):
        body = f"Action={action}&Version=2016-11-15".encode()
        request = RawRequest("POST", path, "", {"host": f"127.0.0.1:{port}"}, body)
        credential = SigningCredential(shown[1], shown[2].encode(), "us-east-1", "ec2")
        headers = sign(request, credential, time.time())
        reply = exchange(f"http://127.0.0.1:{port}", "POST", path, body, headers, context=None, timeout=30)
        assert (reply.status, f"<{action}Response" in reply.body.decode()) == (200, True)


def test_a_setting_that_is_none_is_said(stub: Stub) -> None:
    settings = {"PILEUS_OVERCOMIT_CPU": "2", "PILEUS_COLOUR": "blue", "PILEUS_THREADS": "16", "OTHER": "x"}
    warnings = shell.run(["up"], {**stub.environment(), **settings}).stderr.splitlines()
    assert warnings == [
        "pileus: PILEUS_COLOUR is no setting, and is passed over",
        "pileus: PILEUS_OVERCOMIT_CPU is no setting, and is passed over: is PILEUS_OVERCOMMIT_CPU meant?",
    ]


def test_a_second_up_changes_nothing(stub: Stub) -> None:
    before = (stub.pid, stub.endpoints, stub.admin)
    stub.up()
    stub.pileus("up")
    assert (stub.pid, stub.endpoints, stub.admin) == before
    refused = stub.pileus("up", "--port", "1", check=False)
    assert refused.returncode == 1
    assert "runs already" in refused.stderr
    nowhere = stub.pileus("up", "--port", "65536", check=False)
    assert (nowhere.returncode, "Traceback" in nowhere.stderr) == (2, False)
    assert stub.pileus("up", "--provider", "local", check=False).returncode == 1


def test_what_was_made_outlives_down_and_up(own: Stub) -> None:
    own.up()
    before = (own.endpoints, own.admin)
    own.client.post("keypairs", body={"name": "kept"})
    own.down()
    assert not own.state.endpoints.exists()
    assert own.pileus("list", check=False).returncode == 1
    own.down()
    own.pileus("up")
    assert (own.endpoints, own.admin) == before
    assert [key["name"] for key in own.client.all("keypairs")] == ["kept"]


@pytest.mark.executable
def test_a_killed_cloud_comes_back_with_all_that_was_acknowledged(own: Stub) -> None:
    own.up()
    instance = own.client.post("instances", body={"image": "stub-machine"})["instances"][0]
    for name in ("supervisor", "cloud"):
        os.kill(processes.owner(own.state.pidfile(name)) or 0, signal.SIGKILL)
        assert processes.until(lambda name=name: processes.owner(own.state.pidfile(name)) is None, 10)  # type: ignore[misc]
    assert own.pileus("status", check=False).returncode == 1
    own.up()
    assert processes.until(lambda: own.client.get("instances", instance["id"])["state"] == "running", 20)
    assert own.pileus("status").returncode == 0


def test_an_administrators_secrets_that_nobody_was_told_or_that_were_deleted_are_made_anew(ended: Stub) -> None:
    ended.state.account.unlink()  # a first start that died before it told them
    ended.up()
    assert ended.client.all("users")[0]["name"] == "admin"
    leaked = ended.admin
    ended.pileus("credential", "delete", leaked["access_key"])
    token = Client(ended.endpoints["rest"], leaked["token"])
    token.delete("credentials", leaked["token"])
    with pytest.raises(Problem, match="Unauthorized"):
        token.all("users")
    ended.down()
    assert "the administrator's token was not known any more" in ended.pileus("up").stderr
    assert ended.client.all("users")[0]["name"] == "admin"
    assert ended.admin["access_key"] != leaked["access_key"]


def test_only_one_cloud_has_a_state_directory(stub: Stub) -> None:
    words = ["cloud", "--state", str(stub.state.root), "--provider", "stub", "--fd", "0"]
    second = stub.pileus(*words, check=False)
    assert second.returncode == 1
    assert "Another cloud runs" in second.stderr


def test_the_port_that_is_asked_for_is_used_or_refused(own: Stub) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        refused = own.pileus("up", "--provider", "stub", "--port", str(port), check=False)
        assert refused.returncode == 1
        assert f"Port {port} cannot be used" in refused.stderr
    assert own.up("--port", str(port))["ec2"] == f"http://127.0.0.1:{port}"


def test_the_faces_listen_at_the_address_that_is_set(own: Stub) -> None:
    own.settings.update(PILEUS_LISTEN="0.0.0.0", PILEUS_NAMES="localhost")  # noqa: S104  (the cloud is the stub's)
    assert own.up()["ec2"] == f"http://localhost:{own.port}"
    with socket.create_connection(("127.0.0.2", own.port), timeout=5):
        pass


@pytest.mark.parametrize(
    ("address", "says"),
    [("everywhere", "no address: give one such as 0.0.0.0"), ("192.0.2.1", "192.0.2.1 cannot be listened at")],
)
def test_an_address_that_cannot_be_listened_at_is_refused(own: Stub, address: str, says: str) -> None:
    own.settings.update(PILEUS_LISTEN=address)
    refused = own.pileus("up", "--provider", "stub", check=False)
    assert refused.returncode == 1
    assert says in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["up", "--provider", "cloudy"], "no provider 'cloudy'"),
        (["up", "--provider", "stub", "--state", "/tmp/" + "x" * 80], "too long"),
        (["down"], "no cloud in"),
        (["status"], "no cloud in"),
        (["list"], "No cloud runs in"),
        (["image", "build", "windows-95"], "no recipe 'windows-95'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(own: Stub, words: list[str], says: str) -> None:
    done = own.pileus(*words, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_machines_need_root(own: Stub) -> None:
    script = "import os, sys; os.geteuid = lambda: 1000; from pileus.app.main import run; sys.argv[1:] = ['up']; run()"
    done = subprocess.run(
        [sys.executable, "-c", script], env=own.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "needs root" in done.stderr


def test_run_gives_a_command_a_cloud_and_removes_it(own: Stub) -> None:
    script = 'echo "$PILEUS_STATE"; test -n "$AWS_ENDPOINT_URL" && test -z "$AWS_CA_BUNDLE" && exit 7'
    done = own.pileus("run", "--", "sh", "-c", script, check=False)
    assert done.returncode == 7, done.stderr
    state = Path(done.stdout.strip())
    assert state.name.startswith("pileus-run-")
    assert not state.exists()
    assert re.fullmatch(
        r"pileus: a cloud over 'stub' is at http://127\.0\.0\.1:\d+ for sh: the API, its checks and errors are real; "
        r"instances, networks and images only pretend\n",
        done.stderr,
    )
    assert own.pileus("run", "--", "no-such-command", check=False).returncode == 127
    assert own.pileus("run", "--", "sh", "-c", "kill -9 $$", check=False).returncode == 128 + 9


def test_a_directory_that_others_control_is_refused(own: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = own.state.root
    root.mkdir(mode=0o755, exist_ok=True)
    root.chmod(0o777)
    refused = own.pileus("up", "--provider", "stub", check=False)
    root.chmod(0o755)
    assert (refused.returncode, list(root.iterdir())) == (1, [])
    assert "Others may write" in refused.stderr
    link = tmp_path / "link"
    link.symlink_to(root)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    for path in (root, link):
        with pytest.raises(Problem, match="belongs to"):
            up.up(StateDirectory(path), "stub")
    assert list(root.iterdir()) == []
