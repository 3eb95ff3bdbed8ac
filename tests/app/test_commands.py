"""The commands as a person types them, on a cloud over the stub."""

from __future__ import annotations

import importlib.metadata
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pileus.app import processes
from pileus.cli.client import Client
from pileus.cli.problem import Problem
from tests.app import shell
from tests.app.stub import Stub

AWS = str(Path(sys.executable).parent / "aws")


@pytest.fixture(scope="session")
def box(stub: Stub) -> str:
    """The id of a running instance called `box`, with the key pair `mine`."""
    stub.pileus("key", "create", "mine")
    body = {"image": "stub-machine", "name": "box", "key_name": "mine"}
    ident: str = stub.client.post("instances", body=body)["instances"][0]["id"]
    assert processes.until(lambda: stub.client.get("instances", ident)["state"] == "running", 20)
    return ident


def test_the_version_is_told(stub: Stub) -> None:
    assert stub.pileus("--version").stdout == f"pileus {importlib.metadata.version('pileus')}\n"


@pytest.mark.parametrize("command", ["status", "doctor", "down", "recover", "up"])
def test_what_is_another_users_is_said_to_be_so(tmp_path: Path, command: str) -> None:
    cloud = Stub(tmp_path / "s")
    cloud.state.prepare()
    cloud.state.run.chmod(0)  # to whom root is, who is another below, it is closed by its owner
    other = 65534 if os.geteuid() == 0 else None
    done = shell.run([command], cloud.environment(), uid=other)
    cloud.state.run.chmod(0o700)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"pileus: {cloud.state.root} is not yours to use: use sudo, or another --state.\n"


def test_a_state_directory_that_cannot_be_one_is_said_in_one_line(own: Stub) -> None:
    file = own.state.root / "file"
    file.write_text("kept")
    for root, why in ((file, "File exists"), (file / "s", "Not a directory")):
        done = Stub(root).pileus("up", "--provider", "stub", check=False)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"pileus: {root} cannot be used: {why}.\n")
    assert file.read_text() == "kept"


def test_a_way_out_is_refused_where_there_are_no_packets(own: Stub) -> None:
    for words, option in ((["--internet"], "--internet"), (["--outside", "eth1"], "--outside")):
        done = own.pileus("up", "--provider", "stub", *words, check=False)
        why = f"pileus: A cloud over 'stub' has no packets, so {option} has no meaning there.\n"
        assert (done.returncode, done.stdout, done.stderr) == (1, "", why)
        assert not own.state.endpoints.exists()


def test_a_user_is_made_and_shown_once(stub: Stub) -> None:
    account = json.loads(stub.pileus("user", "create", "ann", "--project", "lab", "--json").stdout)
    assert account.keys() == {*stub.admin, "user_id"}
    assert (account["user"], account["project"]) == ("ann", "lab")
    assert "access_key" in stub.pileus("user", "create", "bea", "--admin").stdout
    again = stub.pileus("user", "create", "ann", check=False)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "pileus: The user 'ann' exists already. (Duplicate)\n"


def test_a_leaked_key_is_replaced_and_deleted(stub: Stub) -> None:
    account = json.loads(stub.pileus("user", "create", "mia", "--json").stdout)
    credential = json.loads(stub.pileus("credential", "create", "--user", "mia", "--token", "--json").stdout)
    assert credential.keys() == {"id", "user", "project", "token"}
    mia = Client(stub.endpoints["rest"], credential["token"])
    assert mia.all("instances") == []
    lines = stub.pileus("credential", "list", "--all").stdout.splitlines()
    assert lines[0].split() == ["ID", "TYPE", "KEY", "USER", "ENABLED", "CREATED", "USED", "SERVICE"]
    assert sorted(line.split()[1:4] for line in lines if " mia " in line) == [
        ["aws", account["access_key"], "mia"],
        *[["token", "-", "mia"]] * 2,
    ]
    for ident in (account["access_key"], credential["id"]):
        assert stub.pileus("credential", "delete", ident).stdout == f"{ident}  deleted\n"
    with pytest.raises(Problem, match="Unauthorized"):
        mia.all("instances")
    again = stub.pileus("credential", "delete", credential["id"], check=False)
    assert again.stderr == "pileus: There is no such credential. (NotFound)\n"
    assert "secret_key" in stub.pileus("credential", "create").stdout


