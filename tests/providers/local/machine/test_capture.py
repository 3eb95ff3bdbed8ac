"""The disk of a machine that is off, as an image: whole, one file, and nothing that its header could have named."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from pileus.model.errors import Fault
from pileus.providers.local.capture.work import CancellationToken
from pileus.providers.local.machine import owner
from pileus.providers.local.machine.capture import FileView
from pileus.providers.local.machine.domain import DiskFile
from tests.providers.local.machine import specs

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def _img(*words: object) -> str:
    return subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, text=True).stdout


def _overlay(folder: Path) -> DiskFile:
    """A disk of 64 MiB over an image of 32, both written to; belonging as on a host."""
    raw, base, disk = folder / "raw", folder / "base", folder / "disk.qcow2"
    raw.write_bytes(b"image" * MIB)
    _img("convert", "-f", "raw", "-O", "qcow2", raw, base)
    _img("resize", "-q", base, "32M")
    _img("create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", disk, "64M")
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 40M 1M", str(disk)], check=True, capture_output=True)
    owner.give(base, 0, owner.group(), 0o440)
    owner.give(disk, owner.user(specs.UUID), owner.group(), 0o600)
    return DiskFile(disk, base)


def test_it_is_one_file_that_holds_all_of_the_disk(tmp_path: Path) -> None:
    file, part = _overlay(tmp_path), tmp_path / "part"
    part.touch()
    assert FileView(specs.instance(), file).write(part, CancellationToken(tmp_path)) == 64 * MIB
    told = json.loads(_img("info", "--output=json", part))
    assert (told["format"], told["virtual-size"]) == ("qcow2", 64 * MIB)
    assert "backing-filename" not in told
    assert told["actual-size"] < 8 * MIB, "compressed"
    assert "identical" in _img("compare", "-f", "qcow2", "-F", "qcow2", file.path, part)


def test_a_header_that_names_another_file_is_not_followed(tmp_path: Path) -> None:
    """Whoever broke into QEMU can write what it wants into its own disk."""
    file, part, other = _overlay(tmp_path), tmp_path / "part", tmp_path / "secret"
    other.write_bytes(b"secret" * MIB)
    other.chmod(0o600)
    _img("rebase", "-u", "-f", "qcow2", "-b", other, "-F", "raw", file.path)
    part.touch()
    FileView(specs.instance(), file).write(part, CancellationToken(tmp_path))
    found = tmp_path / "found"
    _img("convert", "-f", "qcow2", "-O", "raw", part, found)
    assert b"secret" not in found.read_bytes()
    assert found.read_bytes().startswith(b"image")


def test_a_damaged_disk_is_said_to_be(tmp_path: Path) -> None:
    file, part = _overlay(tmp_path), tmp_path / "part"
    part.touch()
    file.path.write_bytes(b"no disk")
    with pytest.raises(Fault, match="CaptureFailed"):
        FileView(specs.instance(), file).write(part, CancellationToken(tmp_path))
