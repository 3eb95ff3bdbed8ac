"""A cloud on this machine's own libvirt and OVN, for a benchmark: started, asked, and gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.answer import SshEndpoint, answered, arrivals
from bench.load import Client, Target
from pileus.faces.wire.signing import SigningCredential
from pileus.providers.local.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

FLAVORS = {"tiny": "m1.tiny", "debian-12": "m1.small"}
"""Images that are booted, and the flavor that each of them gets."""

CONTAINERS = {"tiny-container": "light", "debian-12-container": "vswap-512m"}
"""The same of containers."""

USERS = {"tiny": "root", "debian-12": "admin", "tiny-container": "root", "debian-12-container": "admin"}

_PILEUS = str(Path(sys.executable).parent / "pileus")
_VERSION = "Version=2016-11-15"
_PATIENCE = 120.0


class LocalCloud:
    """The cloud in `state`, which served after `up` seconds; it has a key pair, and a group that admits ssh."""

    def __init__(self, state: Path, up: float) -> None:
        admin = json.loads((state / "admin.json").read_text())
        port = int(json.loads((state / "endpoints.json").read_text())["ec2"].rpartition(":")[2])
        credential = SigningCredential(admin["access_key"], admin["secret_key"].encode(), "us-east-1", "ec2")
        self.up = up
        self.state = state
        self.layout = Layout(state)
        self.key = str(state.with_name("key"))
        self._target = Target("pileus", port, credential, ())
        self._port = port
        self._images: dict[str, str] = {}
        self._make_key()
        self._group = re.findall(r"<groupId>(.+?)<", self.ask("CreateSecurityGroup&GroupName=b&GroupDescription=b"))[0]
        rule = "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22"
        self.ask(
            f"AuthorizeSecurityGroupIngress&GroupId={self._group}&{rule}&IpPermissions.1.IpRanges.1.CidrIp=127.0.0.0/8"
        )

    def _make_key(self) -> None:
        material = re.findall(r"<keyMaterial>(.+?)</", self.ask("CreateKeyPair&KeyName=b&KeyType=ed25519"), re.DOTALL)
        Path(self.key).touch(mode=0o600)
        Path(self.key).write_text(material[0].replace("&#10;", "\n").replace("&#xA;", "\n"))

    def ask(self, form: str) -> str:
        """The answer to one action; RuntimeError for an error."""
        return Client(self._port).ask(self._target.request(f"Action={form}&{_VERSION}")).decode()

    def image(self, name: str) -> str:
        """The id of a built image."""
        if name not in self._images:
            found = self.ask(f"DescribeImages&Filter.1.Name=name&Filter.1.Value.1={name}")
            self._images[name] = re.findall(r"<imageId>(.+?)<", found)[0]
        return self._images[name]

    def launch(self, image: str, count: int = 1) -> list[tuple[str, SshEndpoint]]:
        """RunInstances: the id of each, and where it answers."""
        flavor = {**FLAVORS, **CONTAINERS}[image]
        found = self.ask(
            f"RunInstances&ImageId={self.image(image)}&InstanceType={flavor}&MinCount={count}&MaxCount={count}"
            f"&KeyName=b&SecurityGroupId.1={self._group}"
        )
        addresses = re.findall(r"<ipAddress>(.+?)<", found)
        ids = re.findall(r"<instanceId>(i-.+?)<", found)
        return [(ident, SshEndpoint(USERS[image], self.key, at)) for ident, at in zip(ids, addresses, strict=True)]

    def answered(self, made: Sequence[tuple[str, SshEndpoint]]) -> list[float]:
        """When each of these instances answered (see `answer.answered`); what their consoles say if one does not."""
        try:
            return answered([endpoint for _, endpoint in made])
        except TimeoutError as error:
            consoles = [self.folder(ident) / "console.log" for ident, _ in made]
            raise RuntimeError("\n".join([str(error), *map(tail, consoles)])) from error

    def arrivals(self, made: Sequence[tuple[str, SshEndpoint]]) -> list[float | None]:
        """As `answered`, but None for one that did not; its console's words go to stderr."""
        found = arrivals([endpoint for _, endpoint in made], {})
        for (ident, _), moment in zip(made, found, strict=True):
            if moment is None:
                print("late:", tail(self.folder(ident) / "console.log"), file=sys.stderr)
        return found

    def end(self, action: str, ids: list[str], state: str) -> None:
        """StopInstances or TerminateInstances, until all are in `state`."""
        self.ask(f"{action}&{_named(ids)}")
        self._become(ids, state)

    def cut(self, ids: list[str]) -> None:
        """Stop instances as soon as they run, by the plug: nobody waits for their systems to come and go."""
        self._become(ids, "running")
        self.ask(f"StopInstances&{_named(ids)}")
        self._become(ids, "stopped", self._kill)

    def _kill(self, ids: list[str]) -> None:
        for ident in ids:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                pid = self.qemu(ident)
                if ident.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    def _become(self, ids: list[str], state: str, meanwhile: Callable[[list[str]], None] = lambda _: None) -> None:
        end = time.monotonic() + _PATIENCE
        asked = f"DescribeInstances&{_named(ids)}"
        while set(re.findall(r"<instanceState>.*?<name>(.+?)<", self.ask(asked), re.DOTALL)) != {state}:
            if time.monotonic() > end:
                raise RuntimeError(f"{ids} do not become {state}")
            meanwhile(ids)
            time.sleep(0.05)

    def uuid(self, ident: str) -> str:
        """An instance's uuid, which names its folder, by its public id."""
        return self.folder(ident).name

    def folder(self, ident: str) -> Path:
        """An instance's folder, by its public id."""
        parents = [path for path in (self.layout.instances, self.layout.containers) if path.exists()]
        return next(path for parent in parents for path in parent.iterdir() if _public(path.name) == ident)

    def processes(self) -> list[int]:
        """Every process and daemon of the cloud, its guests apart."""
        said = subprocess.run(
            [_PILEUS, "status", "--state", str(self.state)], check=True, capture_output=True, text=True
        )
        return [int(pid) for pid in re.findall(r" pid (\d+)", said.stdout)]

    def qemu(self, ident: str) -> int:
        """The process of an instance's QEMU."""
        return int((self.layout.libvirt / "run" / "qemu" / f"{ident}.pid").read_text())