def test_people_and_their_rights_are_changed_by_commands(stub: Stub) -> None:
    assert stub.pileus("project", "create", "yard").stdout.endswith("  yard\n")
    account = json.loads(stub.pileus("user", "create", "rob", "--project", "yard", "--role", "reader", "--json").stdout)
    rob = Client(stub.endpoints["rest"], account["token"])
    with pytest.raises(Problem, match="takes the role 'member' in the project, and yours is 'reader'"):
        rob.post("keypairs", body={"name": "k"})
    stub.pileus("usergroup", "create", "ops")
    stub.pileus("usergroup", "add", "ops", "rob")
    granted = stub.pileus("grant", "create", "member", "--usergroup", "ops", "--project", "yard").stdout.split()[0]
    assert rob.post("keypairs", body={"name": "k"})["name"] == "k"
    lines = stub.pileus("list", "grants", "--all").stdout.splitlines()
    assert [granted, "member", "-", "ops", "yard"] in [line.split() for line in lines]
    stub.pileus("grant", "delete", granted)
    with pytest.raises(Problem, match="Forbidden"):
        rob.post("keypairs", body={"name": "l"})
    assert stub.pileus("user", "password", "rob", input_text="a new password\n").stdout == "rob  password set\n"
    nobody = Client(stub.endpoints["rest"], "")
    issued = nobody.post("tokens", body={"user": "rob", "password": "a new password"})
    assert Client(stub.endpoints["rest"], issued["token"]).all("keypairs")
    stub.pileus("user", "revoke-tokens", "rob")
    stub.pileus("credential", "disable", account["access_key"])
    with pytest.raises(Problem, match="Unauthorized"):
        Client(stub.endpoints["rest"], issued["token"]).all("keypairs")
    new = json.loads(stub.pileus("credential", "rotate", account["access_key"], "--json").stdout)
    assert (new["user"], new["project"]) == ("rob", "yard")
    stub.pileus("user", "disable", "rob")
    with pytest.raises(Problem, match="Unauthorized"):
        rob.all("keypairs")
    refused = stub.pileus("project", "delete", "yard", check=False)
    assert "still holds 1 keypair, 1 user: delete these first. (Conflict)" in refused.stderr
    assert stub.pileus("user", "delete", "rob").stdout == "rob  deleted\n"


def test_limits_are_shown_and_changed(stub: Stub) -> None:
    stub.pileus("user", "create", "kim")
    lines = [line.split() for line in stub.pileus("quota", "set", "kim", "images=3", "rules=none").stdout.splitlines()]
    assert ["RESOURCE", "USED", "LIMIT"] in lines
    assert ["images", "0", "3"] in lines
    assert ["rules", "2", "none"] in lines
    assert "credentials" in stub.pileus("quota").stdout
    assert "request-threads" in stub.pileus("quota", "show", "--bounds").stdout
    wrong = stub.pileus("limits", "set", "kim", "images", check=False)
    assert wrong.stderr == "pileus: 'images' is not RESOURCE=N, as in images=20 or images=none.\n"


@pytest.mark.parametrize("noun", ["instances", "images", "flavors", "hosts", "users", "networks", "credentials"])
def test_every_list_has_a_heading_and_its_nouns(stub: Stub, box: str, noun: str) -> None:
    stub.settle()
    lines = stub.pileus("list", noun).stdout.splitlines()
    assert lines[0] == lines[0].upper()
    assert len(lines) == 1 + len(json.loads(stub.pileus("list", noun, "--json").stdout)) > 1


