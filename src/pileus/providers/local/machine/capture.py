"""Machines' disks as they were at one moment, while the guest goes on: a backup that QEMU makes of what is overwritten.

From the moment at which libvirt's backup job begins, QEMU copies what the guest is about to overwrite into a scratch
file, and shows the disk as it was then on a unix socket, from which qemu-img writes one compressed qcow2. The guest's
own disk is not touched by it: whatever dies, there is nothing to be put back. A job outlives libvirtd and this process,
and the next process goes on with the moment that it is of.

The disk of a guest that is off is read from its files. One that is started meanwhile is started paused, and its job
begins before its first instruction: a guest that was shut down for it is down no longer than that takes. Whatever a
guest may have written is read by programs that are that guest's own user, and are told which files to open: none is
followed that a header names.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import libvirt
import structlog

from pileus.model.errors import Fault
from pileus.model.spec import ImageSpec, InstanceSpec
from pileus.providers.local.capture.folders import CaptureFolders
from pileus.providers.local.capture.provider import CaptureProvider, Locks
from pileus.providers.local.capture.work import GENTLY, CancellationToken, CancelledError, need_room
from pileus.providers.local.engine import unixsocket
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import owner
from pileus.providers.local.machine.disk import Disks, run_disk_program
from pileus.providers.local.machine.domain import DiskFile
from pileus.providers.local.machine.hypervisor import INVALID, Hypervisor, tolerating
from pileus.providers.local.machine.images import inspect

FOLDER, SCRATCH, OF, FROZEN = "capture", "capture.qcow2", "capture.of", "capture.frozen"
"""In the instance's folder: that of QEMU's socket, the one that QEMU may write to; its scratch file; which image these
are for; and, perhaps, that the guest was told to hold its file systems still."""

_SOCKET, _EXPORT = "s", "disk"
_UUID = 36
_PATIENCE = 5
"""Seconds that a guest's agent has to answer."""

_ENDING = 60.0
"""Seconds in which a job ends: libvirt hears of it by the one thread that all events of guests wait for, which another
event, of the moment in which the job began, may hold up for 30 s."""

_CONVERT = ("qemu-img", "convert", "-q", "-c", "-O", "qcow2", "-o", "compression_type=zstd")
_REUSE = libvirt.VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL

log = structlog.get_logger()


