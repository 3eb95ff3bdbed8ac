"""Files as an ISO 9660 file system (ECMA-119, level 2), which every system reads without a driver of its own.

Names are stored in capitals, as the standard has them; Linux shows them in small letters.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

SECTOR = 2048

_FIRST = 16
"""The sector of the volume's descriptor."""

_TABLES = 18
"""The sector of the first path table; the other one follows. Few folders: each table is one sector."""

_DATE = bytes((126, 1, 1, 0, 0, 0, 0))
_NO_DATE = b"0" * 16 + b"\0"


@dataclass
class _Folder:
    """A folder with its entries; `number` is its own in the path tables, `sector` where its records begin."""

    name: bytes
    parent: _Folder | None
    number: int = 1
    sector: int = 0
    folders: dict[bytes, _Folder] = field(default_factory=dict)
    files: dict[bytes, tuple[int, int]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of its records, whole sectors."""
        return SECTOR * -(-len(self.records(check=False)) // SECTOR)

    def records(self, *, check: bool = True) -> bytes:
        """The records of itself, its parent, and its entries by name; none crosses the end of a sector."""
        own = 0 if not check else self.size
        above = self.parent or self
        entries = [_record(b"\0", self.sector, own, folder=True)]
        entries.append(_record(b"\1", above.sector, above.size if check and above is not self else own, folder=True))
        named = {name: (folder.sector, folder.size if check else 0, True) for name, folder in self.folders.items()}
        named |= {name: (sector, size, False) for name, (sector, size) in self.files.items()}
        entries += [_record(name, at, size, folder=folder) for name, (at, size, folder) in sorted(named.items())]
        text = b""
        for entry in entries:
            left = SECTOR - len(text) % SECTOR
            text += (bytes(left) if len(entry) > left else b"") + entry
        return text


def image(files: Mapping[str, bytes], label: str) -> bytes:
    """The file system with these files, by path without a slash at its beginning, under the volume's `label`."""
    root = _Folder(b"\0", None)
    folders = [root]
    for path in sorted(files):
        _into(root, path, folders)
    # In the order of the path tables: by depth, then by the parent's number, then by name.
    folders.sort(key=_rank)
    for number, folder in enumerate(folders, 1):
        folder.number = number
    sector = _TABLES + 2
    for folder in folders:
        folder.sector = sector
        sector += folder.size // SECTOR
    data = b""
    for path, content in sorted(files.items()):
        folder, name = _into(root, path, folders)
        folder.files[name] = (sector + len(data) // SECTOR, len(content))
        data += _padded(content)
    tables = [_padded(_table(folders, order)) for order in "<>"]
    total = sector + len(data) // SECTOR
    table_size = len(_table(folders, "<"))
    head = bytes(_FIRST * SECTOR) + _descriptor(root, label, total, table_size) + _padded(b"\xffCD001\x01")
    return head + b"".join(tables) + b"".join(_padded(folder.records()) for folder in folders) + data


def _into(root: _Folder, path: str, folders: list[_Folder]) -> tuple[_Folder, bytes]:
    """The folder of a path, made where it is missing, and the file's name in it; the file has an entry."""
    *above, name = path.upper().encode("ascii").split(b"/")
    folder = root
    for part in above:
        if part not in folder.folders:
            folder.folders[part] = _Folder(part, folder)
            folders.append(folder.folders[part])
        folder = folder.folders[part]
    entry = name + (b";1" if b"." in name else b".;1")
    folder.files.setdefault(entry, (0, 0))
    return folder, entry


def _rank(folder: _Folder) -> tuple[bytes, ...]:
    names: tuple[bytes, ...] = ()
    depth, above = 0, folder
    while above.parent is not None:
        names, above, depth = (above.name, *names), above.parent, depth + 1
    return (bytes([depth]), *names)


def _record(name: bytes, sector: int, size: int, *, folder: bool) -> bytes:
    record = b"\0" + _both(sector) + _both(size) + _DATE + bytes((2 if folder else 0, 0, 0)) + _both(1, "H")
    record += bytes((len(name),)) + name + (b"" if len(name) % 2 else b"\0")
    return bytes((len(record) + 1,)) + record


def _table(folders: list[_Folder], order: str) -> bytes:
    text = b""
    for folder in folders:
        above = folder.parent.number if folder.parent else 1
        text += struct.pack(f"{order}BBIH", len(folder.name), 0, folder.sector, above)
        text += folder.name + bytes(len(folder.name) % 2)
    return text


def _descriptor(root: _Folder, label: str, total: int, table_size: int) -> bytes:
    text = b"\x01CD001\x01\0" + b" " * 32 + label.encode("ascii").ljust(32) + bytes(8) + _both(total) + bytes(32)
    text += _both(1, "H") + _both(1, "H") + _both(SECTOR, "H") + _both(table_size)
    text += struct.pack("<II", _TABLES, 0) + struct.pack(">II", _TABLES + 1, 0)
    text += _record(b"\0", root.sector, root.size, folder=True)
    text += b" " * (128 * 4 + 37 * 3) + _NO_DATE * 4 + b"\x01\0"
    return _padded(text)


def _both(number: int, form: str = "I") -> bytes:
    """A number in both orders of its bytes."""
    return struct.pack(f"<{form}", number) + struct.pack(f">{form}", number)


def _padded(text: bytes) -> bytes:
    return text + bytes(-len(text) % SECTOR)