def test_list_is_of_instances_and_shows_how_to_reach_them(stub: Stub, box: str) -> None:
    lines = stub.pileus("list").stdout.splitlines()
    assert lines[0].split()[:3] == ["ID", "NAME", "STATE"]
    row = next(line for line in lines if box in line)
    assert {"box", "running", "stub-machine", "admin"} <= set(row.split())
    assert " 127." in row


def test_explain_says_what_is_waited_for(stub: Stub, box: str) -> None:
    assert processes.until(lambda: "it is as wanted" in stub.pileus("explain", "instance", "box").stdout, 20)
    text = stub.pileus("explain", "instance", box).stdout
    for part in ("waits for", "wanted", "assigned", "seen", "journal", "instance.launch"):
        assert part in text
    assert json.loads(stub.pileus("explain", "instances", "box", "--json").stdout)["settled"]
    assert stub.pileus("explain", "instance", "nobody", check=False).returncode == 1


def test_a_host_is_listed_drained_and_activated(stub: Stub, box: str) -> None:
    heading, line = stub.pileus("host", "list").stdout.splitlines()
    assert heading.split()[:3] == ["NAME", "STATE", "HEARD"]
    assert line.split()[:2] == ["stub", "active"]
    assert stub.pileus("host", "drain", "stub").stdout == "stub  drained\n"
    with pytest.raises(Problem, match="do not have sufficient"):
        stub.client.post("instances", body={"image": "stub-machine"})
    refused = stub.pileus("host", "remove", "stub", check=False)
    assert refused.returncode == 1
    assert "holds" in refused.stderr
    assert stub.pileus("host", "activate", "stub").stdout == "stub  active\n"
    assert stub.pileus("host", "overcommit", "stub", "--vcpus", "4").stdout == "stub  active\n"
    assert "host.drain" in stub.pileus("host", "show", "stub").stdout
    assert "stub by spread: 1 host known, 1 fit" in stub.pileus("explain", box).stdout


def test_a_host_is_given_traits_and_a_flavor_demands_them(stub: Stub) -> None:
    words = ("flavor", "create", "fast", "--vcpus", "1", "--memory", "128", "--disk", "1", "--trait", "ssd")
    assert stub.pileus(*words).stdout == "fast  ssd\n"
    with pytest.raises(Problem, match="do not have sufficient"):
        stub.client.post("instances", body={"image": "stub-machine", "flavor": "fast"})
    assert stub.pileus("host", "traits", "stub", "--add", "ssd", "--add", "rack:3").stdout == "stub  rack:3  ssd\n"
    assert "rack:3,ssd" in stub.pileus("host", "list").stdout
    assert "rack:3, ssd" in stub.pileus("host", "show", "stub").stdout
    assert stub.client.post("instances", body={"image": "stub-machine", "flavor": "fast"})["instances"]
    assert stub.pileus("host", "traits", "stub", "--remove", "ssd").stdout == "stub  rack:3\n"
    assert stub.pileus("flavor", "traits", "fast", "--add", "kvm").stdout == "fast  kvm  ssd\n"
    assert stub.pileus("flavor", "retire", "fast").stdout == "fast  kvm  ssd  retired\n"
    line = next(line for line in stub.pileus("flavor", "list").stdout.splitlines() if line.startswith("fast"))
    assert line.split() == ["fast", "1", "128", "1", "kvm,ssd", "true"]
    assert stub.pileus("flavor", "offer", "fast").stdout == "fast  kvm  ssd\n"


