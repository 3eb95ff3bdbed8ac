"""Locks on files and folders (flock(2)): the kernel drops one when its holder ends, however that is.

A lock file may be removed by the process that holds its lock: a lock counts only while the file that it is on still
has its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def take(path: Path, *, shared: bool = False) -> int:
    """Take the lock on a folder, or on a file, which is made where there is none; waits for it.

    The lock ends when every copy of the returned descriptor is closed. Raises OSError.
    """
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            if is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def take_at_once(path: Path) -> int | None:
    """Take the lock as `take` does, or return None where another has it. Raises OSError."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_at(descriptor, path):
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    # Another has it, or had it just now and has removed the file.
    os.close(descriptor)
    return None


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock at `path` against other threads and processes; waits for it. Raises OSError."""
    descriptor = take(path, shared=shared)
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(folder: Path, name: str = "", mode: int = 0o700) -> Iterator[None]:
    """Hold the lock on `folder`, or on the file `name` in it; a missing folder is made with `mode`. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=mode)
    with locked(folder / name):
        yield


@contextlib.contextmanager
def free(path: Path) -> Iterator[bool]:
    """Whether nobody else holds the lock at `path`; if so it is held here. Raises OSError."""
    descriptor = take_at_once(path)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether another holds the lock at `path` for itself alone; it is not taken, and no file is made."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def begin(path: Path, *, wait: bool = False) -> BinaryIO:
    """A new private file (mode 0600) at `path`, open for writing, with its lock held until it is closed.

    The lock shows that its writer lives: see `clear`. A file that is there is an error, or with `wait` the rest of
    a writer that ended, which is removed, or a writer's at work, which is waited for. Raises OSError.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            if not wait:
                raise
            clear(path, wait=True)
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if is_at(descriptor, path):
                return os.fdopen(descriptor, "wb")
        except BaseException:
            os.close(descriptor)
            raise
        # It was taken for a leftover before it was locked.
        os.close(descriptor)


def clear(path: Path, *, wait: bool = False) -> None:
    """Remove what a writer that ended left at `path` (see `begin`); the file of one at work stays, or is waited for.

    Raises OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError:
        # A link, or a file that may not be read: of no writer that knows this lock.
        path.unlink(missing_ok=True)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        # Not what has been renamed, and perhaps begun again, meanwhile.
        if is_at(descriptor, path):
            path.unlink(missing_ok=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    # For reading: a lock can be taken on a folder, and on a file system that has become read-only.
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
