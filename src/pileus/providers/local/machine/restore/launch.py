"""Which guests start as copies of a template, and what becomes of those that could not.

A marker in the instance's folder says that its root disk came from a template and that it never ran. It is written
before the disk and removed, for good, before the first instruction: whoever finds it, after whatever crash, knows that
nothing of the machine is worth keeping, and boots it from its image instead.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import threading
import time
from pathlib import Path

import structlog

from pileus.model.errors import Fault
from pileus.model.spec import InstanceSpec
from pileus.model.threads import Thread
from pileus.posix.files import sync_folder, write_file
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import kvm
from pileus.providers.local.machine.disk import Disks
from pileus.providers.local.machine.domain import Accelerator, DiskFile, MachinePaths, MemoryFile, domain_xml
from pileus.providers.local.machine.hypervisor import Hypervisor
from pileus.providers.local.machine.images import ImageCache
from pileus.providers.local.machine.restore.clone import Clone
from pileus.providers.local.machine.restore.freezer import Freezer, model
from pileus.providers.local.machine.restore.template import Template, Templates

QUIET = 10.0
"""Seconds without a guest's start before a template is made."""

TRIES = 3
"""Failures after which a template is not tried again before the host's next start."""

_EMULATOR = Path("/usr/bin/qemu-system-x86_64")
_MARKER = "restoring"
_FOLDER = "copy"

_log = structlog.get_logger(__name__)


class Restores:
    """Boot by restore on one host, with templates in at most `limit` bytes; 0 is none at all."""

    def __init__(
        self,
        layout: Layout,
        hypervisor: Hypervisor,
        cache: ImageCache,
        disks: Disks,
        limit: int,
    ) -> None:
        self._layout = layout
        self._hypervisor = hypervisor
        self._cache = cache
        self._disks = disks
        self._limit = limit
        self._templates = Templates(layout.templates, limit)
        self._stopped = threading.Event()
        self._freezer = Freezer(layout, hypervisor, cache, self._templates, self._stopped)
        self._wanted: dict[str, InstanceSpec] = {}
        self._failed: dict[str, int] = {}
        self._busy = 0.0
        self._news = threading.Condition()
        self._thread: Thread | None = None

    # -- one instance --------------------------------------------------------------------------------------------

    def pending(self, uuid: str) -> bool:
        """Whether the instance's disk came from a template and it never ran."""
        return self._marker(uuid).exists()

    def undo(self, spec: InstanceSpec) -> None:
        """The instance, whose domain is off, starts from its image after all. Raises Fault and OSError."""
        if self.pending(spec.uuid):
            self._disks.renew_root(spec)
            self._settle(spec.uuid)

    def choose(self, spec: InstanceSpec) -> Template | None:
        """The template that `spec`, which never ran and has no disk yet, starts as a copy of; marks it so.

        Where there could be one and is not, it is made when the machine has time. Raises Fault and OSError.
        """
        self._busy = time.monotonic()
        if not self._limit or spec.power.state != "running" or (version := self._hook(spec)) == 0:
            return None
        key = key_of(spec, version, kvm.accelerator(), emulator())
        if key is None:
            return None
        template = self._templates.find(key)
        if template is None:
            self._want(key, spec)
        else:
            disk = spec.disks[0]
            self._cache.have(disk.digest, disk.format, Path(template.folder), yields=True)
            folder = self._disks.folder(spec.uuid)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(self._marker(spec.uuid), key.encode())
        return template

    def start(self, spec: InstanceSpec, template: Template, paths: MachinePaths, made_volumes: frozenset[str]) -> None:
        """Start the marked instance as a copy of `template`. Raises Fault and OSError; see `failed`."""
        clone = Clone(self._layout, self._hypervisor, template, spec, paths.folder / _FOLDER)
        clone.prepare()
        copied = dataclasses.replace(paths, memory=MemoryFile(clone.memory, shared=False))
        clone.load(domain_xml(spec, copied, made_volumes))
        clone.become()
        self._settle(spec.uuid)
        clone.run()
        clone.clear()

    def failed(self, spec: InstanceSpec, template: Template, error: Exception) -> None:
        """The copy, ended by now, did not become a guest: the instance starts from its image. Raises Fault, OSError."""
        _log.warning("not restored, booting", instance=spec.ec2_id, template=template.key, error=str(error))
        self._failed[template.key] = self._failed.get(template.key, 0) + 1
        self._templates.discard(template.key)
        self._disks.renew_root(spec)
        self._settle(spec.uuid)
        self.tidy(spec.uuid)

    def _marker(self, uuid: str) -> Path:
        return self._disks.folder(uuid) / _MARKER

    def tidy(self, uuid: str) -> None:
        """Remove the rest of a copy that a crash left unfinished."""
        shutil.rmtree(self._disks.folder(uuid) / _FOLDER, ignore_errors=True)

    def _settle(self, uuid: str) -> None:
        self._marker(uuid).unlink(missing_ok=True)
        # A marker that came back after a power cut would cost a disk that was used meanwhile.
        sync_folder(self._disks.folder(uuid))

    def _hook(self, spec: InstanceSpec) -> int:
        """The version of the hook in the root disk's image, if it was built on this machine; else 0."""
        wanted = spec.disks[0].digest if spec.disks else ""
        for path in self._layout.images.glob("*.json") if wanted else ():
            try:
                described = json.loads(path.read_text(encoding="utf-8"))
                if described["sha256"] == wanted:
                    return int(described.get("hook", 0))
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
        return 0

    # -- making templates ----------------------------------------------------------------------------------------

    def _want(self, key: str, spec: InstanceSpec) -> None:
        with self._news:
            if self._failed.get(key, 0) < TRIES:
                self._wanted[key] = spec
                if self._thread is None:
                    self._thread = Thread("templates", self._make, self._stopped)
                    self._thread.start()
                self._news.notify()

    def stop(self) -> None:
        """Make no more templates; one half made is given up."""
        self._stopped.set()
        with self._news:
            self._news.notify()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _make(self) -> None:
        with self._news:
            if not self._wanted:
                self._news.wait()
                return
            key, spec = next(iter(self._wanted.items()))
        if time.monotonic() - self._busy < QUIET:
            self._stopped.wait(QUIET / 4)
            return
        try:
            self._freezer.make(key, spec)
        except Exception as error:
            self._failed[key] = self._failed.get(key, 0) + 1
            if not isinstance(error, Fault | OSError):
                raise
            _log.warning("template not made", template=key, error=str(error))
        finally:
            with self._news:
                self._wanted.pop(key, None)


