"""Processes by their pid files, without being fooled by zombies, reboots or numbers used again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs of the machine are looked for, whatever the caller's own PATH has."""

_FLOCK = "hhqqi"
"""struct flock of fcntl(2): type, whence, start, length, pid."""

_KILL = 10.0
"""Seconds that a killed process may take to go: one that hangs in the kernel is waited for no longer."""


def owner(pidfile: Path) -> int | None:
    """The process that holds the lock on `pidfile`, or None. Never ask for a file that this process holds itself.

    Our own processes, Open vSwitch's and OVN's daemons (lib/daemon-unix.c) keep their pid file locked for life. The
    lock, unlike the number in the file, cannot outlive its process: a zombie has closed its files, and a number can
    be used again.
    """
    try:
        # To read suffices, and goes on a file system that can no longer be written.
        descriptor = os.open(pidfile, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        lock_query = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, lock_query))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else int(pid)


def hold(pidfile: Path) -> int | None:
    """Lock `pidfile` for the life of this process: the descriptor, or None when another process holds it."""
    descriptor = os.open(pidfile, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def spawn(argv: list[str], output: Path) -> int:
    """Start `argv` in a session of its own, what it prints appended to `output`; the pid.

    A caller that stays alive reaps it (os.waitpid); when the caller ends, init does.
    """
    appended = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawnp(
        argv[0],
        argv,
        {"PATH": PATH, "LC_ALL": "C.UTF-8"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), appended, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
    )


def ended(pid: int) -> bool:
    """Whether the child `pid` of this process has ended; reaps it."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def send(pid: int, number: int) -> None:
    """Send a signal to `pid`; one that has ended is no error."""
    with _handle(pid) as handle:
        if handle is not None:
            _send(handle, number)


def stop(pid: int, patience: float) -> None:
    """End `pid` by SIGTERM, after `patience` seconds by SIGKILL; returns when it is dead, and reaps it if ours.

    Without patience it is killed at once.
    """
    with _handle(pid) as handle:
        if handle is None:
            return
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, _KILL)):
            if seconds:
                _send(handle, number)
                if select.select([handle], [], [], seconds)[0]:
                    break
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def until(true: Callable[[], bool], seconds: float, pause: float = 0.01) -> bool:
    """Whether `true` becomes true within `seconds`; looks every `pause` seconds, and at once."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


@contextlib.contextmanager
def _handle(pid: int) -> Iterator[int | None]:
    """A descriptor of the process (pidfd_open(2)), so that no signal goes to one that has its number next."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def _send(handle: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, number)