def test_an_address_is_allocated_given_taken_and_released(stub: Stub, box: str) -> None:
    ident, address = stub.pileus("address", "allocate").stdout.split()
    fields = stub.pileus("address", "associate", address, "box").stdout.split()
    assert fields[:2] == [address, box]
    lines = [line.split() for line in stub.pileus("address", "list").stdout.splitlines()]
    loopback = stub.client.get("instances", box)["loopback"]
    columns = ["ID", "ADDRESS", "INSTANCE", "PRIVATE", "LOOPBACK"]
    assert lines == [columns, [ident, address, box, fields[2], loopback]]
    row = next(line for line in stub.pileus("list").stdout.splitlines() if box in line)
    assert {address, loopback} <= set(row.split()), "the list has the address that this machine reaches as well"
    refused = stub.pileus("address", "release", address, check=False)
    assert (refused.returncode, refused.stderr) == (1, f"pileus: Address {address} is in use. (Conflict)\n")
    stub.pileus("address", "disassociate", ident)
    stub.pileus("address", "release", ident)
    none = ["  ".join(columns)]
    assert processes.until(lambda: stub.pileus("address", "list").stdout.splitlines() == none, 20)


def test_ssh_is_plain_ssh_to_the_loopback_address(stub: Stub, box: str, tmp_path: Path) -> None:
    recorder = tmp_path / "ssh"
    recorder.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 5\n')
    recorder.chmod(0o755)
    environment = {**stub.environment(), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    words = [str(Path(sys.executable).parent / "pileus"), "ssh", "box", "ls", "-l", "--all"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    arguments = done.stdout.splitlines()
    address = stub.client.get("instances", box)["loopback"]
    assert done.returncode == 5
    assert arguments[-5:] == ["-l", "admin", "--", address, "ls -l --all"]
    assert f"HostKeyAlias={box}" in arguments
    # It is on another machine than the test: ssh comes over the API, and the stub says what it is told.
    (stream,) = (word.removeprefix("ProxyCommand=") for word in arguments if word.startswith("ProxyCommand="))
    words = ["sh", "-c", stream.replace("%%", "%")]
    proxy = subprocess.run(words, env=environment, input="SSH-2.0-me\n", capture_output=True, text=True, check=False)
    assert (proxy.returncode, proxy.stdout) == (0, "SSH-2.0-me\n")
    key_file = Path(arguments[arguments.index("-i") + 1])
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert key_file.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_ssh_to_what_does_not_run(stub: Stub) -> None:
    ident = stub.client.post("instances", body={"image": "stub-machine"})["instances"][0]["id"]
    stub.client.post("instances", ident, "stop")
    assert processes.until(lambda: stub.client.get("instances", ident)["state"] == "stopped", 20)
    refused = stub.pileus("ssh", ident, check=False)
    assert refused.returncode == 1
    assert "is stopped" in refused.stderr


def test_connect_joins_its_ends_with_the_instance(stub: Stub, box: str) -> None:
    # The stub's instances say what they are told; the stream ends when both sides have ended.
    done = stub.pileus("connect", "box", "22", input_text="hello\nthere\n")
    assert done.stdout == "hello\nthere\n"
    for words in (("nobody", "22"), ("box", "0")):
        refused = stub.pileus("connect", *words, check=False)
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1


def test_env_leads_awscli_here(stub: Stub) -> None:
    script = f'eval "$({sys.executable} -m pileus.app.main env)"; {AWS} sts get-caller-identity --output json'
    environment = {
        **stub.environment(),
        "AWS_CA_BUNDLE": "/nowhere",
        "AWS_SESSION_TOKEN": "x",
        "http_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Account"] == stub.admin["account_id"]


def test_an_image_is_added_from_a_file(stub: Stub, tmp_path: Path) -> None:
    path = tmp_path / "mine.img"
    path.write_bytes(b"x" * 510 + b"\x55\xaa" + b"x" * 3584)
    stdout = stub.pileus("image", "add", str(path), "--login-user", "ann").stdout
    assert stdout.split()[1] == "mine"
    assert "mine" in stub.pileus("image", "list").stdout
    assert stub.pileus("image", "add", str(tmp_path / "none"), check=False).returncode == 1


def test_a_file_that_is_neither_a_disk_nor_an_archive_is_no_image(stub: Stub) -> None:
    refused = stub.pileus("image", "add", "/etc/passwd", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "pileus: The image is neither a disk (qcow2, or raw with a partition table or a file system) nor an archive "
        "(tar, OCI layout); a raw disk without either is taken with the format 'raw'. (InvalidValue)\n"
    )
    assert "passwd" not in stub.pileus("image", "list").stdout
    assert stub.pileus("image", "add", "/etc/passwd", "--format", "raw").stdout.split()[1] == "passwd"


def test_an_image_is_added_from_an_address(stub: Stub, tmp_path: Path) -> None:
    (tmp_path / "far.img").write_bytes(b"y" * 510 + b"\x55\xaa" + b"y" * 3584)
    words = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        try:
            added = stub.pileus("image", "add", f"http://127.0.0.1:{port}/far.img", "--name", "far")
            missing = stub.pileus("image", "add", f"http://127.0.0.1:{port}/near.img", check=False)
        finally:
            server.terminate()
    assert added.stdout.split()[1] == "far"
    assert missing.returncode == 1
    assert "404" in missing.stderr


def test_a_noun_is_renamed_and_the_journal_tells_it(stub: Stub) -> None:
    stub.client.post("keypairs", body={"name": "not-renamed"})
    assert stub.pileus("rename", "network", "default", "renamed-net").stdout.split()[1] == "renamed-net"
    lines = stub.pileus("journal", "network", "renamed-net").stdout.splitlines()
    assert lines[0].split()[:3] == ["ID", "AT", "VERB"]
    assert "network.rename" in lines[-1]
    whole = json.loads(stub.pileus("journal", "--most", "2", "--json").stdout)
    assert [line["verb"] for line in whole] == ["keypair.create", "network.rename"]
    assert json.loads(stub.pileus("journal", "--request", whole[0]["request"], "--json").stdout) == whole[:1]
    assert stub.pileus("rename", "network", "renamed-net", "default").returncode == 0
    refused = stub.pileus("rename", "keypair", "not-renamed", "x", check=False)
    assert (refused.returncode, refused.stderr) == (1, "pileus: The name of a keypair stays as it is. (Unsupported)\n")


def test_audit_shows_who_changed_what(stub: Stub) -> None:
    stub.client.post("keypairs", body={"name": "seen-in-audit"})
    entries = [json.loads(line) for line in stub.pileus("audit", "--since", "10m", "--json").stdout.splitlines()]
    assert ("admin", "POST /v1/keypairs", 201) in [(line["user"], line["action"], line["status"]) for line in entries]
    assert "POST /v1/keypairs" in stub.pileus("audit", "--user", "admin", "--action", "keypairs").stdout


def test_an_isolated_network_is_made_and_joined_by_commands(stub: Stub) -> None:
    printed_words = stub.pileus("network", "create", "--name", "lab", "--tag", "for=tests").stdout.split()
    assert printed_words[1] == "lab"
    stub.pileus("subnet", "create", "10.9.0.0/24", "--network", "lab")
    vpc = json.loads(stub.pileus("router", "create", "10.9.0.0/16", "--json").stdout)
    stub.pileus("network", "join", "lab", vpc["id"])
    stub.pileus("group", "create", "web", "--router", vpc["id"])
    rule = ("--action", "deny", "--priority", "10", "--protocol", "tcp", "--port-min", "23", "--port-max", "23")
    stub.pileus("group", "add-rule", "web", *rule, "--cidr", "0.0.0.0/0", "--target", "web")
    group = stub.client.get("securitygroups", "web")["wanted"]
    assert (group["rules"][-1]["priority"], group["rules"][-1]["targets"]) == (10, ["web"])
    listed = stub.pileus("network", "list").stdout.splitlines()
    assert listed[0].split() == ["ID", "NAME", "ROUTER", "MTU"]
    assert vpc["uuid"] in next(line for line in listed if " lab " in line)
    refused = stub.pileus("network", "delete", "lab", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "has dependencies" in refused.stderr
    assert "waits for" in stub.pileus("network", "show", "lab").stdout
    stub.pileus("network", "part", "lab")
    assert stub.pileus("group", "delete", "web").stdout == "web  deleted\n"
