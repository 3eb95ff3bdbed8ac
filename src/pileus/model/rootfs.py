"""The rules for an archive of a container's root file system, which a stranger may have made. Pure.

Device nodes are left out: a container is given its own, and an archive of a whole system often has some.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pileus.model import bounds

DEPTH = 128
"""Names of one path."""

IDS = 65536
"""Users, and groups: those that a container has."""

CAPABILITY = "security.capability"
"""The one extended attribute that is kept: what lets `ping` work for everybody."""

INITS = ("sbin/init", "etc/init", "bin/init", "init", "usr/sbin/init")
"""Where a system's first program may be."""

ATTRIBUTE = "SCHILY.xattr."
"""The prefix that tar writes before the name of an extended attribute."""
_LARGEST_CAPABILITY = 24

Kind = Literal["file", "folder", "symlink", "link", "pipe", "nothing"]


class RefusedError(ValueError):
    """An archive that is not taken; the text says why, to whoever sent it."""


@dataclass(frozen=True)
class UnpackedSize:
    """The size of a root file system once it is unpacked: the bytes of its files, and the number of all its entries."""

    bytes: int
    entries: int


@dataclass(frozen=True)
class ArchiveEntry:
    """One entry: where it goes, and for a `link` (a further name of a file) the `target` within the archive.

    `kind` is `nothing` for what is left out, and for the root folder itself.
    """

    path: tuple[str, ...]
    kind: Kind
    target: tuple[str, ...] = ()
    capability: bytes = b""


@dataclass
class ArchiveMeter:
    """The bytes and entries of an archive so far, within its bounds; `bootable` once a first program was among them."""

    bytes: int = 0
    entries: int = 0
    bootable: bool = False
    most_bytes: int = bounds.ARCHIVE_BYTES.most
    most_entries: int = bounds.ARCHIVE_ENTRIES.most

    def entry(self, member: tarfile.TarInfo) -> ArchiveEntry:
        """Return the entry for `member`. Raises RefusedError for a dishonest one, and beyond the bounds."""
        self.entries += 1
        if self.entries > self.most_entries:
            raise RefusedError(f"the archive has more than {self.most_entries} entries")
        path = parts(member.name)
        self._look(member, path)
        kind = _kind(member) if path else "nothing"
        if kind in ("file", "nothing"):
            self.bytes += member.size
        if self.bytes > self.most_bytes:
            raise RefusedError(f"the files of the archive have more than {self.most_bytes} bytes")
        target = parts(member.linkname) if kind == "link" else ()
        return ArchiveEntry(path, kind, target, _capability(member))

    def _look(self, member: tarfile.TarInfo, path: tuple[str, ...]) -> None:
        if not (0 <= member.uid < IDS and 0 <= member.gid < IDS):
            owner = f"{member.uid}:{member.gid}"
            raise RefusedError(f"'{_shown(path)}' belongs to {owner}: a container's users end at {IDS - 1}")
        if member.size < 0:
            raise RefusedError(f"'{_shown(path)}' has a size below zero")
        self.bootable |= "/".join(path) in INITS and not member.isdir()


def parts(name: str) -> tuple[str, ...]:
    """The names on a path within an archive, which is below its root whatever it begins with. Raises RefusedError."""
    names = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in names:
        raise RefusedError(f"'{_shown(names)}' leads out of the archive")
    if len(names) > DEPTH:
        raise RefusedError(f"a path of the archive is {len(names)} folders deep; {DEPTH} are taken")
    if "\0" in name:
        raise RefusedError("a name in the archive is no name")
    return names


def _kind(member: tarfile.TarInfo) -> Kind:
    if member.isdir():
        return "folder"
    if member.issym():
        return "symlink"
    if member.islnk():
        return "link"
    if member.isfifo():
        return "pipe"
    return "file" if member.isreg() else "nothing"


def _capability(member: tarfile.TarInfo) -> bytes:
    header = member.pax_headers.get(ATTRIBUTE + CAPABILITY, "")
    # As tarfile reads what is no UTF-8.
    value = header.encode("utf-8", "surrogateescape")
    return value if len(value) <= _LARGEST_CAPABILITY else b""


def _shown(path: tuple[str, ...]) -> str:
    """A name as it may be told: no control characters, and not too long."""
    return ascii(posixpath.join(*path) if path else "/")[1:-1][-120:]


class Member(tarfile.TarInfo):
    """An archive's header; one that is damaged is an error, and never the archive's end."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Member:
        """The next header. Raises tarfile.ReadError."""
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # missing in the stubs
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"the archive is damaged or cut short: {error}") from error


def headers(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The headers of an archive that is read once, one after another: tarfile would remember all that there were."""
    while (member := archive.next()) is not None:
        yield member
        archive.members.clear()  # type: ignore[attr-defined]  # missing in the stubs
