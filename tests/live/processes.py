"""A cloud of several processes and joined stub hosts: started, ended, stopped and looked at by tests."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pileus.app import certificates
from pileus.app.processes import until
from pileus.app.state import StateDirectory
from pileus.cli.client import Client
from pileus.cli.problem import Problem
from pileus.model.instance import Instance
from pileus.rules import recount
from pileus.store.migrate import newest
from pileus.store.store import Store
from tests.services.mariadb import Mariadb
from tests.services.postgresql import Postgresql
from tests.services.process import free_port
from tests.services.rabbitmq import RabbitMq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Database = Postgresql | Mariadb

T = TypeVar("T")

RUN = "from pileus.app.main import run; run()"
LAUNCH = {"image": "stub-machine", "flavor": "m1.tiny"}


class Cloud:
    """The processes of one cloud by name, and the machines that joined it.

    `database` is a server of its own, or None for a file. `sources` has, for processes of another version, the folder
    of its code. `settings` are those of every process.
    """

    def __init__(self, root: Path, database: Database | None = None, **settings: str) -> None:
        self.root = root
        self.database = database
        self.url = database.new("pileus") if database is not None else f"sqlite:///{root}/c/cloud/pileus.db"
        self.settings = settings
        self.state = StateDirectory(root / "c")
        self.sources: dict[str, Path] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        self._errors: dict[str, threading.Thread] = {}
        self._commands: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {}
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

    # -- processes -----------------------------------------------------------------------------------------------

    def environment(self, name: str) -> dict[str, str]:
        """Nothing of whoever runs the test."""
        found = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.root), **self.settings}
        return found | ({"PYTHONPATH": str(self.sources[name])} if name in self.sources else {})

    def run(self, name: str, *words: str, **settings: str) -> None:
        """Start a process. Its errors reach its log by a pipe, whatever its own disk takes."""
        self._commands[name] = words, settings
        environment = {**self.environment(name), **settings}
        log = self.root / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                pileus(*words), env=environment, stdout=output, stderr=subprocess.PIPE, cwd=self.root
            )
        self.processes[name] = process
        self._errors[name] = threading.Thread(
            target=_append, args=(process, log), name=f"errors of {name}", daemon=True
        )
        self._errors[name].start()

    def again(self, name: str) -> None:
        """Start one as it was started before."""
        words, settings = self._commands[name]
        self.run(name, *words, **settings)

    def role(self, name: str, role: str, **settings: str) -> None:
        """Start an `api` or a `loops`."""
        self.ports[name] = free_port()
        words = [role, "--provider", "stub", "--state", str(self.state.root)]
        own = {"PILEUS_TLS": "own", "PILEUS_BUS": self.broker.url, **settings}
        if self.database is not None:
            own["PILEUS_STORE"] = self.url
        self.run(name, *words, "--listen", f"127.0.0.1:{self.ports[name]}", **own)

    def kill(self, name: str) -> None:
        """End one by SIGKILL."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self, name: str) -> None:
        """End one in order."""
        process = self.processes.pop(name)
        process.terminate()
        process.wait(30)

    def pause(self, name: str) -> None:
        """Stop one by SIGSTOP."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """Let one that was stopped go on."""
        self.processes[name].send_signal(signal.SIGCONT)

    def end(self) -> None:
        """End all."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.broker.stop()

    def healthy(self, name: str) -> bool:
        """Whether a process says that it can do its work, and lacks nothing."""
        return self.health(name) == (200, "ok\n")

    def health(self, name: str) -> tuple[int, str]:
        """What a process says of itself: the status, and what it lacks; 0 when it does not answer."""
        url = f"{'https' if name.startswith('api') else 'http'}://127.0.0.1:{self.ports[name]}/healthz"
        try:
            # Who that is, is another test's; before the first `api` is ready nobody knows the authority.
            answer = httpx.get(url, timeout=8, verify=False, trust_env=False)  # noqa: S501
        except httpx.HTTPError as error:
            return 0, repr(error)
        return answer.status_code, answer.text

    def why(self) -> dict[str, str]:
        """The health that each process tells, and the end of the log of each process and host."""
        logs = {name: (self.root / f"{name}.log").read_text(errors="replace")[-4000:] for name in self.processes}
        return {name: f"{self.health(name) if name in self.ports else ''}\n{log}" for name, log in logs.items()}

    def last_words(self, name: str) -> str:
        """The end of the log of a process that has ended: at most 2,000 characters."""
        self._errors[name].join(10)
        return (self.root / f"{name}.log").read_text(errors="replace")[-2000:]

    def log(self, name: str) -> list[dict[str, Any]]:
        """What a process logged so far."""
        lines = (self.root / f"{name}.log").read_text(errors="replace").splitlines()
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    # -- clients -------------------------------------------------------------------------------------------------

    @property
    def admin(self) -> dict[str, str]:
        """The administrator's credentials."""
        found: dict[str, str] = json.loads(self.state.admin.read_text())
        return found

    def client(self, name: str) -> Client:
        """The administrator, at one `api`."""
        return Client(f"https://127.0.0.1:{self.ports[name]}/v1", self.admin["token"], self.state.ca)

    def ec2(self, name: str) -> Any:
        """The same by EC2; nothing is asked again by itself."""
        return self.aws(
            name, "ec2", aws_access_key_id=self.admin["access_key"], aws_secret_access_key=self.admin["secret_key"]
        )

    def aws(self, name: str, service: str, **credentials: str) -> Any:
        """A client of a service at one `api`, with any credentials."""
        session: Any = boto3.Session()
        return session.client(
            service,
            endpoint_url=f"https://127.0.0.1:{self.ports[name]}",
            region_name="us-east-1",
            **credentials,
            verify=str(self.state.ca),
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60),
        )

    def join(self, name: str, at: str = "api-1") -> StateDirectory:
        """Have a machine join, over the stub, and run."""
        made = self.client(at).post("hosttokens", body={"host": name})
        machine = StateDirectory(self.root / name)
        words = ["host", "join", made["url"], made["token"], "--name", name, "--state", str(machine.root)]
        command = pileus(*words)
        done = subprocess.run(command, env=self.environment(name), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.run(name, "host", "run", "--provider", "stub", "--state", str(machine.root))
        return machine

    def reroute(self, name: str, bus: str) -> None:
        """Have a host's process begin anew, with the broker at `bus`."""
        words, settings = self._commands[name]
        self.kill(name)
        self.run(name, *words, **{**settings, "PILEUS_BUS": bus})

    # -- what there is -------------------------------------------------------------------------------------------

    def launched(self, at: str, count: int, token: str = "") -> list[str]:
        """Launch; the ids."""
        body = {**LAUNCH, "least": count, "most": count, **({"token": token} if token else {})}
        return [one["id"] for one in self.client(at).post("instances", body=body)["instances"]]

    def states(self, at: str = "api-2") -> dict[str, str]:
        """The state of every instance."""
        return {one["id"]: one["state"] for one in self.client(at).all("instances")}

    def all_in(self, state: str, idents: list[str], at: str = "api-2") -> bool:
        """Whether these are in this state; False also when the cloud does not say."""
        try:
            found = self.states(at)
        except Problem:
            return False
        return all(found.get(ident, "terminated") == state for ident in idents)

    def hosts(self) -> dict[str, str]:
        """The state of every host."""
        return {one["name"]: one["state"] for one in self.client("api-2").all("hosts")}

    def store(self) -> Store:
        """Its database, to look at."""
        return Store(self.url)

    def wrong(self) -> list[str]:
        """What claims, usage and the books of hosts have otherwise than the rows say; empty when all is well."""
        store = self.store()
        with store.read() as tx:
            found = recount.differences(tx)
            placed = {row.uuid: row.assigned.host for row in tx.list(Instance)}
        store.close()
        held = [(path.stem, path.parts[-4]) for path in self.root.glob("*/host/orders/*.json")]
        found += [f"{host} holds {ident}, which is at {placed.get(ident)}" for ident, host in held
                  if placed.get(ident) != host]  # fmt: skip
        names = {ident for ident, _ in held}
        return found + [f"nobody holds {ident} of {host}" for ident, host in placed.items() if ident not in names]

    def settles(self, seconds: float = 60.0) -> list[str]:
        """What is still wrong after a while."""
        until(lambda: not self.wrong(), seconds, 0.5)
        return self.wrong()

    def starts(self, ident: str, at: str = "api-2") -> int:
        """How often an instance's body was started on its host, since that began."""
        # Who was connected to a broker that ended is so again some seconds after it began.
        said, _ = insist([lambda: self.client(at).get("instances", ident, "console")["output"]], 30)
        return str(said).count(" starts as ")


def _append(process: subprocess.Popen[bytes], log: Path) -> None:
    """Append the errors of a process to its log until it ends."""
    assert process.stderr is not None
    with process.stderr, log.open("ab") as file:
        for line in process.stderr:
            file.write(line)
            file.flush()


def fill_disk(pid: int) -> None:
    """Fill the disk of a process: nothing that it writes to a file succeeds. ProcessLookupError when it has ended."""
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))


