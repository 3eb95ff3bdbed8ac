"""Files that are replaced whole or not at all, and last.

The new content is written aside in the same folder, as `.NAME.new`, is private until it is complete, is written
through to the disk and renamed, and the folder is written through too. Its writer holds a lock on the file aside:
writers of one file take turns, and the next one removes what one that was killed has left.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pileus.posix import locks


def write_file(path: Path, content: bytes, mode: int = 0o600, *, lasting: bool = True) -> None:
    """Replace the file `path`; when this returns, the new content survives a power cut. Raises OSError.

    The file is this process's user's. A link at `path` is replaced, not followed.
    With `lasting` False a power cut may leave the old file, or one that is empty or in part: for what is not needed
    after it. A file that holds `content` already is left alone: what starts again needs no room on a full disk.
    """
    aside = _aside(path)
    if _holds(path, content, mode):
        _settle(path, aside, lasting=lasting)
        return
    with locks.begin(aside, wait=True) as file:
        try:
            file.write(content)
            file.flush()
            # Not before it is whole: nobody may keep the lock of a file that was left.
            os.fchmod(file.fileno(), mode)
            if lasting:
                os.fsync(file.fileno())
            aside.rename(path)
        except OSError:
            # Of a full disk every byte counts.
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
    if lasting:
        sync_folder(path.parent)


def write_json(path: Path, value: object, mode: int = 0o600) -> None:
    """Replace a JSON file, of lines that people can read, as `write_file` does."""
    write_file(path, (json.dumps(value, indent=2) + "\n").encode(), mode)


def keep_once(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the content of a private file (mode 0600); the first caller makes it, and all get the same."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    aside = _aside(path)
    with locks.begin(aside, wait=True) as file:
        try:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
            # Unlike a rename, it never takes the place of what somebody else made meanwhile.
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    sync_folder(path.parent)
    return path.read_bytes()


def put_in_place(part: Path, path: Path, *, lasting: bool = True) -> None:
    """Give the complete file `part` the name `path`, in place of what is there. Raises OSError.

    When this returns it survives a power cut, but for `lasting` False.
    """
    if lasting:
        sync_file(part)
    part.rename(path)
    if lasting:
        sync_folder(path.parent)


def write_link(path: Path, target: Path | str) -> None:
    """Have the symbolic link `path` lead to `target`, in place of what is there. The caller holds a lock.

    It may not survive a power cut. Raises OSError.
    """
    aside = _aside(path)
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    aside.rename(path)


def read_file(path: Path | str, most: int = -1) -> bytes | None:
    """The first `most` bytes of a file that may be anybody's; None where there is none that can be read.

    A link is not followed, and nothing that blocks is waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(most)
    except OSError:
        return None


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None where `read_file` reads none, or it holds something else."""
    content = read_file(path)
    if not content:
        return None
    try:
        document = json.loads(content)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def sync_file(path: Path) -> None:
    """Write a file's content through to the disk. Raises OSError."""
    _sync(path, os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Write a folder's names through to the disk. Raises OSError."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _holds(path: Path, content: bytes, mode: int) -> bool:
    """Whether `path` is a regular file of this process's user with just this content and mode."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        owned = status.st_uid == os.geteuid()
        if not (stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == mode and owned):
            return False
        return file.read(len(content) + 1) == content


def _settle(path: Path, aside: Path, *, lasting: bool) -> None:
    """Have a file that was found complete survive a power cut, and remove what a killed writer has left beside it."""
    try:
        locks.clear(aside)
        if lasting:
            # Its writer may have been killed before it had the name written through.
            sync_file(path)
            sync_folder(path.parent)
    except OSError as error:
        # What is on a file system that has become read-only lasts as it is.
        if error.errno != errno.EROFS:
            raise
