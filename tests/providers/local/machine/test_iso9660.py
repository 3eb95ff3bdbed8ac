"""The file system of a configuration drive, read back record by record."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.providers.local.machine.iso9660 import SECTOR, image

NAMES = st.from_regex(r"[a-z0-9_]{1,12}(\.[a-z]{1,4})?", fullmatch=True)
PATHS = st.lists(NAMES.filter(lambda name: "." not in name), max_size=2).flatmap(
    lambda above: NAMES.map(lambda name: "/".join([*(f"d{part}" for part in above), f"f{name}"]))
)


def entries(disk: bytes, sector: int, size: int, above: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield the files of a folder and of those below it."""
    for start in range(sector * SECTOR, sector * SECTOR + size, SECTOR):
        at = start
        while at < start + SECTOR and disk[at]:
            length, name_length = disk[at], disk[at + 32]
            (place,), (total,) = struct.unpack_from("<I", disk, at + 2), struct.unpack_from("<I", disk, at + 10)
            assert struct.unpack_from(">I", disk, at + 6) == (place,)
            assert struct.unpack_from(">I", disk, at + 14) == (total,)
            assert at + length <= start + SECTOR
            name = disk[at + 33 : at + 33 + name_length].decode()
            if disk[at + 25] & 2:
                if name not in ("\0", "\1"):
                    yield from entries(disk, place, total, f"{above}{name}/")
            else:
                plain = name.removesuffix(";1").removesuffix(".").lower()
                yield f"{above.lower()}{plain}", disk[place * SECTOR : place * SECTOR + total]
            at += length


def read(disk: bytes) -> tuple[str, dict[str, bytes]]:
    """The label and the files of a file system."""
    volume = disk[16 * SECTOR : 17 * SECTOR]
    assert volume[:7] == b"\x01CD001\x01"
    assert struct.unpack_from("<I", volume, 80) == (len(disk) // SECTOR,)
    root = volume[156:190]
    sector, size = struct.unpack_from("<I", root, 2)[0], struct.unpack_from("<I", root, 10)[0]
    return volume[40:72].decode().rstrip(), dict(entries(disk, sector, size))


def test_a_drive_has_its_label_and_its_files() -> None:
    files = {
        "openstack/latest/meta_data.json": b"{}",
        "openstack/latest/user_data": b"",
        "openstack/content/0000": b"x" * 5000,
        "top": b"t",
    }
    assert read(image(files, "config-2")) == ("config-2", files)


def test_a_folder_may_have_more_records_than_a_sector_holds() -> None:
    files = {f"content/{number:04d}": str(number).encode() for number in range(200)}
    assert read(image(files, "config-2"))[1] == files


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(PATHS, st.binary(max_size=5000), min_size=1, max_size=20))
def test_whatever_is_written_is_read_back(files: dict[str, bytes]) -> None:
    assert read(image(files, "config-2"))[1] == files
