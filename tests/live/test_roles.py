"""A cloud of several processes and joined hosts: two of each role over one broker, with certificates of its own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.app import certificates
from pileus.app.processes import until
from pileus.app.state import State
from pileus.cli.client import Client
from tests.services.rabbitmq import RabbitMq

if TYPE_CHECKING:
    from collections.abc import Iterator

PILEUS = str(Path(sys.executable).parent / "pileus")


class Cloud:
    """The processes of one cloud by name, and the machines that joined it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = State(root / "c")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        (self.state.cloud).mkdir(parents=True, mode=0o700)
        authority = certificates.authority(self.state.cloud)
        self.broker = RabbitMq(root / "mq")
        # The broker is one of the cloud's own parts: it is known, and knows hosts, by the cloud's authority.
        pair = authority.server(["127.0.0.1"])
        assert self.broker.tls.certificate is not None
        assert self.broker.tls.key is not None
        self.broker.authority.ca.write_bytes(authority.pem)
        self.broker.tls.certificate.write_bytes(pair)
        self.broker.tls.key.write_bytes(pair)

    def run(self, name: str, *words: str, **settings: str) -> None:
        """Start a process."""
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.root), **settings}
        with (self.root / f"{name}.log").open("ab") as said:
            self.processes[name] = subprocess.Popen([PILEUS, *words], env=environment, stdout=said, stderr=said)

    def role(self, name: str, role: str, **settings: str) -> None:
        """Start an `api` or a `loops`."""
        self.ports[name] = free()
        words = [role, "--provider", "stub", "--state", str(self.state.root)]
        own = {"PILEUS_TLS": "own", "PILEUS_BUS": self.broker.url, **settings}
        self.run(name, *words, "--listen", f"127.0.0.1:{self.ports[name]}", **own)

    def kill(self, name: str) -> None:
        """End one by SIGKILL."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        """End all."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(30)
        self.broker.stop()

    def healthy(self, name: str) -> bool:
        """Whether a process with loops says that it can do its work."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}/healthz", timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            return False

    def client(self, name: str) -> Client:
        """The administrator, at one `api`."""
        token = json.loads(self.state.admin.read_text())["token"]
        return Client(f"https://127.0.0.1:{self.ports[name]}/v1", token, self.state.ca)

    def join(self, name: str) -> State:
        """Have a machine join, over the stub, and run."""
        made = self.client("api-1").post("hosttokens", body={"host": name})
        machine = State(self.root / name)
        words = ["host", "join", made["url"], made["token"], "--name", name, "--state", str(machine.root)]
        done = subprocess.run([PILEUS, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.run(name, "host", "run", "--provider", "stub", "--state", str(machine.root))
        return machine


def free() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """Two `api`, two `loops`, and two hosts that joined."""
    root = Path(tempfile.mkdtemp(prefix="pr-"))
    made = Cloud(root)
    try:
        made.broker.start()
        at = f"127.0.0.1:{free()}"
        admin = f"http://admin:{made.broker.password}@127.0.0.1:{made.broker.management_port}"
        made.role("loops-1", "loops")
        assert until((made.state.cloud / "pileus.db").exists, 60, 0.2)
        time.sleep(2.0)  # its tables are made by then; two that make them at once are another test's
        made.role("api-1", "api", PILEUS_INTERNAL=at, PILEUS_BROKER_ADMIN=admin)
        assert until(made.state.endpoints.exists, 90, 0.2), (root / "api-1.log").read_text()[-3000:]
        for name in ("east", "west"):
            made.join(name)
        made.role("loops-2", "loops")
        made.role("api-2", "api")
        assert until(lambda: made.healthy("loops-1") and made.healthy("loops-2"), 90, 0.2)
        yield made
    finally:
        made.end()
        shutil.rmtree(root, ignore_errors=True)


def launched(cloud: Cloud, at: str, count: int) -> list[str]:
    body = {"image": "stub-machine", "flavor": "m1.tiny", "least": count, "most": count}
    made = cloud.client(at).post("instances", body=body)["instances"]
    return [one["id"] for one in made]


def running(cloud: Cloud, at: str, idents: list[str]) -> bool:
    found = {one["id"]: one["state"] for one in cloud.client(at).all("instances")}
    return all(found.get(ident) == "running" for ident in idents)


@pytest.mark.cost(60)
def test_what_one_process_takes_is_done_by_others_on_hosts_that_joined(cloud: Cloud) -> None:
    made = launched(cloud, "api-1", 10) + launched(cloud, "api-2", 10)
    assert until(lambda: running(cloud, "api-2", made), 60, 0.2), (cloud.root / "loops-1.log").read_text()[-3000:]
    shown = {one["id"]: one["host"] for one in cloud.client("api-1").all("instances")}
    assert {shown[ident] for ident in made} <= {"east", "west"}
    # A console is bytes from the host itself, known by its certificate.
    assert "output" in cloud.client("api-2").get("instances", made[0], "console")


@pytest.mark.cost(60)
def test_the_cloud_outlives_any_of_its_processes(cloud: Cloud) -> None:
    cloud.kill("loops-1")
    made = launched(cloud, "api-2", 5)
    assert until(lambda: running(cloud, "api-2", made), 60, 0.2)
    # Without any, requests are taken all the same; who comes first does them.
    cloud.kill("loops-2")
    waiting = launched(cloud, "api-1", 3)
    assert not running(cloud, "api-1", waiting)
    cloud.role("loops-1", "loops")
    assert until(lambda: running(cloud, "api-1", [*made, *waiting]), 90, 0.2)
    cloud.role("loops-2", "loops")
    assert until(lambda: cloud.healthy("loops-2"), 60, 0.2)


@pytest.mark.cost(30)
def test_a_host_without_its_certificate_is_nobody_to_broker_and_cloud(cloud: Cloud) -> None:
    machine = State(cloud.root / "east")
    found = json.loads(machine.joined.read_text())
    assert "admin" not in found["bus"]
    assert oct((machine.identity / "host.pem").stat().st_mode & 0o777) == "0o600"
    stranger = State(cloud.root / "stranger")
    shutil.copytree(machine.root, stranger.root, ignore=shutil.ignore_patterns("run", "channels", "host"))
    other = certificates.authority(cloud.root)
    key, asked = certificates.new_request("east")
    (stranger.identity / "host.pem").write_bytes(key + other.host(asked, "east")[0])
    cloud.run("stranger", "host", "run", "--provider", "stub", "--state", str(stranger.root))
    assert until(lambda: "broker does not answer" in (cloud.root / "stranger.log").read_text(), 30, 0.2)
    cloud.kill("stranger")
