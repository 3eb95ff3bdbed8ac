"""An instance's disks: one folder of qcow2 files, each made once and never made again."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

from pileus.model import guestdata
from pileus.model.errors import Fault
from pileus.model.spec import DiskSpec, InstanceSpec
from pileus.posix.files import put_in_place, sync_folder, write_file
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import iso9660, owner
from pileus.providers.local.machine.domain import CONFIG_DRIVE, DiskFile
from pileus.providers.local.machine.images import ImageCache, disk_fault

GIB = 1 << 30

_WAIT = 60.0


class Disks:
    """The disks below `layout.instances`; their base images come from `cache`."""

    def __init__(self, layout: Layout, cache: ImageCache) -> None:
        self._layout = layout
        self._cache = cache

    def folder(self, instance: str) -> Path:
        """Where everything of one instance is, by its uuid."""
        return self._layout.instances / instance

    def files(self, spec: InstanceSpec) -> dict[str, DiskFile]:
        """Where each volume's file is, or will be, by the volume's uuid."""
        return {disk.uuid: self._file(spec, disk) for disk in spec.disks}

    def ensure(self, spec: InstanceSpec, made_volumes: frozenset[str], root: Path | None = None) -> None:
        """Every disk of `spec` is there; `made_volumes` names the volumes whose files were there once.

        A root disk that is not there yet begins as a copy of `root`, an overlay of the same image and size.

        Raises Fault: DiskLost for one of those that is not there now (an empty disk in its place would be worse than
        none), DiskTooSmall and what ImageCache raises for one that cannot be made, HostDiskFull, DiskFailed.
        """
        folder = self.folder(spec.uuid)
        files = self.files(spec)
        lost = [disk.ec2_id for disk in spec.disks if disk.uuid in made_volumes and not files[disk.uuid].path.exists()]
        if lost:
            raise Fault("DiskLost", f"{folder} no longer holds the disk of {', '.join(lost)}")
        try:
            user, group = owner.user(spec.uuid), owner.group()
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # QEMU passes through, and finds its disks; it makes and removes nothing there.
            owner.give(folder, 0, group, 0o710)
            for disk in spec.disks:
                if disk.digest:
                    self._cache.have(disk.digest, disk.format, folder)
                if not files[disk.uuid].path.exists():
                    make(disk, files[disk.uuid], root if disk == spec.disks[0] else None)
                owner.give(files[disk.uuid].path, user, group, 0o600)
        except OSError as error:
            raise disk_fault(error, "DiskFailed", f"{folder} cannot be made") from error

    def write_config_drive(self, spec: InstanceSpec) -> None:
        """Write the configuration drive anew for a machine that is off, if it is to have one. Raises OSError."""
        if spec.config_drive:
            path = self.folder(spec.uuid) / CONFIG_DRIVE
            write_file(path, iso9660.image(guestdata.drive(spec), guestdata.LABEL), lasting=False)
            owner.give(path, owner.user(spec.uuid), owner.group(), 0o400)

    def renew_root(self, spec: InstanceSpec) -> None:
        """The root disk is as if it had just been made from its image: for a machine that never ran. Raises Fault."""
        disk = spec.disks[0]
        try:
            if disk.digest:
                self._cache.have(disk.digest, disk.format, self.folder(spec.uuid))
            make(disk, self._file(spec, disk))
            owner.give(self._file(spec, disk).path, owner.user(spec.uuid), owner.group(), 0o600)
        except OSError as error:
            raise disk_fault(error, "DiskFailed", f"{self.folder(spec.uuid)} cannot be written") from error

    def remove(self, instance: str) -> None:
        """The instance's folder is gone with all in it. Raises Fault DiskFailed."""
        folder = self.folder(instance)
        try:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)
            self._cache.release(folder)
        except OSError as error:
            raise Fault("DiskFailed", f"{folder} cannot be removed: {error}") from error

    def _file(self, spec: InstanceSpec, disk: DiskSpec) -> DiskFile:
        name = "disk" if disk == spec.disks[0] else disk.uuid
        base = self._layout.cache / disk.digest if disk.digest else None
        return DiskFile(self.folder(spec.uuid) / f"{name}.qcow2", base, disk.format)


def make(disk: DiskSpec, file: DiskFile, start: Path | None = None) -> None:
    """Make the file, or copy the overlay `start`; under another name first: it is there complete, or not at all."""
    part = file.path.with_suffix(".part")
    part.unlink(missing_ok=True)
    # Unopened: what a stranger made was inspected by nobody, and is not read by root now.
    base = ["-u", "-b", str(file.base), "-F", file.base_format] if file.base else []
    size = disk.size * GIB
    if file.base and (least := _size(file.base, file.base_format)) > size:
        raise Fault("DiskTooSmall", f"{disk.size} GiB hold no image of {least} bytes", permanent=True)
    try:
        if start is not None:
            shutil.copyfile(start, part)
        else:
            run_disk_program("qemu-img", "create", "-q", "-f", "qcow2", *base, str(part), str(size))
        put_in_place(part, file.path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(file.path.parent.parent)


def _size(image: Path, kind: str) -> int:
    """Bytes of the virtual disk in an image that was inspected before: a qcow2 header has them at byte 24."""
    if kind == "raw":
        return (image.stat().st_size + 511) // 512 * 512
    with image.open("rb") as file:
        return int.from_bytes(file.read(32)[24:32], "big")


def run_disk_program(*command: str) -> None:
    """Run a program that makes a disk, and is over soon. Raises Fault (HostDiskFull, DiskFailed)."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=_WAIT)
    except subprocess.TimeoutExpired as error:
        raise Fault("DiskFailed", f"{command[0]} takes longer than {_WAIT:.0f} s") from error
    if done.returncode:
        full = "No space left" in done.stderr
        raise Fault("HostDiskFull" if full else "DiskFailed", f"{command[0]}: {done.stderr.strip()}")
