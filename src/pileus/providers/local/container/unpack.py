"""Unpacks a root file system that came from a stranger: a program of its own, shut up in the folder that it fills.

`python -m pileus.providers.local.container.unpack FOLDER ROOM`, a tar archive on its standard input, as root. Whatever
the archive says, no path leads out of FOLDER, which is this process's root; no device is made, for it has no capability
to; and whoever started it has bounded its memory, time and files. An archive of more than ROOM entries is one that the
disk has no room for. Without words it makes nothing, and only reads the archive as one that is to be unpacked. It
prints a `rootfs.UnpackedSize` as JSON.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import stat
import struct
import sys
import tarfile
from pathlib import Path
from typing import IO

from pileus.model import disk
from pileus.model.rootfs import CAPABILITY, ArchiveEntry, ArchiveMeter, Member, RefusedError, headers

REFUSED, FULL = 3, 4
"""Exit statuses: of an archive that is not taken, and of a disk without room. The last line of stderr says more."""

# CHOWN, DAC_OVERRIDE, FOWNER, FSETID and SETFCAP (capabilities(7)): to own, open, mark and name, and nothing else.
_CAPABILITIES = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 31
_CAPABILITY_VERSION = 0x20080522
_PR_SET_NO_NEW_PRIVS = 38
_CHUNK = 1 << 20
_LATEST = 1 << 34
_THEIRS = frozenset(
    {
        *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOENT, errno.ENOTDIR),
        *(errno.EISDIR, errno.EEXIST, errno.EMLINK, errno.EPERM),
    }
)
"""Errors that only a strange archive leads to."""


def main() -> int:
    """Fill the folder that the command line names, or measure the archive where it names none; an exit status."""
    try:
        if sys.argv[1:]:
            confine(sys.argv[1])
    except OSError as error:
        return _end(1, str(error))
    try:
        meter = unpack(sys.stdin.buffer, int(sys.argv[2])) if sys.argv[1:] else measure(sys.stdin.buffer)
    except RefusedError as error:
        return _end(REFUSED, str(error))
    except (tarfile.TarError, UnicodeError, MemoryError, OverflowError, ValueError) as error:
        return _end(REFUSED, f"the archive cannot be read: {str(error) or type(error).__name__}")
    except OSError as error:
        if error.errno in _THEIRS:
            return _end(REFUSED, f"{ascii(error.filename)[1:-1][-100:]} cannot be made: {error.strerror}")
        return _end(FULL if disk.trouble(error) == disk.FULL else 1, str(error))
    json.dump({"bytes": meter.bytes, "entries": meter.entries}, sys.stdout)
    return 0


def confine(folder: str) -> None:
    """Have `folder` be the root, and keep no right that unpacking does not need. Raises OSError."""
    os.chdir(folder)
    os.chroot(".")
    os.umask(0)
    libc = ctypes.CDLL(None, use_errno=True)
    low, high = _CAPABILITIES & 0xFFFFFFFF, _CAPABILITIES >> 32
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0))
    data = ctypes.create_string_buffer(struct.pack("=6I", low, low, 0, high, high, 0))
    if libc.capset(header, data) or libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the rights to more than unpacking cannot be given up")


def unpack(archive: IO[bytes], room: int) -> ArchiveMeter:
    """Make what the archive holds, at most `room` entries, below the root folder.

    Raises RefusedError, OSError and what tarfile raises.
    """
    meter, folders = ArchiveMeter(), Folders()
    with tarfile.open(fileobj=archive, mode="r|", tarinfo=Member, encoding="utf-8") as tar:
        for member in headers(tar):
            entry = meter.entry(member)
            if meter.entries > room:
                raise OSError(errno.ENOSPC, f"the disk has no room for more than {room} files")
            if entry.kind != "nothing":
                _make(tar, member, entry, folders)
    folders.finish()
    return meter


def measure(archive: IO[bytes]) -> ArchiveMeter:
    """Return the size of the archive's content. Raises RefusedError and what tarfile raises."""
    meter = ArchiveMeter()
    with tarfile.open(fileobj=archive, mode="r|", tarinfo=Member, encoding="utf-8") as tar:
        for member in headers(tar):
            meter.entry(member)
    return meter


