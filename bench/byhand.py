"""The peer of a boot: the very QEMU that libvirt ran for an instance, started by hand where that one was plugged in.

The instance is stopped, and all around it stays ready: TAP, OVN port, DHCP, metadata, its key. What is left out is all
that a cloud does between a request and a machine; the disk is made before the clock starts.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bench.answer import SshEndpoint
from bench.cloud import tail
from pileus.host.book import BookEntry
from pileus.model.spec import InstanceSpec
from pileus.providers.local.guestnet.namespaces import run_in
from pileus.providers.local.machine import cgroups
from pileus.providers.local.machine.ending import domain_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pileus.providers.local.layout import Layout

_START = re.compile(r"^\S+ \S+: starting up libvirt version.*$", re.MULTILINE)
_GROUPS = Path("/sys/fs/cgroup/cpu")


def command(log: str, tap: str, disk: tuple[str, str], folder: Path) -> list[str]:
    """QEMU's command line of the last start in a domain's log, as it can be given by hand.

    What libvirt hands over as open descriptors is named instead: the TAP by `tap`, sockets by files in `folder`. The
    guest starts at once (`-S` goes), and the second of `disk`'s files takes the place of the first.
    """
    text = _START.split(log)[-1].partition("\n20")[0].replace("\\\n", " ")
    words = [word for word in shlex.split(text.replace(*disk)) if not re.match(r"[A-Z_]+=", word)]
    found: list[str] = []
    for word in words:
        if found and found[-1] in ("-object", "-add-fd") and (word.startswith("set=") or "masterKey0" in word):
            found.pop()
        elif word != "-S":
            found.append(_named(word, tap, folder))
    return found


def _named(word: str, tap: str, folder: Path) -> str:
    """An option's value without numbers of descriptors."""
    if word.startswith('{"type":"tap"'):
        given = {name: value for name, value in json.loads(word).items() if name != "fd"}
        return json.dumps({**given, "ifname": tap, "script": "no", "downscript": "no"})
    word = word.replace("logfile=/dev/fdset/0", f"logfile={folder}/console.log")
    word = re.sub(r"^vnc=unix:[^,]*", f"vnc=unix:{folder}/screen", word)
    return re.sub(r"^(socket,id=(\w+)),fd=\d+", rf"\1,path={folder}/\2", word)


class Twin:
    """A stopped instance's machine, to be started by hand any number of times, each time on a disk of its own."""

    def __init__(self, layout: Layout, uuid: str, key: str, folder: Path) -> None:
        entry = msgspec.json.decode((layout.state / "host" / "orders" / f"{uuid}.json").read_bytes(), type=BookEntry)
        if not isinstance(entry.spec, InstanceSpec):
            raise TypeError(f"{uuid} is on its way out")
        self.spec = entry.spec
        nic, disk = self.spec.nics[0], self.spec.disks[0]
        self.endpoint = SshEndpoint(
            self.spec.login_user, key, nic.address, layout.network_netns(nic.network), nic.localport
        )
        self._layout = layout
        self._folder = folder / uuid
        self._folder.mkdir()
        self._disk = self._folder / "disk.qcow2"
        self._base, self._size = layout.cache / disk.digest, f"{disk.size}G"
        own = str(layout.instances / uuid / "disk.qcow2")
        log = domain_log(layout, self.spec.ec2_id).read_text()
        self._command = command(log, layout.tap(nic.uuid), (own, str(self._disk)), self._folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its QEMU."""
        return self._process.pid if self._process else 0

    def new_disk(self) -> None:
        """Make the disk anew."""
        self._disk.unlink(missing_ok=True)
        base = ["-b", str(self._base), "-F", "qcow2"]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *base, str(self._disk), self._size], check=True)

    def start(self) -> float:
        """Run QEMU with the CPU share that an instance has; when (monotonic seconds)."""
        said = (self._folder / "said").open("wb")
        with said:
            begun = time.monotonic()
            self._process = run_in(
                self._layout.netns,
                lambda: subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=self._folder
                ),
            )
        if cgroups.partition(self._layout):
            group = _GROUPS / f"{self._layout.netns}.partition" / f"by-hand-{self.spec.ec2_id}"
            group.mkdir(exist_ok=True)
            (group / "cgroup.procs").write_text(str(self.pid))
        return begun

    def said(self) -> str:
        """What QEMU printed, and the guest on its console."""
        return "\n".join(map(tail, (self._folder / "said", self._folder / "console.log")))

    def stop(self) -> None:
        """End QEMU at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def started(twins: Sequence[Twin]) -> Iterator[float]:
    """All of them on new disks, ended at the end; when (monotonic seconds) the first was started."""
    for twin in twins:
        twin.new_disk()
    try:
        yield min([twin.start() for twin in twins])
    finally:
        for twin in twins:
            twin.stop()