def empty_disk(pid: int) -> None:
    """Undo `fill_disk`."""
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


def pileus(*words: str) -> list[str]:
    """The command `pileus WORDS`, of the version that PYTHONPATH says."""
    return [sys.executable, "-c", RUN, *words]


def insist(asks: list[Callable[[], T]], seconds: float = 120.0) -> tuple[T, int]:
    """Ask one after the other, as behind one address, until there is an answer; it, and the number of repetitions."""
    deadline, tries = time.monotonic() + seconds, 0
    while True:
        try:
            return asks[tries % len(asks)](), tries
        except (Problem, ClientError, BotoCoreError):
            if time.monotonic() > deadline:
                raise
            tries += 1
            time.sleep(0.2)


def draw(seed: int, what: str) -> random.Random:
    """Numbers that follow from the seed, which is printed."""
    print(f"{what}: SEED={seed}")
    return random.Random(f"{seed} {what}")


def token() -> str:
    """A client token."""
    return uuid.uuid4().hex


def folder() -> Path:
    """Where a cloud is kept: a path short enough for sockets."""
    return Path(tempfile.mkdtemp(prefix="pr-"))


@contextlib.contextmanager
def running(server: type[Database] | None = Postgresql, **settings: str) -> Iterator[Cloud]:
    """Two `api`, two `loops`, and the hosts east and west, with a broker and a database of their own.

    Without a `server` the database is a file.
    """
    root = folder()
    database = server() if server is not None else None
    made = Cloud(root, database, **settings)
    try:
        made.broker.start()
        begin(made)
        yield made
    finally:
        made.end()
        if database is not None:
            database.remove()
        shutil.rmtree(root, ignore_errors=True)


def _has_tables(database: Path) -> bool:
    """Whether all tables are there."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as link:
            return bool(link.execute("SELECT version_num FROM alembic_version").fetchone() == (newest(),))
    except sqlite3.Error:
        return False


def begin(cloud: Cloud) -> None:
    """Start all of them, and wait until they work."""
    admin = f"http://admin:{cloud.broker.password}@127.0.0.1:{cloud.broker.management_port}"
    cloud.role("loops-1", "loops")
    if cloud.database is None:
        # Two that make its tables at once are another test's.
        assert until(lambda: _has_tables(cloud.state.cloud / "pileus.db"), 120, 0.2)
    cloud.role("api-1", "api", PILEUS_INTERNAL=f"127.0.0.1:{free_port()}", PILEUS_BROKER_ADMIN=admin)
    assert until(cloud.state.endpoints.exists, 240, 0.2), cloud.why()
    for name in ("east", "west"):
        cloud.join(name)
    cloud.role("loops-2", "loops")
    cloud.role("api-2", "api")
    assert until(lambda: all(map(cloud.healthy, cloud.ports)), 180, 0.2), cloud.why()
    assert until(lambda: cloud.hosts() == {"east": "active", "west": "active"}, 120, 0.2)
