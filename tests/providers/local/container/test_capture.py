"""The programs that make a container's root an image: the copy of its disk, and the look at what was packed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from pileus.providers.local.container import frozencopy, sparse, unpack

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def _disk(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(64 * MIB)
        for at in (0, 10, 63):
            file.seek(at * MIB)
            file.write(os.urandom(MIB))


def test_a_disk_is_copied_holes_as_holes(tmp_path: Path) -> None:
    disk, copy, marker = (tmp_path / name for name in ("disk", "copy", "still"))
    _disk(disk)
    copy.write_bytes(b"older" * MIB)
    subprocess.run([sys.executable, "-I", "-m", frozencopy.__name__, marker, disk, copy], check=True)
    assert copy.read_bytes() == disk.read_bytes()
    assert copy.stat().st_blocks * 512 <= 4 * MIB
    assert not marker.exists()


def test_a_copy_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    _disk(disk)
    copy.touch()
    with pytest.raises(TimeoutError, match="MiB are copied"):
        sparse.copy(disk, copy, time.monotonic() - 1)


def test_what_cannot_be_copied_is_said(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("still", "none", "copy")]
    words = [sys.executable, "-I", "-m", frozencopy.__name__, *files]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "No such file" in done.stderr
    assert not (tmp_path / "still").exists()


def _tar(*members: tuple[str, int, int]) -> bytes:
    """An archive of files: name, size, owner."""
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, size, user in members:
            member = tarfile.TarInfo(name)
            member.size, member.uid = size, user
            archive.addfile(member, io.BytesIO(bytes(size)))
    return found.getvalue()


def _meter(data: bytes) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-I", "-m", unpack.__name__]
    done = subprocess.run(words, input=data, check=False, capture_output=True)
    return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_what_was_packed_is_counted() -> None:
    done = _meter(_tar(("sbin/init", 10, 0), ("etc/passwd", 20, 0)))
    assert (done.returncode, done.stdout) == (0, '{"bytes": 30, "entries": 2}')


@pytest.mark.parametrize(
    "data",
    [_tar(("etc/passwd", 20, 65536)), b"no archive" * 100, _tar(("a", 5000, 0))[:2048]],
    ids=["user", "no", "cut"],
)
def test_what_no_launch_takes_is_refused(data: bytes) -> None:
    done = _meter(data)
    assert done.returncode == unpack.REFUSED
    assert done.stderr