def key_of(spec: InstanceSpec, hook: int, accelerator: Accelerator, qemu: str) -> str | None:
    """Return the key that a template must share with `spec` to be copied for it; None where none can have it.

    That is the image, the hook's version, QEMU itself and every device: one disk, no other drive, at most one NIC.
    """
    if spec.config_drive:
        return None
    if spec.machine != "machine" or len(spec.disks) != 1 or len(spec.nics) > 1 or not spec.disks[0].digest:
        return None
    shape = model(spec)
    nowhere = Path("/")
    paths = MachinePaths(
        folder=nowhere,
        disks={shape.disks[0].uuid: DiskFile(nowhere)},
        taps={nic.uuid: "tap" for nic in shape.nics},
        owner=(0, 0),
        accelerator=accelerator,
        memory=MemoryFile(nowhere, shared=True),
    )
    parts = [domain_xml(shape, paths, ()), str(hook), qemu, _processor() if accelerator == "kvm" else ""]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def emulator(path: Path = _EMULATOR) -> str:
    """Return a text that changes when QEMU is upgraded; empty where it is not installed."""
    try:
        binary_stat = path.stat()
    except FileNotFoundError:
        return ""
    return f"{binary_stat.st_size} {binary_stat.st_mtime_ns}"


def _processor() -> str:
    """Return the processor's properties that a guest running on it sees."""
    lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    property_lines = [line for line in lines if line.startswith(("model", "stepping", "microcode", "flags"))]
    return "\n".join([os.uname().release, *property_lines])
