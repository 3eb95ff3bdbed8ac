"""The commands of nouns as a person types them, by name or id, on a cloud over the stub."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pileus.app import processes
from pileus.app.main import commands
from tests.app import shell
from tests.app.stub import Stub

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBfnFyP6V8Y6b5kAp1lAHdmVRm/eAC3KjINkJ7ki607x ada@desk"


@pytest.fixture(scope="module")
def box(stub: Stub) -> Iterator[str]:
    """The name of a running instance."""
    ident = stub.client.post("instances", body={"image": "stub-machine", "name": "nounbox"})["instances"][0]["id"]
    assert processes.until(lambda: stub.client.get("instances", ident)["state"] == "running", 20)
    yield "nounbox"
    stub.client.delete("instances", ident)


def refusal(stub: Stub, *words: str) -> str:
    """The message of a command that is refused in one line."""
    done = stub.pileus(*words, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pileus: ")
    assert done.stderr.count("\n") == 1
    return done.stderr[len("pileus: ") : -1]


@pytest.mark.parametrize("noun", ["security-groups", "SecurityGroup", "groups", "addresses", "key-pairs", "image"])
def test_nouns_are_forgiven_their_form(stub: Stub, noun: str) -> None:
    assert stub.pileus("list", noun).stdout.startswith("ID ")
    assert refusal(stub, "list", "llamas").startswith("There are no llamas here; there are ")


def test_a_key_is_imported_shown_and_deleted(stub: Stub) -> None:
    file = stub.state.root / "desk.pub"
    file.write_text(PUBLIC)
    ident, name = stub.pileus("key", "import", "desk", str(file)).stdout.split()
    assert name == "desk"
    assert PUBLIC.split()[1] in stub.pileus("key", "show", "desk").stdout
    assert "desk" in stub.pileus("key", "list").stdout
    assert stub.pileus("key", "delete", ident).stdout == f"{ident}  deleted\n"
    assert refusal(stub, "key", "show", "desk") == "The keypair ID 'desk' does not exist (NotFound)"
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert refusal(stub, "key", "import", "desk", str(file)) == (
        f"{file} is a private key, which stays with you: give the public one, {file}.pub, say."
    )


def test_rules_of_a_group_are_added_listed_and_deleted(stub: Stub) -> None:
    stub.pileus("group", "create", "front")
    stub.pileus("group", "create", "back")
    ident, ports = stub.pileus("rule", "add", "front", "80").stdout.split()
    assert ports == "80/tcp"
    stub.pileus("rule", "add", "front", "53/udp", "--from", "192.0.2.7")
    stub.pileus("rule", "add", "front", "all", "--from", "back")
    stub.pileus("rule", "add", "front", "22", "--deny", "--priority", "9", "--from", "tag:old")
    lines = [line.split()[1:6] for line in stub.pileus("rule", "list", "front").stdout.splitlines()]
    assert lines[0] == ["DIRECTION", "ACTION", "PRIORITY", "PORTS", "SIDE"]
    assert ["ingress", "allow", "-", "80/tcp", "0.0.0.0/0"] in lines
    assert ["ingress", "allow", "-", "53/udp", "192.0.2.7/32"] in lines
    assert ["ingress", "allow", "-", "all", "back"] in lines
    assert ["ingress", "deny", "9", "22/tcp", "tag:old"] in lines
    assert stub.pileus("rule", "delete", "front", "80").stdout == f"{ident}  deleted\n"
    assert refusal(stub, "rule", "delete", "front", "80") == (
        "No rule of front is for 80: 'pileus rule list front' shows its rules."
    )
    assert len(json.loads(stub.pileus("rule", "list", "front", "--json").stdout)) == 4
    assert refusal(stub, "rule", "add", "front", "80", "--from", "10.0.0.0/99").startswith("'10.0.0.0/99' is no range")
    stub.pileus("group", "delete", "front", "back")


def test_tags_of_any_noun(stub: Stub, box: str) -> None:
    assert stub.pileus("tag", "set", box, "env=prod", "owner=ada").stdout.split("\n")[1:4] == [
        "Name   nounbox",
        "env    prod",
        "owner  ada",
    ]
    assert "prod" in stub.pileus("explain", box).stdout
    assert json.loads(stub.pileus("tag", "delete", box, "env", "--json").stdout) == {"Name": box, "owner": "ada"}
    stub.pileus("network", "create", "--name", "tagged")
    stub.pileus("tag", "set", "networks", "tagged", "a=b=c")
    assert json.loads(stub.pileus("tag", "list", "network", "tagged", "--json").stdout) == {
        "Name": "tagged",
        "a": "b=c",
    }
    stub.pileus("network", "delete", "tagged")
    assert refusal(stub, "tag", "set", box, "env") == "A tag is written KEY=VALUE."
    assert refusal(stub, "tag", "set", box).startswith("Say which tags: ")


def test_an_image_is_copied_renamed_shared_and_deleted(stub: Stub) -> None:
    stub.pileus("image", "copy", "stub-machine", "spare", "--description", "as it was")
    ident, name = stub.pileus("image", "rename", "spare", "golden").stdout.split()
    assert name == "golden"
    stub.pileus("image", "share", ident, "123456789012")
    stub.pileus("image", "unshare", "golden", "123456789012")
    assert json.loads(stub.pileus("image", "modify", "golden", "--public", "--json").stdout)["wanted"]["public"]
    assert "as it was" in stub.pileus("image", "show", "golden").stdout
    assert stub.pileus("image", "delete", "golden").stdout == "golden  deleted\n"


def test_two_of_one_name_are_told_by_their_ids(stub: Stub) -> None:
    ids = [stub.pileus("network", "create", "--name", "twin").stdout.split()[0] for _ in range(2)]
    assert refusal(stub, "network", "show", "twin") == (
        f"2 networks are named 'twin': {ids[0]}, {ids[1]}. Name one by its id. (NotFound)"
    )
    assert stub.pileus("network", "delete", *ids).stdout.splitlines() == [f"{ident}  deleted" for ident in ids]


def test_renaming_takes_a_noun_or_means_an_instance(stub: Stub, box: str) -> None:
    assert stub.pileus("rename", box, "other").stdout.split()[1] == "other"
    assert stub.pileus("rename", "instances", "other", box).stdout.split()[1] == box
    assert refusal(stub, "rename", box).startswith("Say the present name and the new one")


def test_the_map_and_top_show_the_instance(stub: Stub, box: str) -> None:
    (line,) = [line for line in stub.pileus("map").stdout.splitlines() if f"instance  {box}" in line]
    assert line.startswith(("│  ", "   "))
    assert line.endswith("running")
    places = json.loads(stub.pileus("map", "--json").stdout)
    assert {"router"} <= {place["kind"] for place in places}
    lines = stub.pileus("top").stdout.splitlines()
    assert " running: " in lines[0]
    assert any(line.startswith(f"{box} ") for line in lines)


def test_top_draws_on_a_terminal_until_q(stub: Stub, box: str) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pileus.app.main", "top"]
    environment = {**stub.environment(), "TERM": "xterm"}
    child = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    before = termios.tcgetattr(theirs)
    try:
        drawn = b""
        while b"UPTIME" not in drawn or box.encode() not in drawn:
            drawn += os.read(ours, 4096)
        os.write(ours, b"q")
        assert child.wait(20) == 0
        assert b"\x1b[32mrunning" in drawn
        assert termios.tcgetattr(theirs) == before
    finally:
        child.kill()
        child.wait()
        os.close(theirs)
        os.close(ours)


def test_events_follow_the_journal(stub: Stub) -> None:
    stub.client.post("keypairs", body={"name": "before"})
    command = [sys.executable, "-m", "pileus.app.main", "events", "--follow", "-n", "1", "--json"]
    child = subprocess.Popen(command, env=stub.environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        stub.pileus("key", "import", "after", "-", input_text=PUBLIC)
        followed = iter(lambda: json.loads(child.stdout.readline()), None)  # type: ignore[union-attr]  # it is a pipe
        line = next(line for line in followed if line["verb"] == "keypair.import")
        assert line["outcome"] == "done"
    finally:
        child.kill()
        child.communicate()
    assert "keypair.import" in stub.pileus("events", "-n", "100").stdout
    assert stub.pileus("journal", "-n", "3").stdout.startswith("ID ")


def test_a_cloud_elsewhere_is_reached_without_a_state_directory(stub: Stub, tmp_path: Path) -> None:
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    server = stub.endpoints["ec2"]
    done = shell.run(["--endpoint", server, "list", "images"], {**bare, "PILEUS_TOKEN": stub.admin["token"]})
    assert "stub-machine" in done.stdout
    refused = shell.run(["--endpoint", server, "list"], bare)
    assert refused.stderr == f"pileus: The cloud at {server} asks for a token: set PILEUS_TOKEN, or give --profile.\n"
    stub.pileus("profile", "lab")
    files = {"AWS_CONFIG_FILE": str(stub.state.root / ".aws/config")}
    files["AWS_SHARED_CREDENTIALS_FILE"] = str(stub.state.root / ".aws/credentials")
    assert "stub-machine" in shell.run(["--profile", "lab", "list", "images"], {**bare, **files}).stdout
    # An option counts more than the variables.
    nowhere = {**bare, **files, "PILEUS_ENDPOINT": "http://127.0.0.1:1"}
    assert "stub-machine" in shell.run(["--profile", "lab", "list", "images"], nowhere).stdout
    both = shell.run(["list"], {**nowhere, "PILEUS_PROFILE": "lab"})
    assert both.stderr == "pileus: A profile and an endpoint name two clouds: give one of them, or unset a variable.\n"
    for command in ("down", "up", "status"):
        local = shell.run(["--profile", "lab", command], {**bare, **files})
        assert local.returncode == 1
        assert local.stderr.startswith(f"pileus: 'pileus {command}' is about a state directory of this machine")
    assert stub.pileus("profile", "lab", "--remove").stdout == "lab  removed\n"


def test_a_cloud_elsewhere_is_known_by_its_certificate(sealed: Stub, tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PILEUS_TOKEN": sealed.admin["token"]}
    words = ["--endpoint", sealed.endpoints["ec2"], "list", "images"]
    refused = shell.run(words, environment)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is not the cloud" in refused.stderr
    with_ca = {**environment, "PILEUS_CA": str(sealed.state.root / "ca.pem")}
    assert "stub-machine" in shell.run(words, with_ca).stdout
    assert shell.run(["--endpoint", sealed.endpoints["ec2"], "profile", "sealed"], with_ca).returncode == 0
    del environment["PILEUS_TOKEN"]
    assert "stub-machine" in shell.run(["--profile", "sealed", "list", "images"], environment).stdout


def test_a_user_elsewhere_gets_a_profile_with_a_key_of_its_own(stub: Stub, tmp_path: Path) -> None:
    account = json.loads(stub.pileus("user", "create", "faraway", "--json").stdout)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PILEUS_TOKEN": account["token"]}
    for _ in range(2):
        done = shell.run(["--endpoint", stub.endpoints["ec2"], "profile", "far"], environment)
        assert done.returncode == 0, done.stderr
    text = (tmp_path / ".aws/credentials").read_text()
    assert account["access_key"] not in text
    # A second run keeps the key of the first.
    assert (
        len([line for line in stub.pileus("credential", "list", "--all").stdout.splitlines() if " faraway " in line])
        == 3
    )
    bare = {name: text for name, text in environment.items() if name != "PILEUS_TOKEN"}
    assert shell.run(["--profile", "far", "list", "--json"], bare).stdout.strip() == "[]"


@pytest.mark.parametrize("words", [["image", "show", ""], ["ssh", "nounb"], ["list", "sec"]])
def test_a_shell_completes_names_from_the_cloud(stub: Stub, box: str, words: list[str]) -> None:
    environment = {
        **stub.environment(),
        "_PILEUS_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["pileus", *words]),
        "COMP_CWORD": str(len(words)),
    }
    program = str(Path(sys.executable).parent / "pileus")
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    expected = {"image": "stub-machine", "ssh": box, "list": "securitygroups"}[words[0]]
    assert expected in done.stdout.split()
    nowhere = {**environment, "PILEUS_STATE": "/nowhere"}
    if words[0] != "list":
        assert subprocess.run([program], env=nowhere, capture_output=True, text=True, check=False).stdout.strip() == ""


def test_a_shell_completes_no_names_of_another_cloud(stub: Stub, tmp_path: Path) -> None:
    """The option names a cloud where nothing answers; the cloud of the state directory does."""
    environment = {**stub.environment(), "HOME": str(tmp_path), "_PILEUS_COMPLETE": "complete_bash"}
    program = str(Path(sys.executable).parent / "pileus")
    for option in ("--endpoint http://127.0.0.1:1", "--profile nobodys"):
        words = f"pileus {option} image show "
        settings = {"COMP_WORDS": words, "COMP_CWORD": "5", "PILEUS_TOKEN": "t"}
        done = subprocess.run([program], env={**environment, **settings}, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == ""


def test_a_terminal_is_refused_where_there_is_none(stub: Stub) -> None:
    ident = stub.client.post("instances", body={"image": "stub-container"})["instances"][0]["id"]
    assert processes.until(lambda: stub.client.get("instances", ident)["state"] == "running", 20)
    done = stub.pileus("exec", "-t", ident, "--", "true", check=False)
    stub.client.delete("instances", ident)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pileus: Standard input and output are no terminal: leave out -t.\n"


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(stub: Stub, name: str) -> None:
    from typer._completion_shared import get_completion_script  # noqa: PLC0415  (typer's own scripts, for this test)

    text = get_completion_script(prog_name="pileus", complete_var="_PILEUS_COMPLETE", shell=name)
    assert "_PILEUS_COMPLETE" in text
    program: Any = commands()
    options = {option for parameter in program.params for option in parameter.opts}
    assert {"--install-completion", "--show-completion"} <= options
