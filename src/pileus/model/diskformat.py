"""Formats of disk images, by their first bytes: rules for the header of a stranger's file. Pure.

No file that an image names is opened, and no program guesses what the image is: it is qcow2 by its magic number, one of
the formats that are refused by theirs, and raw otherwise. A raw disk is known by its partition table or file system.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from pileus.model import bounds

HEAD = 2 << 20
"""The bytes at a file's beginning that are looked at: as many as a qcow2's header may have."""

Format = Literal["qcow2", "raw"]

_QCOW2 = b"QFI\xfb"
_OTHERS = {
    b"KDMV": "VMDK",
    b"COWD": "VMDK",
    b"# Disk DescriptorFile": "VMDK",
    b"vhdxfile": "VHDX",
    b"conectix": "VHD",
    b"QED\0": "QED",
    b"LUKS\xba\xbe": "LUKS",
    b"WithoutFreeSpace": "Parallels",
    b"WithouFreSpacExt": "Parallels",
    b"Bochs Virtual HD Image": "Bochs",
}
_MARKS = (
    *((510, b"\x55\xaa"), (512, b"EFI PART"), (4096, b"EFI PART")),
    *((1080, b"\x53\xef"), (0, b"XFSB"), (0x10040, b"_BHRfS_M"), (0x8001, b"CD001")),
    *((512 * sector, b"LABELONE") for sector in range(4)),
)
"""Where raw disks say what they are, in bytes, and by what: MBR or FAT, GPT, ext, XFS, Btrfs, ISO 9660, LVM."""

_VDI, _VDI_AT = b"\x7f\x10\xda\xbe", 64
_SECTOR = 512

# QEMU's docs/interop/qcow2.txt
_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
_HEADER_3 = struct.Struct(">QQQII")
_EXTENSION = struct.Struct(">II")
_CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED = 1 << 1, 1 << 2, 1 << 3, 1 << 4
_KNOWN = 1 | _CORRUPT | _DATA_FILE | _COMPRESSION | _EXTENDED
_ZSTD = 1
_CRYPTO, _DATA_NAME, _BITMAPS = 0x0537BE77, 0x44415441, 0x23852875


class DiskRefusedError(ValueError):
    """A disk image that is not taken; the text, which follows "the image", says why, and `reason` is a stable slug."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class Qcow2:
    """The fields of a qcow2's header that say whether it is taken, by the names of QEMU's specification."""

    version: int
    backing: bool
    cluster_bits: int
    size: int
    crypt_method: int
    l1_size: int
    l1_table_offset: int
    refcount_table_offset: int
    snapshots: int
    features: int
    compression: int
    header_length: int


def sniff(head: bytes) -> Format:
    """The format of a file with these first bytes. Raises DiskRefusedError for a format that is not taken."""
    if head.startswith(_QCOW2):
        return "qcow2"
    name = next((name for magic, name in _OTHERS.items() if head.startswith(magic)), "")
    if head[_VDI_AT:].startswith(_VDI):
        name = "VDI"
    if name:
        raise DiskRefusedError(f"is {name}; qcow2 and raw are taken (`qemu-img convert -O qcow2` makes one)", "format")
    return "raw"


def is_marked(head: bytes) -> bool:
    """Whether a raw disk that begins with `head` has a partition table, a file system or a volume group."""
    return any(head.startswith(mark, at) for at, mark in _MARKS)