def tail(file: Path) -> str:
    """The end of what a console said."""
    return f"{file}: {file.read_text(errors='replace')[-1000:] if file.exists() else '-'}"


def _named(ids: list[str]) -> str:
    return "&".join(f"InstanceId.{number}={ident}" for number, ident in enumerate(ids, 1))


def _public(uuid: str) -> str:
    return f"i-{uuid.replace('-', '')[:17]}"


@contextlib.contextmanager
def running(settings: Mapping[str, str] | None = None) -> Iterator[LocalCloud]:
    """A cloud with these settings in a folder of its own, removed afterwards with all it ran."""
    with tempfile.TemporaryDirectory(prefix="pileus-bench-") as folder:
        Path(folder).chmod(0o755)
        state = Path(folder) / "s"
        words = ["--state", str(state)]
        quiet = subprocess.DEVNULL
        begun = time.monotonic()
        up = subprocess.Popen([_PILEUS, "up", *words], stdout=quiet, env={**os.environ, **(settings or {})})
        try:
            while not (state / "endpoints.json").exists() and up.poll() is None:
                time.sleep(0.01)
            served = time.monotonic() - begun
            # It goes on to add the images.
            if up.wait():
                raise RuntimeError("the cloud did not come up")
            yield LocalCloud(state, served)
        finally:
            up.wait()
            subprocess.run([_PILEUS, "purge", "--yes", *words], check=True, stdout=quiet, stderr=quiet)
