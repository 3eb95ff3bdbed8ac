"""Mounts, namespaces and loop devices by system calls, which cost microseconds where commands cost milliseconds."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from pileus.model.threads import once

T = TypeVar("T")

NODEV, BIND, REC, PRIVATE = 0x4, 0x1000, 0x4000, 0x40000
"""Flags of mount(2)."""

CLONE_FS, CLONE_NEWNS, CLONE_NEWNET = 0x200, 0x20000, 0x40000000

DETACH, _NOFOLLOW = 2, 8
"""MNT_DETACH and UMOUNT_NOFOLLOW of umount2(2)."""

_HERE = -100
_OPEN_TREE, _MOVE_MOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 437, 442
"""Numbers of the system calls, the same on every architecture (they are younger than the common table)."""

_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_EMPTY_PATH, _MOVE_EMPTY_PATH = 0x1000, 0x4
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV, _ATTR_NOEXEC, _ATTR_IDMAP = 0x1, 0x2, 0x4, 0x8, 0x100000
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x2, 0x10

_LOOP_GET_FREE, _LOOP_CONFIGURE, _LOOP_GET_STATUS64 = 0x4C82, 0x4C0A, 0x4C05
_LOOP_INFO = 232
"""Bytes of a struct loop_info64."""

_LOOP_AUTOCLEAR, _LOOP_MAJOR = 4, 7
_SECTOR = 512
_LOOP_CONFIG = "=II 5Q4I64s64s32s2Q 8Q"
"""struct loop_config of <linux/loop.h>: descriptor, block size, struct loop_info64, reserved."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def mount(source: str, target: Path | str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """As the system call of that name. Raises OSError."""
    words = [text.encode() if text else None for text in (source, str(target), kind, data)]
    _check(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount {target}")


def unmount(target: Path | str) -> None:
    """Take the mount off the tree of this mount namespace; it goes when nothing uses it. Raises OSError."""
    _check(_libc.umount2(os.fsencode(target), DETACH | _NOFOLLOW), f"umount {target}")


def leave_mounts() -> None:
    """This thread, and what it starts, is in a mount namespace of its own, from which nothing spreads. Raises OSError.

    The thread can never go back: it has to end.
    """
    _check(_libc.unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", flags=REC | PRIVATE)


def enter_network(namespace: Path) -> None:
    """This thread, and what it starts, is in the network namespace at `namespace`. Raises OSError."""
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNET), f"setns {namespace}")
    finally:
        os.close(descriptor)


def enter_mounts(namespace: Path) -> None:
    """This thread, and what it starts, is in the mount namespace at `namespace`, at its root. Raises OSError.

    The thread can never go back: it has to end.
    """
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.unshare(CLONE_FS), "unshare")
        _check(_libc.setns(descriptor, CLONE_NEWNS), f"setns {namespace}")
    finally:
        os.close(descriptor)


def apart(work: Callable[[], T]) -> T:
    """Return the result of `work`, or raise its error, from a thread of its own: `work` leaves namespaces for good."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001  (raised by `result` below)
            result.set_exception(error)

    once("namespace", run).join()
    return result.result()


def clone_mount(source: Path) -> int:
    """A descriptor of a mount, on nothing yet, of what is at `source`: read-only, and no way to run or own anything.

    See open_tree(2). Raises OSError.
    """
    return _cloned(source, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV | _ATTR_NOEXEC)


def attach_mount(tree: int, target: Path) -> None:
    """Mount what `clone_mount` gave at `target`, in this thread's mount namespace. Raises OSError."""
    moved = _libc.syscall(_MOVE_MOUNT, tree, b"", _HERE, os.fsencode(target), ctypes.c_uint(_MOVE_EMPTY_PATH))
    _check(moved, f"move_mount {target}")


def mount_mapped(source: Path, target: Path, users: int) -> None:
    """Show the files below `source` at `target`, read-only, with owners as the user namespace `users` maps them.

    `users` is a descriptor (see mount_setattr(2), MOUNT_ATTR_IDMAP). Raises OSError.
    """
    tree = _cloned(source, _ATTR_IDMAP | _ATTR_RDONLY | _ATTR_NODEV, users)
    try:
        attach_mount(tree, target)
    finally:
        os.close(tree)


def _cloned(source: Path, attributes: int, users: int = 0) -> int:
    flags = ctypes.c_uint(_OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC)
    tree = _check(_libc.syscall(_OPEN_TREE, _HERE, os.fsencode(source), flags), f"open_tree {source}")
    wanted = struct.pack("QQQQ", attributes, 0, 0, users)
    size = ctypes.c_size_t(len(wanted))
    try:
        done = _libc.syscall(_MOUNT_SETATTR, tree, b"", ctypes.c_uint(_EMPTY_PATH), wanted, size)
        _check(done, f"mount_setattr {source}")
    except OSError:
        os.close(tree)
        raise
    return tree


def open_below(root: int, path: str, flags: int) -> int:
    """Open `path` as if the folder with the descriptor `root` were `/`: no link and no `..` leads out of it.

    See openat2(2), RESOLVE_IN_ROOT. Raises OSError.
    """
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    return _check(_libc.syscall(_OPENAT2, root, os.fsencode(path), how, ctypes.c_size_t(len(how))), f"open {path}")


def loop(file: Path) -> int:
    """A descriptor of a loop device over `file`; the device goes with its last user. Raises OSError."""
    backing = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        while True:
            number = fcntl.ioctl(control, _LOOP_GET_FREE)
            device = _open_loop(number)
            info = (*(0,) * 5, 0, 0, 0, _LOOP_AUTOCLEAR, b"", b"", b"", 0, 0)
            config = struct.pack(_LOOP_CONFIG, backing, 0, *info, *(0,) * 8)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, config)
            except OSError as error:
                os.close(device)
                # Somebody else was given the same one.
                if error.errno != errno.EBUSY:
                    raise
            else:
                return device
    finally:
        os.close(control)
        os.close(backing)


def counted(number: int) -> tuple[int, int]:
    """Bytes that the loop device of this number has read and written, for whatever file. Raises OSError.

    The kernel counts on when a device is over another file. See its Documentation/block/stat.rst.
    """
    words = Path(f"/sys/block/loop{number}/stat").read_text().split()
    return int(words[2]) * _SECTOR, int(words[6]) * _SECTOR


def looped(file: Path) -> bool:
    """Whether a loop device over `file` is there, in whatever mount namespace it is used. Raises OSError."""
    file_stat = file.stat()
    for path in Path("/sys/block").glob("loop*/loop"):
        try:
            device = _open_loop(int(path.parent.name.removeprefix("loop")))
        except OSError:
            continue  # it goes
        try:
            info = fcntl.ioctl(device, _LOOP_GET_STATUS64, bytes(_LOOP_INFO))
        except OSError:
            continue  # it went
        finally:
            os.close(device)
        # Its first two fields: the device and the inode of the file.
        if struct.unpack_from("=2Q", info) == (file_stat.st_dev, file_stat.st_ino):
            return True
    return False


def _open_loop(number: int) -> int:
    path = Path(f"/dev/loop{number}")
    with contextlib.suppress(FileExistsError):
        # Where no daemon and no kernel makes it.
        os.mknod(path, stat.S_IFBLK | 0o660, os.makedev(_LOOP_MAJOR, number))
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)
