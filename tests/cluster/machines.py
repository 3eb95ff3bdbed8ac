"""A cloud of several machines, started by the commands of docs/operating.md: `cloud`, `host1`, `host2`, and `world`.

Machines are network namespaces (wires.py) with a state directory each. On `cloud` are RabbitMQ, PostgreSQL, OVN's
databases, two `pileus api` behind one address and two `pileus loops`; hosts have a switch and a libvirtd of their own.
`world` is who is outside, and whose clients ask the cloud.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from pileus.app.state import StateDirectory
from pileus.app.up import running
from pileus.posix.processes import owner
from pileus.providers.local.layout import Layout
from tests.cluster.wires import OUTSIDE, RANGES, TUNNELS, Machine, Wires
from tests.live.cloud import until
from tests.live.daemons import SOUTHBOUND_PORT
from tests.services.postgresql import Postgresql
from tests.services.rabbitmq import RabbitMq

PILEUS = str(Path(sys.executable).parent / "pileus")
PORT, INTERNAL = 8770, 8774
USER = "pileus"
"""Who the roles of the cloud are; what runs machines is root's."""

HOSTS = ("host1", "host2")
ROLES = ("api-1", "api-2", "loops-1", "loops-2")
PARTS = ("central", *ROLES, "broker", "database")
"""What the cloud's side is made of."""


