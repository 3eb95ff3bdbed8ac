"""Gives up root: from then on this process is an unprivileged user that sees the checkout and its state directory.

Either may lie below a folder that the user may not pass (a private home). Then this process gets a mount namespace of
its own, in which that folder holds nothing but the way to what it needs.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_MS_NOSUID, _MS_NODEV = 2, 4
_PR_SET_NO_NEW_PRIVS = 38


@dataclass(frozen=True)
class Needed:
    """A folder that the user has to reach."""

    path: Path
    writable: bool = False


@dataclass(frozen=True)
class UnixUser:
    """A user as the kernel's permission checks see it."""

    uid: int
    gid: int
    groups: frozenset[int]

    def passes(self, folder: Path) -> bool:
        """Whether the user may pass through `folder`, by its mode bits."""
        folder_stat = folder.stat()
        if folder_stat.st_uid == self.uid:
            return bool(folder_stat.st_mode & stat.S_IXUSR)
        if folder_stat.st_gid in self.groups:
            return bool(folder_stat.st_mode & stat.S_IXGRP)
        return bool(folder_stat.st_mode & stat.S_IXOTH)


def identity(user: str) -> UnixUser:
    """The user of that name; KeyError when there is none."""
    entry = pwd.getpwnam(user)
    return UnixUser(entry.pw_uid, entry.pw_gid, frozenset(os.getgrouplist(user, entry.pw_gid)))


def become(user: str, needed: Sequence[Needed]) -> None:
    """Be `user` for good: its ids and groups alone, no way to more, files private. Needs root. Raises OSError."""
    who = identity(user)
    _open_ways(who, needed)
    os.initgroups(user, who.gid)
    os.setresgid(who.gid, who.gid, who.gid)
    os.setresuid(who.uid, who.uid, who.uid)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.umask(0o077)
    os.chdir("/")


def blocked(who: UnixUser, path: Path) -> Path | None:
    """The first folder on the way to `path` (`path` itself not counted) that `who` may not pass."""
    for folder in reversed(path.parents):
        if not who.passes(folder):
            return folder
    return None


def _open_ways(who: UnixUser, needed: Sequence[Needed]) -> None:
    walls = {folder: blocked(who, folder.path) for folder in needed}
    if not any(walls.values()):
        return
    _call("unshare", _CLONE_NEWNS)
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE, None)
    # Opened now: the folders that are mounted over hide them.
    ways = [(folder, os.open(folder.path, os.O_PATH | os.O_DIRECTORY)) for folder, wall in walls.items() if wall]
    for wall in sorted({wall for wall in walls.values() if wall}):
        _mount("tmpfs", str(wall), "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m")
    for folder, descriptor in sorted(ways, key=lambda way: len(way[0].path.parts)):
        folder.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{descriptor}", str(folder.path), None, _MS_BIND, None)
        if not folder.writable:
            _mount(None, str(folder.path), None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV, None)
        os.close(descriptor)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None) -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    _call("mount", texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])


def _call(name: str, *arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