class MachineCaptures:
    """The views of machines' disks. Called with the instance's lock held; all methods raise Fault and OSError.

    `lookup` says what is asked for: at first nothing.
    """

    def __init__(self, layout: Layout, hypervisor: Hypervisor, disks: Disks) -> None:
        self._call = hypervisor.call
        self._disks = disks
        self.lookup = CaptureProvider(CaptureFolders(layout.captures), {}, Locks())
        self._ended: dict[str, float] = {}

    def view(self, image: ImageSpec, source: InstanceSpec, domain: Any) -> LiveView | FileView | None:
        """The root disk of `source` as it is now, or was when a job for this image began; None: ask again soon.

        Of a guest that was shut down for it no other moment counts than when it was.
        """
        if not source.disks or source.disks[0].uuid != image.disk:
            raise Fault("SourceMissing", f"the disk {image.disk} is not the root disk of {source.ec2_id}")
        if not self._call(domain.isActive):
            self._clear(source.uuid)
            self.lookup.folders.rest(image.uuid)
            return FileView(source, self._disks.files(source)[image.disk])
        if not self._job(domain):
            state, reason = self._call(domain.state)
            if state != libvirt.VIR_DOMAIN_RUNNING:
                if reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR:
                    raise Fault("HostDiskFull", "the guest stands still, for its host's disk is full")
                return None
            if image.reboot:
                self.lookup.folders.lose(image.uuid)
                return None
            with self._still(domain, source.uuid):
                self._begin(domain, image, source)
        elif (of := self.of(source.uuid)) != image.uuid:
            if not of or not self.lookup.wanted(of):
                # Left by an earlier one; it takes a moment to end.
                self.end(domain, source.uuid)
            return None
        elif self.lookup.folders.moment(image.uuid) is None:
            # Begun by a process that died then.
            self.lookup.folders.kept(image.uuid)
        return LiveView(source, self._folder(source.uuid))

    def start(self, domain: Any, spec: InstanceSpec) -> None:
        """Start the domain; where a capture waits for its disk, the moment of that is before its first instruction.

        A process that dies in between leaves it paused, and the next one goes on with `resume`.
        """
        (self._disks.folder(spec.uuid) / FROZEN).unlink(missing_ok=True)
        self._clear(spec.uuid)
        if not all(work.cancel() for work in self.lookup.reading(spec.uuid)):
            raise Fault("DomainBusy", "the disk is still being read for a capture")
        image = self.lookup.waiting(spec.uuid)
        if image is None:
            self._call(domain.create)
            return
        self._call(domain.createWithFlags, libvirt.VIR_DOMAIN_START_PAUSED)
        self._keep(domain, image, spec)
        self._call(domain.resume)

    def resume(self, domain: Any, spec: InstanceSpec) -> None:
        """Have a guest that is paused go on; one that has not run yet since its start, as `start` would have."""
        image = self.lookup.waiting(spec.uuid)
        moment = self.lookup.folders.moment(image.uuid) if image is not None else None
        if image is not None and moment is not None and moment.at == "rest":
            self._keep(domain, image, spec)
        self._call(domain.resume)

    def _keep(self, domain: Any, image: ImageSpec, spec: InstanceSpec) -> None:
        """A job shows the disk of a guest that is yet to run as it is."""
        try:
            if self.of(spec.uuid) == image.uuid and self._job(domain):
                self.lookup.folders.kept(image.uuid)
            else:
                self._begin(domain, image, spec)
        except (Fault, OSError) as error:
            # What the user wants comes first; the capture is of a later moment then.
            log.warning("not captured at start", instance=spec.ec2_id, image=image.ec2_id, error=str(error))
            self.lookup.folders.lose(image.uuid)

    def tidy(self, domain: Any, uuid: str) -> None:
        """A guest that may hold its file systems still goes on, and a job whose image is not wanted any more ends."""
        if (self._disks.folder(uuid) / FROZEN).exists():
            self._thaw(domain, uuid)
        of = self.of(uuid)
        if of and not self.lookup.wanted(of):
            self.end(domain, uuid)

    def of(self, uuid: str) -> str:
        """The image that the job, or what is left of one, is for; empty where there is none."""
        try:
            image_uuid = (self._disks.folder(uuid) / OF).read_text()
        except FileNotFoundError:
            return ""
        # A process may have died while it wrote.
        return image_uuid if len(image_uuid) == _UUID else ""

    def end(self, domain: Any, uuid: str) -> None:
        """Nothing is left of a job; `domain` is None where there is none."""
        lately = time.monotonic() - self._ended.get(uuid, -_ENDING) < _ENDING
        if domain is not None and not lately and self._job(domain):
            with tolerating(INVALID):
                self._call(domain.abortJob)
            self._ended[uuid] = time.monotonic()
        self._clear(uuid)

    # -- jobs ----------------------------------------------------------------------------------------------------

    def _folder(self, uuid: str) -> Path:
        return self._disks.folder(uuid) / FOLDER

    def _job(self, domain: Any) -> bool:
        """Whether QEMU shows the disk as it was at some moment."""
        try:
            self._call(domain.backupGetXMLDesc)
        except Fault as fault:
            cause = fault.__cause__
            if isinstance(cause, libvirt.libvirtError):
                if cause.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_BACKUP:
                    return False
                if fault.code == INVALID:
                    return False
            raise
        return True

    def _begin(self, domain: Any, image: ImageSpec, source: InstanceSpec) -> None:
        folder, scratch = self._folder(source.uuid), self._disks.folder(source.uuid) / SCRATCH
        user, group = owner.user(source.uuid), owner.group()
        self._clear(source.uuid)
        need_room(self._disks.folder(source.uuid))
        device = Path(source.disks[0].device).name
        size = self._call(domain.blockInfo, device)[0]
        (self._disks.folder(source.uuid) / OF).write_text(image.uuid)
        run_disk_program("qemu-img", "create", "-q", "-f", "qcow2", str(scratch), str(size))
        owner.give(scratch, user, group, 0o600)
        folder.mkdir(mode=0o700)
        owner.give(folder, user, group, 0o700)
        try:
            self._call(domain.backupBegin, _job_xml(device, folder / _SOCKET, scratch), None, _REUSE)
            self._ended.pop(source.uuid, None)
            self.lookup.folders.kept(image.uuid)
        except Fault:
            self._clear(source.uuid)
            raise

    def _clear(self, uuid: str) -> None:
        """The files of a job are gone; QEMU may have them open as long as it wants."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder(uuid))
        (self._disks.folder(uuid) / SCRATCH).unlink(missing_ok=True)
        (self._disks.folder(uuid) / OF).unlink(missing_ok=True)

    # -- a guest that holds still --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _still(self, domain: Any, uuid: str) -> Iterator[None]:
        """Its agent, where there is one, has the file systems whole and still meanwhile.

        Written down first: whatever dies in between, the guest is told to go on by whoever comes next.
        """
        marker = self._disks.folder(uuid) / FROZEN
        marker.touch()
        try:
            self._call(domain.agentSetResponseTimeout, _PATIENCE, 0)
            self._call(domain.fsFreeze, seconds=2 * _PATIENCE)
        except Fault as fault:
            if _unheard(fault):
                marker.unlink()
            log.info("the guest is captured as it is", instance=domain.name(), reason=fault.message)
        try:
            yield
        finally:
            if marker.exists():
                self._thaw(domain, uuid)

    def _thaw(self, domain: Any, uuid: str) -> None:
        try:
            self._call(domain.fsThaw, seconds=2 * _PATIENCE)
        except Fault as fault:
            log.warning("the guest is not told to go on yet", instance=uuid, reason=fault.message)
        else:
            (self._disks.folder(uuid) / FROZEN).unlink(missing_ok=True)


@dataclass(frozen=True)
class LiveView:
    """The disk that the QEMU of `source` shows on its socket in `folder`."""

    source: InstanceSpec
    folder: Path

    def take(self, part: Path, cancellation: CancellationToken) -> None:
        """The job has begun."""

    def write(self, part: Path, cancellation: CancellationToken) -> int:
        """See View."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # By its descriptor: this user may not pass the folders on the way to it.
            place = f"/proc/self/fd/{folder}/{_SOCKET}"
            options = f"driver=nbd,server.type=unix,server.path={place},export={_EXPORT}"
            try:
                return _convert(self.source, ["--image-opts", options], [folder], part, cancellation)
            except Fault as fault:
                if fault.code == "CaptureFailed" and not unixsocket.answers(Path(place)):
                    # The guest has ended: its disk is read from its files.
                    raise CancelledError from fault
                raise
        finally:
            os.close(folder)


