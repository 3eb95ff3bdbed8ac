"""An image is kept once, only whole, and only when it leans on nothing else."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pileus.model.errors import Fault
from pileus.providers.local.machine.images import ImageCache, inspect

if TYPE_CHECKING:
    from pathlib import Path


def qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


def image(folder: Path, *options: object) -> Path:
    path = folder / "image"
    qemu_img("create", "-f", "qcow2", *options, path, "64M")
    return path


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Source:
    """Hands out one file, and counts how often."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fetched = 0
        self.lock = threading.Lock()

    def __call__(self, digest: str, target: Path) -> None:
        with self.lock:
            self.fetched += 1
        target.write_bytes(self.path.read_bytes())


def refusal(path: Path, kind: str = "qcow2") -> Fault:
    with pytest.raises(Fault) as caught:
        inspect(path, kind)
    assert caught.value.code == "ImageRefused"
    assert caught.value.permanent
    return caught.value


def test_launches_that_want_one_image_share_one_download(tmp_path: Path) -> None:
    source = Source(image(tmp_path))
    digest = digest_of(source.path)
    caches = [ImageCache(tmp_path / "cache", source) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: caches[number % 2].have(digest, "qcow2"), range(8)))
    assert source.fetched == 1
    assert set(found) == {tmp_path / "cache" / digest}
    assert digest_of(found[0]) == digest
    assert found[0].stat().st_mode & 0o777 == 0o440


def test_other_bytes_than_named_are_not_kept(tmp_path: Path) -> None:
    source = Source(image(tmp_path))
    cache = ImageCache(tmp_path / "cache", source)
    with pytest.raises(Fault) as caught:
        cache.have("0" * 64, "qcow2")
    assert caught.value.code == "ImageCorrupt"
    assert caught.value.permanent
    assert [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"] == []


def test_a_download_that_broke_off_is_made_again(tmp_path: Path) -> None:
    path = image(tmp_path)
    digest = digest_of(path)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f".{digest}.part").write_bytes(b"half")

    def broken(digest: str, target: Path) -> None:
        target.write_bytes(b"half")
        raise Fault("ImageUnavailable", "the cloud went away")

    with pytest.raises(Fault) as caught:
        ImageCache(tmp_path / "cache", broken).have(digest, "qcow2")
    assert caught.value.code == "ImageUnavailable"
    assert ImageCache(tmp_path / "cache", Source(path)).have(digest, "qcow2").exists()


def test_a_folder_that_cannot_be_written_is_no_fault_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    with pytest.raises(Fault) as caught:
        ImageCache(tmp_path / "cache", Source(tmp_path / "none")).have("0" * 64, "raw")
    assert caught.value.code == "ImageUnavailable"
    assert not caught.value.permanent


@pytest.mark.parametrize(("digest", "kind"), [("../x", "raw"), ("0" * 63, "raw"), ("0" * 64, "vmdk"), ("", "qcow2")])
def test_only_digests_and_known_formats_are_asked_for(tmp_path: Path, digest: str, kind: str) -> None:
    source = Source(tmp_path / "none")
    with pytest.raises(Fault) as caught:
        ImageCache(tmp_path / "cache", source).have(digest, kind)
    assert caught.value.permanent
    assert source.fetched == 0


def test_plain_images_pass(tmp_path: Path) -> None:
    assert inspect(image(tmp_path), "qcow2") == 64 << 20
    raw = tmp_path / "raw"
    raw.write_bytes(b"x" * 1025)
    assert inspect(raw, "raw") == 1536
    compressed = tmp_path / "compressed"
    qemu_img("convert", "-c", "-O", "qcow2", image(tmp_path), compressed)
    assert inspect(compressed, "qcow2") == 64 << 20


def test_images_that_lean_on_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    base = image(tmp_path / "base")
    assert "backing file" in refusal(image(tmp_path, "-b", base, "-F", "qcow2")).message
    assert "data file" in refusal(image(tmp_path, "-o", f"data_file={tmp_path}/outside")).message


def test_encrypted_images_and_unknown_features_are_refused(tmp_path: Path) -> None:
    options = "encrypt.format=aes,encrypt.key-secret=key"
    encrypted = image(tmp_path, "--object", "secret,id=key,data=x", "-o", options)
    assert "encryption" in refusal(encrypted).message
    strange = image(tmp_path)
    with strange.open("r+b") as file:
        file.seek(72)
        file.write(b"\x80" + bytes(7))
    assert "features" in refusal(strange).message


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("#!/bin/sh\n" * 1000)
    assert str(tmp_path) not in refusal(text).message
    vmdk = tmp_path / "vmdk"
    qemu_img("create", "-f", "vmdk", vmdk, "1M")
    refusal(vmdk)
    empty = tmp_path / "empty"
    empty.touch()
    refusal(empty)
    refusal(empty, "raw")


def test_absurd_sizes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "large"
    qemu_img("create", "-f", "qcow2", "-o", "cluster_size=2M", path, "17T")
    assert "disk of" in refusal(path).message
    lying = image(tmp_path)
    with lying.open("r+b") as file:
        file.seek(36)
        file.write(b"\xff\xff\xff\xff")  # 16 GiB of first-level table
    refusal(lying)
