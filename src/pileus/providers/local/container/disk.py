"""A container's disk: a file system of the volume's size in a sparse file, which holds what differs from the image.

Making it costs the same whatever the image's size is. While the container runs the file is mounted in the mount
namespace of its monitor alone: whatever dies, no mount and no loop device is left behind.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pileus.model.errors import Fault
from pileus.providers.local.container import kernel
from pileus.providers.local.container.ranges import SIZE
from pileus.providers.local.machine.images import sync_folder

GIB = 1 << 30

NAME = "disk.ext4"
"""The file's name in its container's folder."""

STAGE = Path("/dev/shm")  # noqa: S108  (a place to mount on, in a namespace of its own, that is on every machine)
"""What a monitor's mounts are on: nobody's files are below it, and everybody may pass it."""

_FEATURES = "lazy_itable_init=1,lazy_journal_init=1,nodiscard,packed_meta_blocks=1"
_WAIT = 60.0


@dataclass(frozen=True)
class Stage:
    """Where a monitor's mounts are: the image as the container sees it, the disk, and both in one."""

    at: Path = STAGE

    @property
    def base(self) -> Path:
        """The image, read-only, with the container's users."""
        return self.at / "base"

    @property
    def disk(self) -> Path:
        """The container's own file system."""
        return self.at / "disk"

    @property
    def root(self) -> Path:
        """The container's root."""
        return self.at / "root"


def make(path: Path, size: int) -> None:
    """Make an empty disk of `size` GiB; under another name first: it is there complete, or not at all.

    Raises Fault (HostDiskFull, DiskFailed) and OSError.
    """
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    try:
        with part.open("wb") as file:
            part.chmod(0o600)
            file.truncate(size * GIB)
            command = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-J", "size=16", "-E", _FEATURES, str(part)]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, errors="replace", check=False, timeout=_WAIT
                )
            except subprocess.TimeoutExpired as error:
                raise Fault("DiskFailed", f"mke2fs takes longer than {_WAIT:.0f} s") from error
            if done.returncode:
                full = "No space left" in done.stderr
                raise Fault("HostDiskFull" if full else "DiskFailed", f"mke2fs: {done.stderr.strip()}")
            os.fsync(file.fileno())
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)
    sync_folder(path.parent.parent)


def assemble(disk: Path, image: Path | None, base: int, users: int, stage: Stage) -> None:
    """Mount the container's root at `stage.root`, in this thread's own mount namespace. Raises OSError.

    `image` is the root file system that it begins as (None: empty), `base` the machine's user that is its root,
    `users` the user namespace in which that is so.
    """
    kernel.mount("stage", stage.at, "tmpfs", kernel.NODEV, "mode=755,size=1m")
    for folder in (stage.base, stage.disk, stage.root):
        folder.mkdir()
    device = kernel.loop(disk)
    try:
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


def _like(image: Path, upper: Path, base: int) -> None:
    """The overlay's root has the owner and mode of its upper folder, so that has the image's."""
    found = image.stat()
    mapped = found.st_uid in range(base, base + SIZE)
    os.chown(upper, found.st_uid if mapped else base, found.st_gid if mapped else base)
    upper.chmod(found.st_mode & 0o7777)
