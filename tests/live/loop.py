"""A small disk for a test: an ext4 in a file, mounted while the test needs it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEPS = [1 << 28, 1 << 24, 1 << 20, 1 << 16, 1 << 12]


@dataclass(frozen=True)
class SmallDisk:
    """A file system of its own at `path`, in the file `image`, which a test fills and empties."""

    image: Path
    path: Path

    def fill(self) -> None:
        """Take all that is free, to the last block; what is free later is taken when asked again."""
        with (self.path / "ballast").open("ab") as file:
            for step in _STEPS:
                with contextlib.suppress(OSError):
                    while True:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)

    def empty(self) -> None:
        """Give it back."""
        (self.path / "ballast").unlink(missing_ok=True)

    def fail(self) -> None:
        """Have the file system take itself for broken: from now on it is read-only, whatever is open."""
        subprocess.run(["mount", "-o", "remount,abort", str(self.path)], check=True, capture_output=True)

    def mend(self) -> None:
        """Check it and mount it again; nothing may be open on it."""
        self.unmount()
        # A copy: some other program's mount namespace may hold the broken one for as long as it lives.
        copy = self.image.with_suffix(".copy")
        subprocess.run(["cp", "--sparse=always", str(self.image), str(copy)], check=True)
        copy.rename(self.image)
        done = subprocess.run(["e2fsck", "-fp", str(self.image)], check=False, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stdout
        self.mount()

    def mount(self) -> None:
        """Mount it."""
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.path)], check=True)

    def unmount(self) -> None:
        """Unmount it; a test that left something running on it has failed."""
        done = subprocess.run(["umount", str(self.path)], check=False, capture_output=True, text=True)
        if done.returncode:
            subprocess.run(["umount", "--lazy", str(self.path)], check=True)
            raise AssertionError(done.stderr)


@contextlib.contextmanager
def small_disk(mib: int, below: str = "d") -> Iterator[SmallDisk]:
    """A disk of `mib` MiB at `below` in a folder of its own; root too may take no more than is free.

    Needs root, and that what ran on it has ended.
    """
    with tempfile.TemporaryDirectory(prefix="pileus-disk-") as folder:
        Path(folder).chmod(0o755)
        image, path = Path(folder) / "disk.ext4", Path(folder) / below
        with image.open("wb") as file:
            os.truncate(file.fileno(), mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
        path.mkdir(parents=True)
        disk = SmallDisk(image, path)
        disk.mount()
        try:
            yield disk
        finally:
            disk.unmount()