def virtual_size(head: bytes, size: int, form: str) -> int:
    """The bytes of the disk in a file of `size` bytes that begins with `head` (of `HEAD` bytes) and is `form`.

    Raises DiskRefusedError: for a disk that is empty or absurdly large, and for a qcow2 that is damaged, encrypted,
    refers to another file, or has features, snapshots or bitmaps that a cloud's image has no use for.
    """
    disk = _qcow2(head, size) if form == "qcow2" else -(-size // _SECTOR) * _SECTOR
    if not 0 < disk <= bounds.VIRTUAL_DISK.most:
        raise DiskRefusedError(f"has a disk of {disk} bytes; 1 to {bounds.VIRTUAL_DISK.most} are taken", "size")
    return disk


def _qcow2(head: bytes, size: int) -> int:
    """The bytes of the disk in a qcow2. Raises DiskRefusedError."""
    if not head.startswith(_QCOW2):
        raise DiskRefusedError("is not a qcow2 image", "format")
    header = _read(head)
    if header.backing:
        raise DiskRefusedError("has a backing file; only images that are whole by themselves are taken", "reference")
    _check_features(header)
    for kind, data in _extensions(head[: 1 << header.cluster_bits], header.header_length):
        if kind == _DATA_NAME:
            raise DiskRefusedError("has a data file; only images that are whole by themselves are taken", "reference")
        if kind == _CRYPTO:
            raise DiskRefusedError("has encryption, which no host has the key of", "encryption")
        if kind == _BITMAPS and any(data[:4]):
            raise DiskRefusedError("has bitmaps; `qemu-img convert -O qcow2` makes an image without them", "feature")
    if header.snapshots:
        raise DiskRefusedError("has snapshots; `qemu-img convert -O qcow2` makes an image without them", "feature")
    cluster = 1 << header.cluster_bits
    covered = cluster * (cluster // (16 if header.features & _EXTENDED else 8))
    tables = header.l1_table_offset + 8 * header.l1_size
    if header.l1_size < -(-header.size // covered) or tables > size or header.refcount_table_offset >= size:
        raise DiskRefusedError("has damage: its tables are not within the file", "corrupt")
    return header.size


def _read(head: bytes) -> Qcow2:
    """The header. Raises DiskRefusedError for what is none."""
    try:
        _, version, at, length, bits, size, crypt, l1, l1_at, refcounts_at, _, snapshots, _ = _HEADER.unpack_from(head)
        features, own_length, compression = 0, _HEADER.size, 0
        if version == 3:
            features, _, _, _, own_length = _HEADER_3.unpack_from(head, _HEADER.size)
            compression = head[104] if own_length > 104 else 0
    except (struct.error, IndexError) as error:
        raise DiskRefusedError("has damage: its header is cut short", "corrupt") from error
    if version not in (2, 3):
        raise DiskRefusedError(f"is qcow of version {version}; 2 and 3 are taken", "format")
    if not 9 <= bits <= 21 or not _HEADER.size <= own_length <= 1 << bits or (version == 3 and own_length < 104):
        raise DiskRefusedError("has damage: its header's sizes make no sense", "corrupt")
    return Qcow2(
        version=version,
        backing=bool(at or length),
        cluster_bits=bits,
        size=size,
        crypt_method=crypt,
        l1_size=l1,
        l1_table_offset=l1_at,
        refcount_table_offset=refcounts_at,
        snapshots=snapshots,
        features=features,
        compression=compression,
        header_length=own_length,
    )


def _check_features(header: Qcow2) -> None:
    if header.crypt_method:
        raise DiskRefusedError("has encryption, which no host has the key of", "encryption")
    if header.features & _DATA_FILE:
        raise DiskRefusedError("has a data file; only images that are whole by themselves are taken", "reference")
    if header.features & _CORRUPT:
        raise DiskRefusedError("has damage: it is marked as corrupt", "corrupt")
    unknown = header.features & ~_KNOWN
    compression = _ZSTD if header.features & _COMPRESSION else 0
    if unknown or header.compression != compression:
        raise DiskRefusedError("has features of qcow2 that are not known here", "feature")


def _extensions(cluster: bytes, at: int) -> list[tuple[int, bytes]]:
    """The header's extensions, (type, data), from the first cluster. Raises DiskRefusedError for one cut short."""
    extensions: list[tuple[int, bytes]] = []
    while at + _EXTENSION.size <= len(cluster):
        kind, length = _EXTENSION.unpack_from(cluster, at)
        at += _EXTENSION.size
        if not kind:
            break
        if at + length > len(cluster):
            raise DiskRefusedError("has damage: its header is cut short", "corrupt")
        extensions.append((kind, cluster[at : at + length]))
        at += -(-length // 8) * 8
    return extensions
