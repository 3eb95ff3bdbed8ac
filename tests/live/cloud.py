"""A whole cloud for a test: `pileus up` in a folder of its own, real clients, and a scan for what is left over."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from pileus.app.state import StateDirectory
from pileus.app.up import running as parts_of
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import cgroups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PILEUS = str(Path(sys.executable).parent / "pileus")
SSH = [
    "ssh", "-q", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
    "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5", "-o", "IdentitiesOnly=yes",
]  # fmt: skip


_ENGINE = 60.0
"""Seconds that the network engine may take to answer: it may have been killed a moment ago."""

ENDING = threading.Event()
"""Set when somebody ends the run: all that is left to do is to take the clouds down."""


def until(what: str, found: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Poll until `found()` is true; its value, or a failure that names `what`, at once when the run is `ENDING`."""
    deadline = time.monotonic() + seconds
    while True:
        if ENDING.is_set():
            raise AssertionError(f"the run was ended before: {what}")
        value = found()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)


@dataclass(frozen=True)
class Kind:
    """One of the two kinds of instances: a small image and flavor of it, and what it is called."""

    name: str
    image: str
    flavor: str

    def __str__(self) -> str:
        return self.name


KINDS = (Kind("machine", "tiny", "m1.tiny"), Kind("container", "tiny-container", "light"))


@dataclass
class LiveCloud:
    """One cloud that runs in `state`."""

    state: Path

    @property
    def layout(self) -> Layout:
        """Its machine-wide names."""
        return Layout(self.state)

    @cached_property
    def admin(self) -> dict[str, str]:
        """The administrator's credentials."""
        found: dict[str, str] = json.loads((self.state / "admin.json").read_text())
        return found

    @cached_property
    def ec2(self) -> Any:
        """A boto3 client."""
        return self.client("ec2")

    def client(self, service: str, account: dict[str, str] | None = None, retries: int = 0) -> Any:
        """A boto3 client for `service`, as the administrator or as `account`; asks again `retries` times."""
        who = account or self.admin
        session: Any = boto3.Session()
        return session.client(
            service,
            endpoint_url=json.loads((self.state / "endpoints.json").read_text())[service],
            region_name="us-east-1",
            aws_access_key_id=who["access_key"],
            aws_secret_access_key=who["secret_key"],
            config=Config(retries={"mode": "standard", "total_max_attempts": 1 + retries}),
        )

    def pileus(self, *words: str) -> str:
        """Run the command line tool on this cloud."""
        run = subprocess.run([PILEUS, *words, "--state", str(self.state)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"pileus {' '.join(words)}: {run.stdout}{run.stderr}"
        return run.stdout

    def image(self, name: str) -> str:
        """The EC2 id of a built image."""
        found = self.ec2.describe_images(Filters=[{"Name": "name", "Values": [name]}])["Images"]
        assert found, f"no image is called {name}"
        return str(found[-1]["ImageId"])

    def key(self, name: str, folder: Path) -> Path:
        """Make a key pair and keep its private half in `folder`."""
        material = self.ec2.create_key_pair(KeyName=name, KeyType="ed25519")["KeyMaterial"]
        path = folder / name
        path.write_text(material)
        path.chmod(0o600)
        return path

    def open_ssh(self) -> None:
        """Let this machine reach port 22 of what is in the default group."""
        (group,) = self.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
        self.ec2.authorize_security_group_ingress(
            GroupId=group["GroupId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="127.0.0.0/8"
        )

    def instance(self, ident: str) -> dict[str, Any]:
        """What DescribeInstances says of one instance."""
        found: dict[str, Any] = self.ec2.describe_instances(InstanceIds=[ident])["Reservations"][0]["Instances"][0]
        return found

    def wait(self, ident: str, state: str) -> dict[str, Any]:
        """Wait for a state."""

        def reached() -> dict[str, Any] | None:
            found = self.instance(ident)
            return found if found["State"]["Name"] == state else None

        found: dict[str, Any] = until(f"{ident} {state}", reached)
        return found

    def ssh(
        self, ident: str, key: Path, command: str, *, user: str = "root", seconds: float = 120.0, said: str = ""
    ) -> str:
        """Run a command over plain ssh to the instance's loopback address, as soon as it answers; it reads `said`."""
        address = self.instance(ident)["PublicIpAddress"]
        words = [*SSH, "-i", str(key), f"{user}@{address}", f"echo ANSWERED; {command}"]

        def answered() -> str | None:
            try:
                run = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, input=said or None)
            except subprocess.TimeoutExpired:
                return None  # as a person would: end the call, and call again
            return run.stdout.partition("ANSWERED\n")[2] or " " if "ANSWERED\n" in run.stdout else None

        found: str = until(f"ssh to {ident} at {address}", answered, seconds)
        return found.strip()

    def reaches(self, ident: str, port: int) -> bool:
        """Whether something behind the instance's loopback address says a first byte on this port."""
        try:
            with socket.create_connection((self.instance(ident)["PublicIpAddress"], port), timeout=3) as link:
                return bool(link.recv(1))
        except OSError:
            return False

    def left(self, words: tuple[str, ...]) -> list[str]:
        """Every trace of these names (uuids, ids, interfaces) in libvirt, the kernel, OVN, the switch and the store."""
        return [trace for trace in self.traces() if any(word in trace for word in words)]

    def part(self, name: str) -> int:
        """The process of one of its parts, as soon as it runs: to a part that does not, nothing can be sent."""
        found: int = until(f"{name} runs", lambda: parts_of(StateDirectory(self.state))[name])
        return found

    def domains(self) -> list[str]:
        """The names of all domains, as soon as libvirtd answers: it may have been killed a moment ago."""
        command = ["virsh", "-c", self.layout.libvirt_uri, "list", "--all", "--name"]

        def listed() -> subprocess.CompletedProcess[str] | None:
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            return run if run.returncode == 0 else None

        run: subprocess.CompletedProcess[str] = until("libvirtd answers", listed)
        return run.stdout.split()

    def traces(self) -> list[str]:
        """All names that this cloud has anywhere."""
        found = [f"domain {name}" for name in self.domains()]
        for folder in (self.layout.instances, self.layout.containers, self.layout.captures):
            found += [f"disk {path}" for path in under(folder)]
        group = cgroups.group(self.layout)
        found += [
            f"cgroup {path.parent}" for path in under(Path("/sys/fs/cgroup"), "cgroup.procs") if group in path.parts
        ]
        # Of every mount namespace there is, for containers have theirs.
        found += [f"mount {line}" for line in _mounts() if str(self.state) in line]
        loops = subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True, check=True)
        found += [f"loop {line}" for line in loops.stdout.splitlines() if str(self.state) in line]
        links = subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.layout.netns}", "ip", "-br", "link"],
            capture_output=True,
            text=True,
            check=True,
        )
        found += [f"link {line.split()[0]}" for line in links.stdout.splitlines()]
        found += [f"ovn {line}" for line in self._northbound()]
        found += [f"claim {claim}" for claim in self._claims()]
        return found

    def _northbound(self) -> Iterator[str]:
        from pileus.providers.local.network.provider import NetworkProvider  # noqa: PLC0415

        provider = NetworkProvider(self.layout.northbound, timeout=_ENGINE)
        try:
            for seen in provider.scan():
                yield f"{seen.kind} {seen.uuid} {','.join(seen.groups)}"
        finally:
            provider.close()

    def _claims(self) -> list[str]:
        from pileus.store.store import Store  # noqa: PLC0415

        store = Store(f"sqlite:///{self.state}/cloud/pileus.db")
        try:
            with store.read() as tx:
                return [f"{pool} {value} {uuid}" for pool, value, uuid in tx.claims()]
        finally:
            store.close()


