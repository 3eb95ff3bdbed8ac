"""The daily commands of instances, on a cloud over the stub."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.app.stub import Stub


@pytest.fixture(scope="module")
def web(stub: Stub) -> str:
    """The id of an instance called `web`."""
    ident, name, state = stub.pileus("launch", "stub-container", "--name", "web", "--wait").stdout.split()
    assert (name, state) == ("web", "running")
    return ident


def refusal(stub: Stub, *words: str) -> tuple[int, str]:
    """The status and the message of a command that is refused."""
    done = stub.pileus(*words, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_a_launch_gives_key_rule_and_tags(stub: Stub, web: str) -> None:
    document = stub.client.get("instances", web)
    assert (document["key"], document["tags"]["Name"]) == ("default", "web")
    assert sorted(document["groups"]) == ["default", "launch 22@127.0.0.0/8"]
    ingress = stub.client.get("instances", "web", "ingress")["ingress"]
    assert {"cidr": "127.0.0.0/8", "port_min": 22, "port_max": 22} in ingress
    assert (Path(stub.environment()["HOME"]) / ".pileus/keys").is_dir()


def test_power_by_name_and_id_several_at_once(stub: Stub, web: str) -> None:
    words = ["launch", "stub-machine", "--name", "db", "--count", "2", "--rule", "none", "--tag", "k=v", "--json"]
    first, second = json.loads(stub.pileus(*words).stdout)
    assert [each["name"] for each in (first, second)] == ["db-1", "db-2"]
    assert first["tags"] == {"Name": "db-1", "k": "v"}
    assert stub.pileus("stop", "web", "db-1", second["id"], "--wait").stdout.split()[2::3] == ["stopped"] * 3
    assert refusal(stub, "exec", "web", "true") == (1, "pileus: web is stopped: 'pileus start web' starts it.\n")
    assert stub.pileus("start", "web", "db-1", "--wait").stdout.split()[2::3] == ["running"] * 2
    assert stub.pileus("restart", web, "--wait").stdout.split() == [web, "web", "running"]
    assert stub.pileus("wait", "db-2", "--for", "stopped").stdout.split()[2] == "stopped"
    assert refusal(stub, "wait", "db-2") == (1, "pileus: db-2 is stopped: 'pileus start db-2' starts it.\n")
    assert stub.pileus("delete", "db-1", "db-2", "--wait").stdout.split()[2::3] == ["terminated"] * 2


def test_nothing_is_done_where_one_name_is_wrong(stub: Stub, web: str) -> None:
    assert refusal(stub, "stop", "web", "nobody") == (1, "pileus: The instance ID 'nobody' does not exist (NotFound)\n")
    assert stub.client.get("instances", web)["state"] == "running"


def test_a_name_of_two_is_refused_with_both_ids(stub: Stub) -> None:
    idents = [stub.pileus("launch", "stub-machine", "--name", "twin").stdout.split()[0] for _ in range(2)]
    message = f"2 instances are named 'twin': {', '.join(idents)}. Name one by its id. (NotFound)"
    assert refusal(stub, "delete", "twin") == (1, f"pileus: {message}\n")
    stub.pileus("delete", *idents)


def test_a_name_that_awscli_gives_is_the_name(stub: Stub, web: str) -> None:
    exports = stub.pileus("env").stdout
    aws = Path(sys.executable).parent / "aws"
    script = f"{exports}\n{aws} ec2 create-tags --resources {web} --tags Key=Name,Value=blue"
    subprocess.run(["sh", "-c", script], env={**stub.environment()}, check=True)
    assert re.search(rf"^{web} +blue ", stub.pileus("list").stdout, re.MULTILINE)
    assert stub.pileus("start", "blue").stdout.split()[:2] == [web, "blue"]
    stub.pileus("rename", "instance", "blue", "web")
    assert stub.client.get("instances", web)["tags"]["Name"] == "web"


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["launch", "nope"], 1, r"There is no image 'nope'\. There are: .*stub-container.*\."),
        (["launch", "stub-machine", "--flavor", "x9"], 1, r"There is no flavor 'x9'\. Flavors offered: m1\.tiny, .*\."),
        (["launch", "stub-machine", "--count", "2", "--ssh"], 2, "--ssh logs in to one instance, .*"),
        (["wait", "web", "--for", "ready"], 2, r"'ready' is no state to wait for: up, running, stopped, terminated\."),
        (["exec", "web"], 2, r"Which command\? 'pileus exec INSTANCE -- COMMAND'; 'pileus shell INSTANCE' .*"),
        (["forward", "web", "ssh"], 2, r"'ssh' is no port: write PORT, or LOCAL:PORT\."),
        (["forward", "web", "70000:22"], 2, r"'70000:22' is no port: ports are at most 65535\."),
        (["cp", "a", "b"], 2, "One side is this machine, the other INSTANCE:PATH: 'pileus cp FILE web:/tmp/'."),
        (["cp", "web:a", "web:b"], 2, "One side is this machine, the other INSTANCE:PATH: 'pileus cp FILE web:/tmp/'."),
        (["ssh", "web", "--all"], 2, "ssh has no option --all. A command with such a word follows '--'."),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_mistakes_are_said_in_one_line(stub: Stub, words: list[str], status: int, message: str) -> None:
    code, printed = refusal(stub, *words)
    assert code == status
    assert re.fullmatch(f"pileus: {message}\n", printed)


@pytest.mark.usefixtures("web")
def test_a_command_has_its_words_and_its_input(stub: Stub) -> None:
    """The stub's commands print their words, then their input."""
    done = stub.pileus("exec", "web", "--", "sh", "-c", "a; b", input_text="one\ntwo\n")
    assert done.stdout == "sh -c a; b\none\ntwo\n"
    assert stub.pileus("exec", "web", "ls", "-l").stdout == "ls -l\n"
    assert stub.pileus("shell", "web", input_text="exit\n").stdout.endswith("exit\n")


