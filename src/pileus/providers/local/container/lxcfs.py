"""This cloud's lxcfs, which answers what containers read of memory, processors and load with figures of their own.

It runs in a mount namespace of its own and keeps nothing: killed, it is started anew, with another file system, and
whoever has the old one mounted reads ENOTCONN until that is replaced (`views`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pileus.posix import processes
from pileus.posix.locks import locked
from pileus.providers.local.container import kernel
from pileus.providers.local.engine.daemons import Daemon
from pileus.providers.local.engine.root import ROOT
from pileus.providers.local.layout import Layout

NAME = "lxcfs"

TYPE = "fuse.lxcfs"
"""Of its file system, in mountinfo (proc_pid_mountinfo(5))."""

_SCRIPT = Path(__file__).with_name("lxcfs.sh")
_FUSE = Path("/dev/fuse")
_READY = 10.0


@dataclass(frozen=True)
class LxcfsMount:
    """The file system of an lxcfs that runs: `device` is its number, by which mounts of it are known."""

    process: int
    device: str
    place: Path


def available() -> bool:
    """Whether this machine can run it: the kernel has FUSE, and the engine's root has lxcfs."""
    return _FUSE.exists() and (ROOT / "usr" / "bin" / "lxcfs").exists()


def daemon(layout: Layout) -> Daemon:
    """The daemon; its command needs root, and the folders that `up` makes."""
    unshared = ("unshare", "--mount", "--propagation=private")
    return Daemon(
        name=NAME,
        argv=(*unshared, "/bin/sh", str(_SCRIPT), str(ROOT), str(layout.lxcfs)),
        ready=lambda: tree(layout) is not None,
        pidfile=layout.lxcfs / "pid",
        output=layout.lxcfs / "lxcfs.out",
    )


def pid(layout: Layout) -> int | None:
    """The running lxcfs's process, or None."""
    return processes.owner(daemon(layout).pidfile)


def up(layout: Layout) -> str:
    """Start it unless it runs; "" once it answers, else why it does not. Containers can do without. Raises OSError."""
    for folder in (layout.lxcfs, layout.lxcfs / "mount", layout.lxcfs / "run"):
        folder.mkdir(mode=0o700, exist_ok=True, parents=True)
    if not available():
        return "this machine has no /dev/fuse" if not _FUSE.exists() else f"there is none in {ROOT}"
    with locked(layout.lxcfs / "lock"):
        return daemon(layout).start(_READY)


def down(layout: Layout) -> None:
    """End it. It has nothing to put away, and takes seconds when it is asked."""
    number = pid(layout)
    if number is not None:
        processes.stop(number, 0.0)


def tree(layout: Layout) -> LxcfsMount | None:
    """Its file system; None while it does not run, or is not mounted yet."""
    number = pid(layout)
    if number is None:
        return None
    place = layout.lxcfs / "mount"
    for point, device in mounts(number).items():
        if point == str(place):
            return LxcfsMount(number, device, place)
    return None


def read(mount: LxcfsMount) -> None:
    """Have it answer one question. Blocks for as long as it hangs, and no longer than it lives. Raises OSError."""
    # Through its root, for its mount is in no other namespace.
    Path(f"/proc/{mount.process}/root{mount.place}/proc/uptime").read_bytes()


def mounts(number: int) -> dict[str, str]:
    """Where a process has lxcfs's files mounted, as it names these places, and of which device each is."""
    devices = {}
    try:
        lines = Path(f"/proc/{number}/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        own, _, shared = line.partition(" - ")
        words = own.split()
        if shared.startswith(f"{TYPE} "):
            devices[words[4]] = words[2]
    return devices


def clones(mount: LxcfsMount, names: list[str]) -> list[int]:
    """Descriptors of copies of its mount, of one file or folder each ("": of all), that can be attached anywhere once.

    Read-only. The caller closes them. Raises OSError.
    """
    descriptors: list[int] = []

    def work() -> None:
        kernel.enter_mounts(Path(f"/proc/{mount.process}/ns/mnt"))
        for name in names:
            descriptors.append(kernel.clone_mount(mount.place / name))  # noqa: PERF401  (those before a failure are closed)

    try:
        kernel.apart(work)
    except OSError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return descriptors