def under(folder: Path, name: str = "") -> Iterator[Path]:
    """All that is below a folder, or what is called `name`; while it is looked for, any of it may go."""
    for place, folders, files in os.walk(folder):
        yield from (Path(place) / each for each in (*folders, *files) if name in ("", each))


def second(folder: Path) -> list[Path]:
    """What is in the folders of a folder; while it is looked for, any of it may go, which `Path.glob` does not bear."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        if Path(place) != folder:
            found += [Path(place) / each for each in (*folders, *files)]
            folders.clear()
    return found


def _mounts() -> set[str]:
    """What is mounted where, for any process of this machine: device, root, place, type and source of each mount."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        with contextlib.suppress(OSError):
            for line in path.read_text().splitlines():
                # Without the kernel's numbers: a daemon that was started again has the same mounts by other ones.
                where, _, what = line.partition(" - ")
                found.add(" ".join(where.split()[2:5] + what.split()[:2]))
    return found


@contextlib.contextmanager
def running(*options: str, **settings: object) -> Iterator[LiveCloud]:
    """A cloud from `pileus up` to `pileus down`, in a new folder, with settings of its own."""
    with tempfile.TemporaryDirectory(prefix="pileus-live-") as folder:
        Path(folder).chmod(0o755)
        with running_in(Path(folder) / "s", *options, **settings) as cloud:
            yield cloud


@contextlib.contextmanager
def running_in(state: Path, *options: str, **settings: object) -> Iterator[LiveCloud]:
    """A cloud in `state` from `pileus up` to `pileus down`; `settings` are its own, without their prefix."""
    told = {f"PILEUS_{name.upper()}": str(value) for name, value in settings.items()}
    try:
        up = subprocess.run(
            [PILEUS, "up", "--state", str(state), *options],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **told},
        )
        assert up.returncode == 0, f"{up.stdout}{up.stderr}{logs(state)}"
        yield LiveCloud(state)
    finally:
        down = [PILEUS, "down", "--instances", "--state", str(state)]
        subprocess.run(down, capture_output=True, check=False)


def logs(state: Path) -> str:
    """The ends of the processes' logs, and of what guests and their monitors said."""
    found = [(path, 3000) for path in sorted(state.glob("log/*.log"))]
    found += [(path, 1500) for path in sorted(state.glob("instances/*/console.log"))]
    found += [(path, 1500) for name in ("console", "lxc") for path in sorted(state.glob(f"containers/*/{name}.log"))]
    told = []
    for path, most in found:
        with contextlib.suppress(OSError):
            told.append(f"\n== {path.relative_to(state)}\n{path.read_text(errors='replace')[-most:]}")
    return "".join(told)
