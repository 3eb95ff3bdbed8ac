"""MiniCloud's tools against a cloud over the stub, as their users have them, and the listener that they connect to."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import time
import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from pileus.app import faces
from pileus.cli.problem import Problem
from pileus.mcc import ProtocolError, Server
from tests.app import mcc
from tests.app.mcc import Tools
from tests.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.app.stub import Stub

HEAD = "\t\tID\tIP\t\tSTATUS\t\tTEMPLATE\t\t\tNAME\n"
LIST = b"<methodCall><methodName>openvz.get_images</methodName></methodCall>"
TEXT = {"content-type": "text/xml"}


def place(stub: Stub) -> str:
    """HOST:PORT of the listener."""
    return stub.endpoints["mcc"].removeprefix("http://")


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def tools(stub: Stub, tmp_path: Path) -> Tools:
    """The tools of somebody who has never used them, on the shared cloud."""
    return Tools(tmp_path, place(stub))


@pytest.fixture
def server(own: Stub) -> Iterator[Callable[..., Tools]]:
    """Starts `mccserver` over the stub on a free port; the tools for it."""
    port = str(free_port())

    def start(*words: str) -> Tools:
        tools = Tools(own.state.root, f"127.0.0.1:{port}", PILEUS_STATE=str(own.state.root))
        status, out, err = tools.run("mccserver", "--provider", "stub", "-l", "localhost", "-p", port, *words)
        assert (status, out) == (0, ""), err
        return tools

    yield start
    own.pileus("down", check=False)


def test_the_session_of_minicloud_s_own_description(server: Callable[..., Tools]) -> None:
    tools = server("-r", "10.0.0.100-10.0.0.200")
    assert tools.out("mcc-list-images") == "IMAGE \tstub-container\n"
    assert tools.out("mcc-list-instance-types") == "".join(
        f"INST_TYPE\t{name}\n" for name in ("basic", "light", "unlimited", "vswap-1024m", "vswap-256m", "vswap-512m")
    )
    assert tools.out("mcc-list-keys") == ""
    key = "ssh-rsa AAAAB3NzaC1yc2.....aQ== mykey"
    assert tools.out("mcc-add-key", "--name", "doylenet", "--public-key", key) == ""
    assert tools.out("mcc-list-keys") == "KEY\tdoylenet\n"
    run = ("-i", "stub-container", "-t", "basic", "-k", "doylenet", "-n", "my-web-server")
    assert tools.out("mcc-run-instances", *run) == "\t\tID\tIP\nINST\t500\t10.0.0.100\n"
    row = "INSTANCE\t500\t10.0.0.100\trunning\t\tstub-container\t\tmy-web-server\n"
    assert tools.out("mcc-list-instances") == HEAD + row
    assert tools.out("mcc-list-instances", "-i", "500") == HEAD + row
    assert tools.out("mcc-list-instances", "-i", "") == HEAD
    assert tools.out("mcc-destroy-instance", "-i", "500") == ""
    until(lambda: tools.states() == [])
    assert tools.out("mcc-list-instances", "--all") == HEAD


def test_a_lost_database_changes_no_list(server: Callable[..., Tools], own: Stub) -> None:
    tools = server("-r", "10.0.0.110-10.0.0.112")
    tools.out("mcc-add-key", "-n", "k", "-p", "x")
    for name in ("one", "two", "three"):
        tools.out("mcc-run-instances", "-i", "stub-container", "-t", "light", "-k", "k", "-n", name)
    until(lambda: tools.states() == ["running"] * 3)
    tools.out("mcc-destroy-instance", "-i", "501")
    until(lambda: tools.states() == ["running"] * 2)
    before = tools.out("mcc-list-instances")
    server("-r", "10.0.0.110-10.0.0.112")
    for wrong in (("-r", "10.0.0.110-10.0.0.113"), ("-r", "10.0.0.110-10.0.0.112", "-l", "127.0.0.2")):
        port = tools.where.rpartition(":")[2]
        status, _, err = tools.run("mccserver", "--provider", "stub", "-l", "localhost", "-p", port, *wrong)
        assert status == 1
        assert f"at 127.0.0.1:{port}, with the range 10.0.0.110-10.0.0.112: mccserver --stop first." in err
    assert tools.run("mccserver", "--stop")[0] == 0
    for path in own.state.cloud.glob("pileus.db*"):
        path.unlink()
    server("-r", "10.0.0.110-10.0.0.112")
    assert tools.out("mcc-list-instances") == before
    again = tools.out("mcc-run-instances", "-i", "stub-container", "-t", "light", "-k", "k")
    assert again == "\t\tID\tIP\nINST\t501\t10.0.0.111\n", "numbers and addresses are known again too"
    assert own.state.root.joinpath("log/mcc-server.log").read_text().count("openvz.run_instance") == 4


def test_mccserver_says_what_is_wrong(own: Stub, tmp_path: Path) -> None:
    tools = Tools(tmp_path, "", PILEUS_STATE=str(own.state.root))
    usage = tools.out("mcserver", "--help")
    assert usage.startswith("Usage: mccserver [OPTIONS]\n")
    for words, why in (
        (("--nonsense",), "invalid option: --nonsense"),
        (("-r",), "missing argument: -r"),
        (("-r", "10.0.0.1"), "invalid argument: --iprange 10.0.0.1"),
        (("-p", "x"), "invalid argument: --port x"),
        (("-l", "nowhere"), "invalid argument: --listen nowhere"),
    ):
        assert tools.run("mccserver", *words) == (1, f"{why}\n\n{usage}", "")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        status, _, err = tools.run("mccserver", "--provider", "stub", "-l", "127.0.0.1", "-p", port)
    assert status == 1
    assert "cannot be listened at" in err
    assert "Traceback" not in err


def test_mccserver_in_the_foreground_ends_with_what_ends_it(own: Stub, tmp_path: Path) -> None:
    port = str(free_port())
    errors = tmp_path / "errors"
    command = [str(mcc.PROGRAMS / "mccserver"), "-f", "--provider=stub", "-l", "127.0.0.1", "-p", port]
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            command, env={**own.environment()}, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as running,
    ):
        assert running.stdout is not None
        assert any('"ready"' in line for line in running.stdout), errors.read_text()
        assert Server(f"127.0.0.1:{port}").images() == ["stub-container"]
        running.send_signal(signal.SIGINT)
        running.stdout.read()
        assert running.wait(30) == 0, errors.read_text()
    with pytest.raises(OSError, match="refused"):
        Server(f"127.0.0.1:{port}").images()


def test_what_is_launched_here_is_an_ordinary_instance_there(stub: Stub, tools: Tools) -> None:
    tools.out("mcc-add-key", "-n", "k", "-p", "ssh-rsa AAAA k")
    name = 'a"; touch x; "'
    launched = json.loads(
        tools.out("mcc-run-instances", "--json", "-i", "stub-container", "-t", "basic", "-k", "k", "-n", name)
    )
    admin = stub.admin
    ec2: Any = boto3.Session().client(
        "ec2",
        endpoint_url=stub.endpoints["ec2"],
        region_name="us-east-1",
        aws_access_key_id=admin["access_key"],
        aws_secret_access_key=admin["secret_key"],
    )
    answer = ec2.describe_instances(Filters=[{"Name": "private-ip-address", "Values": [launched["ip"]]}])
    (instance,) = answer["Reservations"][0]["Instances"]
    assert (instance["InstanceType"], instance["Tags"][0]) == ("basic", {"Key": "Name", "Value": name})
    command = ("mcc-list-instances", "--json", "-i", str(launched["id"]))
    until(lambda: [each.status for each in Server(tools.where).instances(str(launched["id"]))] == ["running"])
    assert json.loads(tools.out(*command)) == [
        {
            "id": str(launched["id"]),
            "ip": launched["ip"],
            "status": "running",
            "ostemplate": "stub-container",
            "name": name,
        }
    ]
    ec2.stop_instances(InstanceIds=[instance["InstanceId"]])
    until(lambda: [each.status for each in Server(tools.where).instances(str(launched["id"]))] == ["stopped"])
    assert str(launched["id"]) not in [each.id for each in Server(place(stub)).instances()]
    tools.out("mcc-destroy-instance", "-i", str(launched["id"]))
    until(lambda: Server(tools.where).instances(str(launched["id"])) == [])


def test_a_name_is_one_cell_of_one_line(tools: Tools, stub: Stub) -> None:
    image = stub.client.get("images", "stub-container")["id"]
    body = {"image": image, "name": "a\nINSTANCE\t1\x7f"}
    ident = stub.client.post("instances", body=body)["instances"][0]["id"]
    number = next(each.id for each in Server(tools.where).instances(all=True) if each.name == body["name"])
    (_, row) = tools.out("mcc-list-instances", "-i", number).splitlines()
    assert row.endswith("\t\ta\ufffdINSTANCE\ufffd1\ufffd")
    stub.client.delete("instances", ident)


def test_tools_say_what_the_original_s_said(tools: Tools, stub: Stub) -> None:
    nowhere = Tools(tools.home, "")
    for name, words in (("mcc-list-images", ()), ("mcc-destroy-instance", ("-i", "1"))):
        assert nowhere.run(name, *words) == (1, "MCC_SERVER environment variable is not defined.\n", "")
    for name in ("mcc-run-instances", "mcc-add-key", "mcc-destroy-key", "mcc-destroy-instance"):
        usage = nowhere.out(name, "-h")
        assert nowhere.run(name) == (1, f"missing argument: \n\n{usage}", "")
        assert nowhere.run(name, "--nonsense") == (1, f"invalid option: --nonsense\n\n{usage}", "")
    assert tools.run("mcc-destroy-instance", "-i", "7") == (0, "Instance ID 7 not found\n", "")
    assert tools.run("mcc-destroy-instance", "-i", "7", "--strict") == (1, "Instance ID 7 not found\n", "")
    text = f"No such file or directory @ apply2files - {tools.home}/.mcc/keys/k.pub\n"
    assert tools.run("mcc-destroy-key", "-n", "k") == (0, text, "")
    assert tools.run("mcc-destroy-key", "-n", "k", "--strict") == (1, text, "")
    assert tools.out("mcc-add-key", "-n", "k", "-p", "x") == ""
    assert tools.run("mcc-add-key", "-n", "k", "-p", "y") == (1, "", "mcc-add-key: Key k already exists\n")
    assert tools.run("mcc-add-key", "-n", "../k", "-p", "y")[0] == 1
    run = ("mcc-run-instances", "-i", "nope", "-t", "basic", "-k")
    for key in ("other", "../../k", "/etc/passwd"):
        assert tools.run(*run, key) == (1, f"Could not find key {key}\n", "")
    why = "Uncaught exception Image template nope not found! in method openvz.run_instance"
    assert tools.run(*run, "k") == (1, "", f"mcc-run-instances: {why}\n")
    status, out, err = Tools(tools.home, "127.0.0.1:1").run("mcc-list-images")
    assert (status, out, err) == (1, "", "mcc-list-images: Connection refused\n")
    assert Tools(tools.home, stub.endpoints["ec2"]).run("mcc-list-images")[0] == 1


def test_pythons_own_client_makes_the_five_calls(stub: Stub) -> None:
    with xmlrpc.client.ServerProxy(f"{stub.endpoints['mcc']}/RPC2") as proxy:
        five_calls(proxy.openvz)


def five_calls(openvz: Any) -> None:
    assert "stub-container" in openvz.get_images()
    assert "basic" in openvz.get_instance_types()
    instance: Any = openvz.run_instance("stub-container", "basic", "ssh-rsa AAAA\n", "python")
    assert isinstance(instance["id"], int)
    (shown,) = openvz.get_instances({"instance": str(instance["id"])})
    assert (shown["id"], shown["ip"], shown["name"]) == (str(instance["id"]), instance["ip"], "python")
    assert openvz.destroy_instance(instance["id"]) is True
    with pytest.raises(xmlrpc.client.Fault) as caught:
        openvz.system()
    assert caught.value.faultCode == 1


def test_sixty_four_calls_at_once_get_sixty_four_numbers_and_addresses(stub: Stub) -> None:
    with ThreadPoolExecutor(64) as threads:
        instances = list(threads.map(lambda _: Server(place(stub)).run("stub-container", "light"), range(64)))
    assert len({each.id for each in instances}) == len({each.ip for each in instances}) == 64
    for each in instances:
        Server(place(stub)).destroy(each.id)


def raw(stub: Stub, head: bytes, body: bytes = b"", seconds: float = 20.0) -> bytes:
    """All that is answered to these bytes."""
    host, _, port = place(stub).partition(":")
    with socket.create_connection((host, int(port)), timeout=seconds) as link:
        link.sendall(head.replace(b"\n", b"\r\n") + b"\r\n" + body)
        answer = b""
        try:
            while part := link.recv(65536):
                answer += part
                if b"</HTML>" in answer or b"</methodResponse>" in answer:
                    break
        except ConnectionResetError:
            pass
    return answer


def test_what_is_too_large_or_has_no_length_is_refused_before_it_is_read(stub: Stub) -> None:
    head = b"POST / HTTP/1.1\nHost: localhost\nContent-Type: text/xml\n"
    assert raw(stub, head + b"Content-Length: 104857600\n", b"x" * 65536).startswith(b"HTTP/1.1 413 ")
    chunked = raw(stub, head + b"Transfer-Encoding: chunked\n", b"5\r\nabcde\r\n0\r\n\r\n")
    assert chunked.startswith(b"HTTP/1.1 411 ")
    assert raw(stub, head).startswith(b"HTTP/1.1 411 ")
    assert raw(stub, b"GET / HTTP/1.1\nHost: localhost\n").startswith(b"HTTP/1.1 405 ")
    answer = raw(stub, head + b"Content-Length: %d\n" % len(LIST), LIST)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"content-type: text/xml; charset=utf-8\r\n" in answer.lower()
    assert b"\r\ncontent-length: " in answer.lower()


def test_a_client_of_a_body_that_is_too_large_reads_why(stub: Stub) -> None:
    host, _, port = place(stub).partition(":")
    link = http.client.HTTPConnection(host, int(port), timeout=20)
    link.request("POST", "/", b"x" * (8 << 20), TEXT)
    assert link.getresponse().status == 413
    link.close()


def test_who_may_call_can_be_bounded(own: Stub) -> None:
    own.settings |= {"PILEUS_MCC_TOKEN": "s3cret", "PILEUS_MCC_ALLOW": "127.0.0.1, 10.0.0.0/8"}
    own.up()
    where = place(own)
    for token in ("", "other"):
        with pytest.raises(ProtocolError, match="401"):
            Server(where, token=token).images()
    assert Server(where, token="s3cret").images() == ["stub-container"]
    with xmlrpc.client.ServerProxy(f"http://anyone:s3cret@{where}/") as basic:
        assert basic.openvz.get_images() == ["stub-container"]
    assert Tools(own.state.root, where, MCC_TOKEN="s3cret").out("mcc-list-images") == "IMAGE \tstub-container\n"
    assert "s3cret" not in own.state.log("cloud").read_text()
    host, _, port = where.partition(":")
    link = http.client.HTTPConnection(host, int(port), timeout=20, source_address=("127.0.0.2", 0))
    link.request("POST", "/", LIST, {**TEXT, "Authorization": "Bearer s3cret"})
    assert link.getresponse().status == 403
    link.close()


def test_settings_that_make_no_sense() -> None:
    for name, value in (("LISTEN", "8080"), ("RANGE", "10.0.0.9-10.0.0.1"), ("RANGE", "x"), ("ALLOW", "x")):
        with pytest.raises(Problem, match=f"PILEUS_MCC_{name}"):
            faces.chosen({f"PILEUS_MCC_{name}": value})