@pytest.mark.usefixtures("web")
def test_the_console_is_joined_and_its_log_is_printed(stub: Stub) -> None:
    done = stub.pileus("console", "web", input_text="hello\x1d")
    assert done.stderr == "The console of web: ^] leaves it.\n\n"
    log = stub.pileus("logs", "web").stdout
    assert " starts as " in log
    assert stub.pileus("logs", "-f", "web").stdout == log


@pytest.mark.usefixtures("web")
def test_a_port_is_forwarded_for_each_connection(stub: Stub) -> None:
    """The stub's ports echo."""
    words = [str(Path(sys.executable).parent / "pileus"), "forward", "web", "0:80"]
    with subprocess.Popen(words, env=stub.environment(), stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            match = re.fullmatch(r"127\.0\.0\.1:(\d+) leads to port 80 of i-[0-9a-f]{17}; \^C ends it\.\n", line)
            assert match, line
            links = [socket.create_connection(("127.0.0.1", int(match[1])), 10) for _ in range(2)]
            for number, link in enumerate(links):
                with link:
                    link.sendall(b"%d" % number)
                    assert link.recv(10) == b"%d" % number
            busy = stub.pileus("forward", "web", f"{match[1]}:80", check=False)
        finally:
            running.terminate()
    text = f"Port {match[1]} of this machine is not to be had (Address already in use): name another, LOCAL:80."
    assert (busy.returncode, busy.stderr) == (1, f"pileus: {text}\n")


def test_a_stranger_reaches_no_command_of_anothers_instance(stub: Stub, web: str) -> None:
    """Members of its project and administrators alone: for all others the instance is not there."""
    account = json.loads(stub.pileus("user", "create", "mallory", "--json").stdout)
    script = """
import asyncio, sys
from pileus.cli import streams
from pileus.cli.client import Client
from pileus.cli.problem import Problem
async def read(words):
    async with streams.opened(Client(sys.argv[1], sys.argv[2]), sys.argv[3], *words) as link:
        return await link.receive()
for words in (("exec",), ("console", "attach"), ("console", "follow"), ("connect", "22")):
    try:
        print(streams.run(read(words)))
    except Problem as problem:
        print(problem.message)
"""
    words = [sys.executable, "-c", script, stub.endpoints["rest"], account["token"], web]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{web}: The instance ID '{web}' does not exist"] * 4
