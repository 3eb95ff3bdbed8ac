"""A container's disk: a file system of the volume's size in a sparse file, which holds what differs from the image.

Making it costs the same whatever the image's size is. While the container runs the file is mounted in the mount
namespace of its monitor alone: whatever dies, no mount and no loop device is left behind.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pileus.model.errors import Fault
from pileus.posix.files import put_in_place, sync_file, sync_folder
from pileus.providers.local.container import kernel, sparse
from pileus.providers.local.container.ranges import SIZE
from pileus.providers.local.machine.disk import run_disk_program

GIB = 1 << 30

NAME = "disk.ext4"
"""The file's name in its container's folder."""

COUNTED = "disk.counted"
"""And of the file that says what its loop device had read and written (bytes) before it was this disk's."""

STAGE = Path("/dev/shm")  # noqa: S108  (a place to mount on, in a namespace of its own, that is on every machine)
"""The folder that a monitor's mounts are on: nobody's files are below it, and everybody may pass it."""

_BYTES_PER_INODE = "16384"
_FEATURES = "lazy_itable_init=1,lazy_journal_init=1,nodiscard,packed_meta_blocks=1"
_WAIT = 60.0
_POLL = 0.005


@dataclass(frozen=True)
class Stage:
    """Where a monitor's mounts are: the image as the container sees it, the disk, and both in one."""

    at: Path = STAGE
    base: Path = STAGE / "base"
    """The image, read-only, with the container's users."""
    disk: Path = STAGE / "disk"
    """The container's own file system."""
    figures: Path = STAGE / "figures"
    """lxcfs's file system, if there is one."""
    empty: Path = STAGE / "empty" / "file"
    """A file without content, to cover others."""
    drive: Path = STAGE / "drive"
    """The contents of a configuration drive."""
    root: Path = STAGE / "root"
    """The container's root."""


def make(path: Path, size: int, blanks: Path) -> None:
    """Make an empty disk of `size` GiB, as a copy of one that is kept in `blanks`; it is there complete, or not at all.

    A power cut may take it all the same: see `settle`. Raises Fault (HostDiskFull, DiskFailed) and OSError.
    """
    blank, part = blanks / f"{size}.ext4", path.with_suffix(".part")
    if not blank.exists():
        blanks.mkdir(parents=True, exist_ok=True, mode=0o700)
        _format(blank, size)
    part.unlink(missing_ok=True)
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        sparse.copy(blank, part)
        put_in_place(part, path, lasting=False)
    finally:
        part.unlink(missing_ok=True)


def settle(path: Path) -> None:
    """Have the disk, and its name, survive a power cut. Raises OSError."""
    sync_file(path)
    sync_folder(path.parent)
    sync_folder(path.parent.parent)


def _format(path: Path, size: int) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    part = Path(name)
    try:
        os.truncate(descriptor, size * GIB)
        command = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-J", "size=16"]
        run_disk_program(*command, "-i", _BYTES_PER_INODE, "-E", _FEATURES, name)
        put_in_place(part, path)
    finally:
        os.close(descriptor)
        part.unlink(missing_ok=True)


def assemble(disk: Path, image: Path | None, base: int, users: int, stage: Stage) -> str:
    """Mount the container's root at `stage.root`, in this thread's own mount namespace; its block device, MAJOR:MINOR.

    Raises Fault and OSError. `image` is the root file system that it begins as (None: empty), `base` the machine's user
    that is its root, `users` the user namespace in which that is so.
    """
    kernel.mount("stage", stage.at, "tmpfs", kernel.NODEV, "mode=755,size=1m")
    for folder in (stage.base, stage.disk, stage.root):
        folder.mkdir()
    _await_free(disk)
    device = kernel.loop(disk)
    try:
        number = os.fstat(device).st_rdev
        with contextlib.suppress(OSError):
            read, written = kernel.counted(os.minor(number))
            disk.with_name(COUNTED).write_text(f"{read} {written}")
        kernel.mount(f"/proc/self/fd/{device}", stage.disk, "ext4", kernel.NODEV, "discard")
    finally:
        os.close(device)
    if image is not None:
        kernel.mount_mapped(image, stage.base, users)
    upper, work = stage.disk / "upper", stage.disk / "work"
    if not work.exists():
        upper.mkdir(mode=0o755, exist_ok=True)
        _like(stage.base, upper, base)
        work.mkdir(mode=0o700)
        os.chown(work, base, base)
    options = f"lowerdir={stage.base},upperdir={upper},workdir={work}"
    kernel.mount("overlay", stage.root, "overlay", kernel.NODEV, options)
    return f"{os.major(number)}:{os.minor(number)}"


def _await_free(disk: Path) -> None:
    """Wait until the container's last life has let go of its disk. Raises Fault (DiskBusy) and OSError.

    Its monitor's lock is free a little earlier than its mounts are: what the container wrote last is being written to
    the disk until then. Mounted a second time meanwhile, the file system would be damaged, or lose that.
    """
    until = time.monotonic() + _WAIT
    while kernel.looped(disk):
        if time.monotonic() > until:
            raise Fault("DiskBusy", f"{disk} is still mounted by what ran last")
        time.sleep(_POLL)


def _like(image: Path, upper: Path, base: int) -> None:
    """The overlay's root has the owner and mode of its upper folder, so that has the image's."""
    image_stat = image.stat()
    mapped = image_stat.st_uid in range(base, base + SIZE)
    os.chown(upper, image_stat.st_uid if mapped else base, image_stat.st_gid if mapped else base)
    upper.chmod(image_stat.st_mode & 0o7777)