class Folders:
    """The folders that were made; they get their owners and times last, when nothing goes into them any more."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._members: dict[str, tarfile.TarInfo] = {}

    def above(self, path: tuple[str, ...]) -> None:
        """Have the folders on the way to `path` be there, as the root's own where nobody said more."""
        for length in range(1, len(path)):
            name = "/".join(path[:length])
            if name in self._known:
                continue
            try:
                Path(name).mkdir(0o755)
            except FileExistsError:
                # A link on the way is followed: it cannot lead further than this process can see.
                if not Path(name).is_dir():
                    raise RefusedError(
                        f"the archive has entries below {ascii(name)[-100:]}, which is no folder"
                    ) from None
            self._known.add(name)

    def add(self, name: str, member: tarfile.TarInfo) -> None:
        """Have the folder `name` be there, to be what `member` says in the end."""
        try:
            Path(name).mkdir(0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(name).st_mode):
                _remove(name)
                Path(name).mkdir(0o700)
        self._known.add(name)
        self._members[name] = member

    def replaced(self, name: str) -> None:
        """Note that no folder is at `name` any more."""
        if name in self._members or name in self._known:
            self._members = {key: value for key, value in self._members.items() if not _below(key, name)}
            self._known = {key for key in self._known if not _below(key, name)}

    def finish(self) -> None:
        """Give every folder its owner, mode and times."""
        for name, member in self._members.items():
            os.chown(name, member.uid, member.gid, follow_symlinks=False)
            Path(name).chmod(member.mode & 0o7777)
        for name, member in self._members.items():
            _date(name, member)


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _make(tar: tarfile.TarFile, member: tarfile.TarInfo, entry: ArchiveEntry, folders: Folders) -> None:
    name = "/".join(entry.path)
    folders.above(entry.path)
    if entry.kind == "folder":
        folders.add(name, member)
        return
    if entry.kind == "link" and entry.target == entry.path:
        return
    _remove(name)
    folders.replaced(name)
    if entry.kind == "link":
        os.link("/".join(entry.target), name, follow_symlinks=False)
        return
    if entry.kind == "symlink":
        Path(name).symlink_to(member.linkname)
    elif entry.kind == "pipe":
        os.mkfifo(name, 0o600)
    else:
        _write(tar, member, name)
    os.chown(name, member.uid, member.gid, follow_symlinks=False)
    if entry.kind != "symlink":
        Path(name).chmod(member.mode & 0o7777)
    if entry.kind == "file" and entry.capability:
        os.setxattr(name, CAPABILITY, entry.capability)
    _date(name, member)


def _remove(name: str) -> None:
    """Make room for an entry that says anew what is there: the last one counts. A folder that is not empty stays."""
    try:
        Path(name).unlink()
    except FileNotFoundError:
        return
    except IsADirectoryError:
        try:
            Path(name).rmdir()
        except OSError as error:
            raise RefusedError(f"{ascii(name)[-100:]} is a folder with entries, and something else") from error


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise RefusedError(f"{ascii(name)[-100:]} has no contents")
    with Path(name).open("xb") as file:
        remaining = member.size
        while remaining:
            part = source.read(min(_CHUNK, remaining))
            if not part:
                raise RefusedError("the archive ends within a file")
            remaining -= len(part)
            # Holes stay holes: an archive of a few bytes may have files of many.
            if member.sparse is not None and part == bytes(len(part)):
                file.seek(len(part), os.SEEK_CUR)
            else:
                file.write(part)
        file.truncate(member.size)


def _date(name: str, member: tarfile.TarInfo) -> None:
    seconds = member.mtime
    when = seconds if -_LATEST < seconds < _LATEST else 0
    os.utime(name, (when, when), follow_symlinks=False)


def _end(status: int, text: str) -> int:
    sys.stderr.write(ascii(text)[1:-1][-300:] + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