class Cluster:
    """`start` has all of it run, `end` takes it down.

    Parts are `central`, those of ROLES, `broker`, `database`, and on a host what `pileus status` names: `host1/switch`.
    """

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="pc-", dir="/tmp"))
        self.root.chmod(0o755)
        self.wires = Wires()
        self.state = StateDirectory(self.root / "c")
        self.hosts = {name: StateDirectory(self.root / name) for name in HOSTS}
        self.parts: dict[str, subprocess.Popen[bytes]] = {}
        self.broker: RabbitMq | None = None
        self.database: Postgresql | None = None

    @property
    def cloud(self) -> Machine:
        """The machine with the cloud's own parts."""
        return self.wires.machines["cloud"]

    @property
    def world(self) -> Machine:
        """The machine outside."""
        return self.wires.machines["world"]

    @property
    def admin(self) -> dict[str, str]:
        """The administrator's credentials."""
        found: dict[str, str] = json.loads(self.state.admin.read_text())
        return found

    def layout(self, host: str) -> Layout:
        """A host's machine-wide names."""
        return Layout(self.hosts[host].root)

    def start(self) -> None:
        """Start everything, and wait until both hosts are active."""
        self.wires.begin()
        for name in ("cloud", *HOSTS):
            self.wires.machine(name)
        account = pwd.getpwnam(USER)
        self.state.root.mkdir()
        os.chown(self.state.root, account.pw_uid, account.pw_gid)
        self._services()
        self.run_central()
        for name in ROLES:
            self.run_role(name)
            # The first one makes what all of them share.
            if name == "api-1":
                until("the database has its tables", (self.state.cloud / "objects").exists)
        until("the cloud answers", self.state.endpoints.exists)
        for name in HOSTS:
            self.join(name)
        until("both hosts are active", lambda: list(self.states().values()) == ["active", "active"])

    def _services(self) -> None:
        """The broker, known and knowing hosts by the cloud's authority, and the database."""
        at = self.cloud.address()
        made = self.pileus("cloud", "certificate", "--make-authority", at, state=self.state, user=USER)
        self._certificate = self.root / "central.pem"
        self._certificate.touch(mode=0o600)
        self._certificate.write_text(made)
        self.database = self.cloud.run(Postgresql)
        broker = self.cloud.run(lambda: RabbitMq(self.root / "mq", at))
        assert broker.tls.certificate
        assert broker.tls.key
        broker.tls.certificate.write_text(made)
        broker.tls.key.write_text(made)
        end = "-----END CERTIFICATE-----\n"
        broker.authority.ca.write_text(made.split(end)[-2] + end)
        self.broker = broker
        self.cloud.run(broker.start)

    def run_central(self) -> None:
        """Start OVN's databases."""
        settings = {
            "PILEUS_SOUTHBOUND_LISTEN": f"{self.cloud.address()}:{SOUTHBOUND_PORT}",
            "PILEUS_SOUTHBOUND_CERTIFICATE": str(self._certificate),
        }
        log = self.root / "central.log"

        def served() -> int:
            return log.read_text(errors="replace").count("ready") if log.exists() else 0

        before = served()
        self._spawn("central", [PILEUS, "central", "--state", str(self.root / "x")], settings)
        until("OVN's databases serve", lambda: served() > before)

    def run_role(self, name: str) -> None:
        """Start an `api` or a `loops`; all `api` listen at one address."""
        role, _, number = name.partition("-")
        at = self.cloud.address()
        listen = f"{at}:{PORT}" if role == "api" else f"{at}:{PORT + 10 + int(number)}"
        words = _as(USER, [PILEUS, role, "--listen", listen, "--state", str(self.state.root)])
        self._spawn(name, words, self._settings())

    @property
    def northbound(self) -> dict[str, str]:
        """Where OVN's northbound database is."""
        return {"PILEUS_NORTHBOUND": Layout(self.root / "x").northbound}

    def _settings(self) -> dict[str, str]:
        assert self.broker
        assert self.database
        at = self.cloud.address()
        return {
            "PILEUS_STORE": self.database.url,
            "PILEUS_BUS": self.broker.url,
            "PILEUS_BROKER_ADMIN": self.broker.management.replace("://", f"://admin:{self.broker.password}@"),
            **self.northbound,
            "PILEUS_SOUTHBOUND": f"ssl:{at}:{SOUTHBOUND_PORT}",
            "PILEUS_INTERNAL": f"{at}:{INTERNAL}",
            "PILEUS_NAMES": at,
            "PILEUS_TLS": "own",
            "PILEUS_FLOATING_CIDR": f"{RANGES[OUTSIDE]}.0/24",
        }

    def more(self, name: str) -> None:
        """Another machine that becomes a host."""
        self.wires.machine(name)
        self.hosts[name] = StateDirectory(self.root / name)
        self.join(name)

    def leave(self, name: str) -> None:
        """Remove such a host, and end its machine."""
        if name not in self.hosts:
            return
        if self.states().get(name):
            self.pileus("cloud", "host", "remove", name)
        self._down(name)
        self.wires.remove(name)
        del self.hosts[name]

    def join(self, name: str) -> None:
        """Have a machine join by a token, and start it."""
        told = self.pileus("cloud", "host", "token", "--name", name).split()
        assert told[:3] == ["pileus", "host", "join"], told
        self.pileus(name, *told[1:], state=self.hosts[name])
        self.up(name)

    def up(self, name: str) -> str:
        """`pileus up` on a host."""
        machine = self.wires.machines[name]
        settings = {
            "PILEUS_TUNNELS": f"{TUNNELS}={machine.address(TUNNELS)}/24",
            "PILEUS_OUTSIDE_INTERFACE": OUTSIDE,
            "PILEUS_IMAGE_CACHE_FOLDER": str(self.root / f"{name}-cache"),
        }
        return self.pileus(name, "up", state=self.hosts[name], settings=settings)

    def _spawn(self, name: str, words: list[str], settings: Mapping[str, str]) -> None:
        with (self.root / f"{name}.log").open("ab") as said:
            self.parts[name] = subprocess.Popen(
                self.cloud.command(*words),
                env=_environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # a person's Ctrl-C is meant for the prompt alone
            )

    def said(self, name: str) -> str:
        """The end of a part's log."""
        log = self.root / f"{name}.log"
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal a part; with SIGKILL and SIGTERM, wait for its end. SIGSTOP pauses it until SIGCONT.

        `central` is all of OVN's: its process, and the databases that it looks after. HOST/NAME is what `pileus status`
        of a host calls NAME; its supervisor starts it again.
        """
        host, _, own = name.partition("/")
        if own:
            os.kill(self._of_host(host, own), number)
            return
        if not self.runs(name):
            raise ValueError(f"{name} does not run")
        if name in self.parts:
            self.parts[name].send_signal(number)
            if name == "central" and number != signal.SIGTERM:
                for pid in self.databases():
                    os.kill(pid, number)
            if number in (signal.SIGKILL, signal.SIGTERM):
                self.parts.pop(name).wait(60)
            return
        server: Any = {"broker": self.broker, "database": self.database}[name]
        does = {signal.SIGTERM: "stop", signal.SIGKILL: "kill", signal.SIGSTOP: "pause", signal.SIGCONT: "resume"}
        self.cloud.run(getattr(server, does[number]))

    def _of_host(self, host: str, name: str) -> int:
        if host not in self.hosts:
            raise ValueError(f"there is no host '{host}'; there are {', '.join(self.hosts)}")
        found = running(self.hosts[host])
        if name not in found:
            raise ValueError(f"there is no '{name}' on {host}; there are {', '.join(found)}")
        pid = found[name]
        if pid is None:
            raise ValueError(f"{name} does not run on {host}; its supervisor starts it")
        return pid

    def runs(self, name: str) -> bool:
        """Whether a part was started, and not ended since; ValueError for what is no part."""
        if name in ("central", *ROLES):
            return name in self.parts and self.parts[name].poll() is None
        if name == "broker":
            return self.broker is not None and self.broker.runs
        if name == "database":
            return self.database is not None and self.database.process.runs
        raise ValueError(f"there is no part '{name}'; there are {', '.join(PARTS)}, and HOST/NAME")

    def databases(self) -> list[int]:
        """The pids of OVN's databases and of northd, which outlive the process that looks after them."""
        layout = Layout(self.root / "x")
        found = [owner(layout.engine / "run" / f"{name}.pid") for name in ("northbound", "southbound", "northd")]
        return [pid for pid in found if pid is not None]

    def run(self, name: str) -> None:
        """Start a part again that was ended; ValueError when it was not."""
        if self.runs(name):
            raise ValueError(f"{name} runs")
        if name == "central":
            self.run_central()
        elif name in ROLES:
            self.run_role(name)
        else:
            server: Any = {"broker": self.broker, "database": self.database}[name]
            self.cloud.run(server.start)

    def pileus(
        self,
        machine: str,
        *words: str,
        state: StateDirectory | None = None,
        settings: Mapping[str, str] | None = None,
        user: str = "",
    ) -> str:
        """What a command prints on a machine; by default one about the cloud."""
        command = _as(user, [PILEUS, *words, "--state", str((state or self.state).root)])
        whole = self.wires.machines[machine].command(*command)
        done = subprocess.run(whole, env=_environment(settings or {}), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"pileus {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def well(self, host: str) -> bool:
        """Whether all that runs on a host answers, as `pileus status` there says."""
        command = [PILEUS, "status", "--state", str(self.hosts[host].root)]
        whole = self.wires.machines[host].command(*command)
        return subprocess.run(whole, env=_environment({}), capture_output=True, check=False).returncode == 0

    def listed(self) -> list[dict[str, Any]]:
        """The hosts, as `pileus host list` has them."""
        found: list[dict[str, Any]] = json.loads(self.pileus("cloud", "host", "list", "--json"))
        return found

    def states(self) -> dict[str, str]:
        """The state of each host by its name."""
        return {one["name"]: one["state"] for one in self.listed()}

    def client(self, retries: int = 2) -> Any:
        """A boto3 client of EC2, that asks from `world`, again `retries` times."""
        who = self.admin
        client: Any = boto3.Session().client(
            "ec2",
            endpoint_url=f"https://{self.cloud.address()}:{PORT}",
            region_name="us-east-1",
            aws_access_key_id=who["access_key"],
            aws_secret_access_key=who["secret_key"],
            verify=str(self.state.ca),
            config=Config(retries={"mode": "standard", "total_max_attempts": 1 + retries}, read_timeout=60),
        )
        return _There(self.world, client)

    def end(self) -> None:
        """Take everything down."""
        for name in self.hosts:
            self._down(name)
        for part in self.parts.values():
            part.send_signal(signal.SIGCONT)
            part.terminate()
        for part in self.parts.values():
            try:
                part.wait(60)
            except subprocess.TimeoutExpired:
                part.kill()
                part.wait()
        for pid in self.databases():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # whose process was killed, and not started again
        if self.broker is not None:
            self.broker.stop()
        if self.database is not None:
            self.database.remove()
        self.wires.end()
        shutil.rmtree(self.root, ignore_errors=True)

    def _down(self, name: str) -> None:
        state = self.hosts[name]
        if state.started.exists():
            down = [PILEUS, "down", "--instances", "--state", str(state.root)]
            whole = self.wires.machines[name].command(*down)
            subprocess.run(whole, env=_environment({}), capture_output=True, check=False)


class _There:
    """A client whose calls are made on a machine."""

    def __init__(self, machine: Machine, client: Any) -> None:
        self._machine, self._client = machine, client

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._client, name)
        return lambda *words, **named: self._machine.run(lambda: called(*words, **named))


def _as(user: str, words: list[str]) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--", *words] if user else words


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": search, "LC_ALL": "C.UTF-8", "PILEUS_RESOLV_CONF": os.devnull, **settings}
