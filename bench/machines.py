"""A cloud of several processes over PostgreSQL and RabbitMQ with a swarm of stub hosts, for a benchmark."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text

from bench.load import Client, Target
from bench.server import UNBOUNDED, free_port
from pileus.cli.client import Client as Rest
from pileus.faces.wire.signing import SigningCredential
from pileus.model.caller import SYSTEM
from pileus.model.host import Host
from pileus.providers.stub.provider import StubProvider
from pileus.rules.core import Core, Place
from pileus.store.dialect import dialect_of
from pileus.store.store import Store
from pileus.verbs import project
from tests.services.postgresql import Postgresql
from tests.services.rabbitmq import RabbitMq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 240.0

ROOM = Place(subnet_cidr="172.31.0.0/18")
"""Of the project's network: sixteen thousand addresses, for lists are of one project."""

_PILEUS = str(Path(sys.executable).parent / "pileus")


class Machines:
    """The processes by name, and how to ask them. Every commit is synced to the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "c"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        self.broker = RabbitMq(root / "mq")
        self.database = Postgresql(durable=True)
        self.url = f"{self.database.url.rpartition('/')[0]}/scale"
        self.broker.start()
        engine = create_engine(dialect_of(self.database.url, "normal").sql, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("CREATE DATABASE scale"))
        engine.dispose()
        self.store: Store | None = None

    def run(self, name: str, words: list[str], **settings: str) -> None:
        """Start a process; what it says goes into a file of its name."""
        own = {"PILEUS_STORE": self.url, "PILEUS_BUS": self.broker.plain, **UNBOUNDED}
        environment = {**os.environ, **own, **settings}
        with (self.root / f"{name}.log").open("ab") as said:
            self.processes[name] = subprocess.Popen(words, env=environment, stdout=said, stderr=said)

    def role(self, role: str, number: int) -> None:
        """Start an `api` or a `loops`."""
        name = f"{role}-{number}"
        self.ports[name] = free_port()
        where = ["--state", str(self.state), "--listen", f"127.0.0.1:{self.ports[name]}"]
        self.run(name, [_PILEUS, role, "--provider", "stub", *where])

    def swarm(self, hosts: int) -> None:
        """Start the hosts."""
        self.run("hosts", [sys.executable, "-m", "bench.swarm", self.broker.plain, "0", str(hosts)])

    def wait(self, done: Callable[[], bool], what: str) -> float:
        """Seconds until it is so; RuntimeError with what the processes said when it does not come to be."""
        began = time.monotonic()
        while not done():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() - began > PATIENCE:
                said = [(self.root / f"{name}.log").read_text()[-1500:] for name in self.processes]
                raise RuntimeError("\n".join([f"{what}: it does not come to be ({ended} ended)", *said]))
            time.sleep(0.05)
        return time.monotonic() - began

    def known(self) -> int:
        """How many hosts have been heard."""
        if self.store is None:
            self.store = Store(self.url)
        with self.store.read() as tx:
            return len(tx.texts(Host))

    def target(self, quiet: str = "api-1") -> Target:
        """A user with a project without limits and a wide network, at one `api`."""
        if self.store is None:
            self.store = Store(self.url)
        project.ensure(SYSTEM, Core(self.store, None, StubProvider(), bytes(32), ROOM), "wide", {})  # type: ignore[arg-type]
        token = json.loads((self.state / "admin.json").read_text())["token"]
        rest = Rest(f"http://127.0.0.1:{self.ports[quiet]}/v1", token)
        made = rest.post("users", body={"name": "ann", "project": "wide"})
        credential = SigningCredential(made["access_key"], made["secret_key"].encode(), "us-east-1", "ec2")
        return Target("pileus", self.ports[quiet], credential, ())

    def metrics(self, name: str) -> str:
        """What a process tells Prometheus."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}/metrics", timeout=60) as answer:
            said: bytes = answer.read()
            return said.decode()

    def pids(self) -> dict[str, list[int]]:
        """The processes of each part, with what they started."""
        every = _parents()
        found = {name: _family(process.pid, every) for name, process in self.processes.items()}
        found["postgresql"] = _family(int((self.database.data / "postmaster.pid").read_text().split()[0]), every)
        found["rabbitmq"] = self.broker.pids()
        return found

    def end(self) -> None:
        """End all, and remove it."""
        if self.store is not None:
            self.store.close()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
        self.database.remove()
        self.broker.stop()


def ask(target: Target, form: str) -> str:
    """The answer to one EC2 action on a connection of its own."""
    return Client(target.port).ask(target.request(f"Action={form}&Version=2016-11-15")).decode()


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _family(pid: int, parents: dict[int, int]) -> list[int]:
    return [pid, *(kin for child, parent in parents.items() if parent == pid for kin in _family(child, parents))]


@contextlib.contextmanager
def running(hosts: int, apis: int, loops: int) -> Iterator[Machines]:
    """So many hosts, all of them heard, and so many processes of each role; removed afterwards."""
    root = Path(tempfile.mkdtemp(prefix="psc-"))
    made = Machines(root)
    try:
        made.role("loops", 1)
        made.wait(lambda: "ready" in (root / "loops-1.log").read_text(), "the first loops")
        made.role("api", 1)
        made.wait((made.state / "endpoints.json").exists, "the first api")
        for number in range(2, apis + 1):
            made.role("api", number)
        for number in range(2, loops + 1):
            made.role("loops", number)
        made.swarm(hosts)
        yield made
    finally:
        made.end()
        shutil.rmtree(root, ignore_errors=True)