@dataclass(frozen=True)
class FileView:
    """The disk of `source`, which is off, in its files."""

    source: InstanceSpec
    file: DiskFile

    def take(self, part: Path, cancellation: CancellationToken) -> None:
        """Nobody writes to it; who is about to ends the reading first."""

    def write(self, part: Path, cancellation: CancellationToken) -> int:
        """See View."""
        with contextlib.ExitStack() as stack:
            disk = stack.enter_context(self.file.path.open("rb")).fileno()
            described: dict[str, Any] = {"driver": "qcow2", "file": _described(disk), "backing": None}
            files = [disk]
            if self.file.base is not None:
                base = stack.enter_context(self.file.base.open("rb")).fileno()
                files.append(base)
                described["backing"] = {"driver": self.file.base_format, "file": _described(base)}
                if self.file.base_format != "raw":
                    described["backing"]["backing"] = None
            return _convert(self.source, [f"json:{json.dumps(described)}"], files, part, cancellation)


def _described(descriptor: int) -> dict[str, str]:
    return {"driver": "file", "filename": f"/proc/self/fd/{descriptor}"}


def _convert(
    source: InstanceSpec, what: list[str], files: list[int], part: Path, cancellation: CancellationToken
) -> int:
    """Write the disk that qemu-img is told of to `part`, as the user of the QEMU of `source`; its size in bytes."""
    user = owner.user(source.uuid)
    descriptor = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        owner.give(part, user, owner.group(), 0o600)
        own: dict[str, Any] = {}
        if os.geteuid() == 0:
            own = {"user": user, "group": owner.group(), "extra_groups": []}
        words = [*GENTLY, *_CONVERT, *what, f"/proc/self/fd/{descriptor}"]
        cancellation.run(words, pass_fds=[*files, descriptor], **own)
    finally:
        os.close(descriptor)
    owner.give(part, 0, owner.group(), 0o440)
    return inspect(part, "qcow2")


def _job_xml(device: str, server: Path, scratch: Path) -> str:
    return (
        f"<domainbackup mode='pull'><server transport='unix' socket={quoteattr(str(server))}/><disks>"
        f"<disk name={quoteattr(device)} backup='yes' type='file' exportname='{_EXPORT}'>"
        f"<driver type='qcow2'/><scratch file={quoteattr(str(scratch))}/></disk></disks></domainbackup>"
    )


def _unheard(fault: Fault) -> bool:
    """Whether the guest cannot have heard what it was to do: its agent did not answer before it was told."""
    cause = fault.__cause__
    return isinstance(cause, libvirt.libvirtError) and cause.get_error_code() == libvirt.VIR_ERR_AGENT_UNRESPONSIVE
