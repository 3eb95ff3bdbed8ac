"""Bootable disks: a tree of files becomes an ext4 file system with extlinux in a qcow2 image."""

from __future__ import annotations

import secrets
import shlex
import struct
from dataclasses import dataclass
from pathlib import Path

from pileus.providers.local.images.archive import execute

_SECTOR = 512
_FIRST_SECTOR = 2048
_MIB = 1 << 20
_MBR_CODE = Path("/usr/lib/EXTLINUX/mbr.bin")
_MBR_CODE_SIZE = 440
_LINUX_TYPE = 0x83
_BOOTABLE = 0x80
_NO_CHS = b"\xfe\xff\xff"


@dataclass(frozen=True)
class DiskLayout:
    """Size in MiB, file system label and inode count of a disk, and whether it has a partition table.

    With one (`partitioned`), an MBR holds a single bootable partition; else the file system fills the disk, so
    that a guest can grow it without a partitioning tool.
    """

    size_mib: int
    label: str
    inodes: int
    partitioned: bool


def partition_table(size: int, signature: int) -> bytes:
    """Return the MBR (512 bytes, without boot code) of a disk of `size` bytes with one bootable Linux partition.

    `signature` is the 32-bit disk id, so the partition's PARTUUID is `SIGNATURE-01`.
    """
    entry = struct.pack(
        "<B3sB3sII",
        _BOOTABLE,
        _NO_CHS,
        _LINUX_TYPE,
        _NO_CHS,
        _FIRST_SECTOR,
        size // _SECTOR - _FIRST_SECTOR,
    )
    return bytes(_MBR_CODE_SIZE) + struct.pack("<IH", signature, 0) + entry + bytes(48) + b"\x55\xaa"


def new_signature() -> int:
    """Return a random, non-zero 32-bit disk id."""
    return secrets.randbelow(0xFFFFFFFE) + 1


def make_disk(tree: Path, disk: Path, layout: DiskLayout, *, signature: int = 0) -> None:
    """Turn the files under `tree` into the bootable, uncompressed qcow2 image `disk`.

    `tree` holds `boot/extlinux/extlinux.conf`; owners and modes are kept, so this needs root. Works in
    `disk`'s folder. `signature` is the disk id where the layout is partitioned. Raises `ImageBuildError`.
    """
    raw = disk.with_suffix(".raw")
    size = layout.size_mib * _MIB
    offset = 0
    with raw.open("wb") as file:
        file.truncate(size)
        if layout.partitioned:
            offset = _FIRST_SECTOR * _SECTOR
            table = partition_table(size, signature)
            file.write(_MBR_CODE.read_bytes()[:_MBR_CODE_SIZE] + table[_MBR_CODE_SIZE:])
    _make_file_system(tree, raw, layout, offset)
    _install_boot_loader(raw, offset)
    # An uncompressed image boots much faster where the guest's disk reads are emulated.
    execute(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk])
    raw.unlink()


def _make_file_system(tree: Path, raw: Path, layout: DiskLayout, offset: int) -> None:
    # extlinux 6 reads neither 64-bit block numbers nor checksummed metadata; uninit_bg keeps growing cheap.
    execute(
        [
            *("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096"),
            *("-N", str(layout.inodes), "-L", layout.label),
            *("-O", "^64bit,^metadata_csum,uninit_bg"),
            *("-E", f"offset={offset}", "-d", tree),
            *(raw, f"{layout.size_mib * 1024 - offset // 1024}k"),
        ]
    )


def _install_boot_loader(raw: Path, offset: int) -> None:
    # A mount namespace of its own: whatever ends this command also unmounts and frees the loop device.
    mount_point = raw.with_suffix(".mnt")
    mount_point.mkdir()
    quoted = shlex.quote(str(mount_point))
    script = (
        f"mount -o loop,offset={offset} {shlex.quote(str(raw))} {quoted}"
        f" && extlinux --install {quoted}/boot/extlinux && umount {quoted}"
    )
    execute(["unshare", "--mount", "--propagation", "private", "sh", "-ec", script])
    mount_point.rmdir()
