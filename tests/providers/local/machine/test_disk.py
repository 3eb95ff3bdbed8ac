"""Disks are made whole, once, from their image, and never in place of one that is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pileus.model.errors import Fault
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine.disk import Disks
from pileus.providers.local.machine.images import ImageCache
from tests.providers.local.machine import specs
from tests.providers.local.machine.test_images import Source, digest_of, image

NONE = frozenset[str]()


def disks(folder: Path, source: Source) -> Disks:
    layout = Layout(folder, cache=folder / "cache")
    return Disks(layout, ImageCache(layout.cache, source))


def info(path: Path) -> dict[str, Any]:
    command = ["qemu-img", "info", "--output=json", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def test_a_disk_is_an_overlay_of_its_image_in_the_asked_size(tmp_path: Path) -> None:
    source = Source(image(tmp_path))
    spec = specs.instance(disks=(specs.disk(digest_of(source.path)), specs.disk(uuid="b" * 8, size=2)))
    found = disks(tmp_path, source)
    found.ensure(spec, NONE)
    root, data = (found.files(spec)[disk.uuid] for disk in spec.disks)
    assert root.path == tmp_path / "instances" / specs.UUID / "disk.qcow2"
    assert info(root.path)["virtual-size"] == 1 << 30
    assert info(root.path)["full-backing-filename"] == str(root.base)
    assert info(data.path)["virtual-size"] == 2 << 30
    assert "backing-filename" not in info(data.path)
    assert {path.name for path in root.path.parent.iterdir()} == {"disk.qcow2", f"{'b' * 8}.qcow2"}
    assert root.path.parent.stat().st_mode & 0o777 == 0o710


def test_again_changes_nothing(tmp_path: Path) -> None:
    spec = specs.instance()
    found = disks(tmp_path, Source(tmp_path))
    path = found.files(spec)[spec.disks[0].uuid].path
    found.ensure(spec, NONE)
    before = path.stat()
    path.with_suffix(".part").write_bytes(b"left by a crash")
    for made in (NONE, frozenset({spec.disks[0].uuid})):
        found.ensure(spec, made)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_lost_disk_is_not_replaced_by_an_empty_one(tmp_path: Path, whole_folder: bool) -> None:  # noqa: FBT001
    spec = specs.instance()
    found = disks(tmp_path, Source(tmp_path))
    found.ensure(spec, NONE)
    path = found.files(spec)[spec.disks[0].uuid].path
    aside = tmp_path / "aside"
    shutil.move(path, aside)
    if whole_folder:
        shutil.rmtree(path.parent)
    with pytest.raises(Fault) as caught:
        found.ensure(spec, frozenset({spec.disks[0].uuid}))
    assert caught.value.code == "DiskLost"
    assert not caught.value.permanent
    assert not path.exists()
    path.parent.mkdir(exist_ok=True)
    shutil.move(aside, path)
    found.ensure(spec, frozenset({spec.disks[0].uuid}))


def test_an_image_larger_than_its_disk_is_a_permanent_fault(tmp_path: Path) -> None:
    path = tmp_path / "image"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "3G"], check=True)
    found = disks(tmp_path, Source(path))
    spec = specs.instance(disks=(specs.disk(digest_of(path)),))
    with pytest.raises(Fault) as caught:
        found.ensure(spec, NONE)
    assert caught.value.code == "DiskTooSmall"
    assert caught.value.permanent
    assert list((tmp_path / "instances" / specs.UUID).iterdir()) == []


def test_removing_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    found = disks(tmp_path, Source(tmp_path))
    found.ensure(specs.instance(), NONE)
    for _ in range(2):
        found.remove(specs.UUID)
        assert list((tmp_path / "instances").iterdir()) == []


def test_an_image_is_kept_for_as_long_as_a_disk_leans_on_it(tmp_path: Path) -> None:
    source = Source(image(tmp_path))
    spec = specs.instance(disks=(specs.disk(digest_of(source.path)),))
    layout = Layout(tmp_path, cache=tmp_path / "cache")
    small = Disks(layout, ImageCache(layout.cache, source, most=0))
    base = small.files(spec)[spec.disks[0].uuid].base
    assert base is not None
    small.ensure(spec, NONE)
    other = tmp_path / "other"
    other.mkdir()
    second = Source(image(other, "-o", "cluster_size=4k"))
    ImageCache(layout.cache, second, most=0).have(digest_of(second.path), "qcow2")
    assert base.exists()
    small.remove(spec.uuid)
    third = tmp_path / "third"
    third.mkdir()
    last = Source(image(third, "-o", "cluster_size=8k"))
    ImageCache(layout.cache, last, most=0).have(digest_of(last.path), "qcow2")
    assert not base.exists()
