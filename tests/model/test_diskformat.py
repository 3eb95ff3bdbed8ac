"""A disk image is judged by its header: nothing that it names is looked for, and what is not known is refused."""

from __future__ import annotations

import contextlib
import random
import struct
import subprocess
from pathlib import Path

import pytest

from pileus.model import diskformat
from pileus.model.diskformat import DiskRefusedError


def qcow2(path: Path, *options: str) -> bytes:
    """The bytes of a new qcow2 file of 8 MiB."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, str(path), "8M"], check=True)
    return path.read_bytes()


def changed(data: bytes, at: int, form: str, value: int) -> bytes:
    """The file with another number in its header."""
    whole = bytearray(data)
    struct.pack_into(form, whole, at, value)
    return bytes(whole)


def refusal(data: bytes) -> str:
    """The reason for which a file is refused."""
    with pytest.raises(DiskRefusedError) as caught:
        diskformat.virtual_size(data, len(data), diskformat.sniff(data))
    return caught.value.reason


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-o", "compat=0.10"],
        ["-o", "compression_type=zstd"],
        ["-o", "extended_l2=on"],
        ["-o", "cluster_size=512"],
        ["-o", "cluster_size=2M,lazy_refcounts=on"],
        ["-o", "preallocation=metadata"],
    ],
)
def test_qcow2_of_every_honest_kind_is_taken(tmp_path: Path, options: list[str]) -> None:
    data = qcow2(tmp_path / "image", *options)
    assert diskformat.virtual_size(data[: diskformat.HEAD], len(data), diskformat.sniff(data)) == 8 << 20


def test_encrypted_disks_are_refused(tmp_path: Path) -> None:
    secret = ["--object", "secret,id=key,data=x"]
    aes = qcow2(tmp_path / "aes", *secret, "-o", "encrypt.format=aes,encrypt.key-secret=key")
    assert refusal(aes) == "encryption"
    # Method 2 is LUKS, which qemu-img takes seconds of processor time to make.
    assert refusal(changed(qcow2(tmp_path / "luks"), 32, ">I", 2)) == "encryption"
    assert refusal(b"LUKS\xba\xbe".ljust(4096, b"\0")) == "format"


@pytest.mark.parametrize("bit", [5, 6, 17, 63])
def test_features_that_are_not_known_are_refused(tmp_path: Path, bit: int) -> None:
    assert refusal(changed(qcow2(tmp_path / "image"), 72, ">Q", 1 << bit)) == "feature"


@pytest.mark.parametrize(
    ("at", "form", "value", "reason"),
    [
        (4, ">I", 1, "format"),
        (8, ">Q", 512, "reference"),
        (16, ">I", 7, "reference"),
        (20, ">I", 63, "corrupt"),
        (24, ">Q", 0, "size"),
        (24, ">Q", 1 << 60, "corrupt"),
        (36, ">I", 0x7FFFFFFF, "corrupt"),
        (40, ">Q", 1 << 63, "corrupt"),
        (60, ">I", 65536, "feature"),
        (72, ">Q", 1 << 1, "corrupt"),
        (72, ">Q", 1 << 2, "reference"),
        (72, ">Q", 1 << 3, "feature"),
        (100, ">I", 1 << 31, "corrupt"),
        (104, "B", 2, "feature"),
        (112, ">I", 0x0537BE77, "encryption"),
        (112, ">I", 0x44415441, "reference"),
        (116, ">I", 0xFFFFFFF0, "corrupt"),
    ],
)
def test_headers_that_would_have_a_host_do_more_than_read_the_file_are_refused(
    tmp_path: Path, at: int, form: str, value: int, reason: str
) -> None:
    data = qcow2(tmp_path / "image")
    assert struct.unpack_from(">I", data, 100)[0] == 112
    assert refusal(changed(data, at, form, value)) == reason


@pytest.mark.parametrize("form", ["vmdk", "vdi", "vhdx", "vpc", "qed", "parallels"])
def test_other_formats_are_refused_by_name(tmp_path: Path, form: str) -> None:
    path = tmp_path / "image"
    subprocess.run(["qemu-img", "create", "-q", "-f", form, str(path), "8M"], check=True)
    assert refusal(path.read_bytes()) == "format"


def test_anything_else_is_raw_in_whole_sectors() -> None:
    assert diskformat.sniff(b"x" * 1025) == "raw"
    assert diskformat.virtual_size(b"x" * 1025, 1025, "raw") == 1536
    assert refusal(b"") == "size"


def test_a_file_system_without_a_partition_table_is_a_disk(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(16 << 20))
    assert not diskformat.is_marked(path.read_bytes()[: diskformat.HEAD])
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", str(path)], check=True)
    assert diskformat.is_marked(path.read_bytes()[: diskformat.HEAD])


@pytest.mark.parametrize(
    ("at", "mark"),
    [
        pytest.param(510, b"\x55\xaa", id="MBR"),
        pytest.param(512, b"EFI PART", id="GPT"),
        pytest.param(4096, b"EFI PART", id="GPT with sectors of 4096 bytes"),
        pytest.param(0, b"XFSB", id="XFS"),
        pytest.param(65600, b"_BHRfS_M", id="Btrfs"),
        pytest.param(32769, b"CD001", id="ISO 9660"),
        pytest.param(512, b"LABELONE", id="LVM"),
    ],
)
def test_a_raw_disk_is_known_by_its_partition_table_or_file_system(at: int, mark: bytes) -> None:
    assert diskformat.is_marked(bytes(at) + mark + bytes(1 << 20))
    assert not diskformat.is_marked(bytes(at + 1) + mark + bytes(1 << 20))
    assert not diskformat.is_marked((bytes(at) + mark)[:-1])


def test_a_text_is_no_disk() -> None:
    assert not diskformat.is_marked(Path("/etc/passwd").read_bytes())


def test_a_damaged_header_raises_no_other_error(tmp_path: Path) -> None:
    data, chance = qcow2(tmp_path / "image"), random.Random(7)
    for _ in range(3000):
        damaged = bytearray(data[: chance.choice([len(data), chance.randrange(300)])])
        for _ in range(chance.randrange(1, 4)):
            if damaged:
                damaged[chance.randrange(min(len(damaged), 600))] = chance.randrange(256)
        with contextlib.suppress(DiskRefusedError):
            diskformat.virtual_size(bytes(damaged), len(damaged), diskformat.sniff(bytes(damaged)))
