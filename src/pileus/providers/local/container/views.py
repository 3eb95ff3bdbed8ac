"""Files in which containers see their own figures instead of the machine's, and how they stay so.

LXC mounts them when a container starts or reboots, from a copy of lxcfs's file system in its monitor's mount namespace.
When lxcfs is killed all of these are dead, and a container that runs is given new ones from outside.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pileus.providers.local.container import kernel, lxcfs

FILES = (
    *("proc/cpuinfo", "proc/diskstats", "proc/loadavg", "proc/meminfo", "proc/stat", "proc/swaps", "proc/uptime"),
    "sys/devices/system/cpu/online",
)
"""The files that lxcfs shows in a container."""


COVERED = ("sys/block", "sys/class/block", "sys/dev/block", "sys/devices/virtual/block", "sys/devices/virtual/bdi")
"""Folders that tell of the machine's disks, and of the files behind other containers' disks."""


def entries(place: Path) -> list[str]:
    """The lines of LXC's configuration that mount them from below `place`; without lxcfs they do nothing."""
    return [f"lxc.mount.entry = {place}/{name} {name} none bind,optional 0 0" for name in FILES]


def covers(empty: Path) -> list[str]:
    """The lines of LXC's configuration that hide the machine's disks, and its command line by the file `empty`."""
    options = "ro,nosuid,nodev,noexec,size=0,nr_inodes=1,optional"
    folders = [f"lxc.mount.entry = none {name} tmpfs {options} 0 0" for name in COVERED]
    return [*folders, f"lxc.mount.entry = {empty} proc/cmdline none bind,ro,optional 0 0"]


def make_empty(path: Path) -> None:
    """Make the empty file of `covers` in this thread's mount namespace. Raises OSError."""
    # Of a file system of its own, whose size is 0: `df` passes over it.
    path.parent.mkdir()
    kernel.mount("none", path.parent, "tmpfs", kernel.NODEV, "mode=755,size=0,nr_inodes=2")
    path.touch()
    path.chmod(0o444)


def stage(mount: lxcfs.LxcfsMount | None, place: Path) -> None:
    """Have this lxcfs's file system at the folder `place` in this thread's mount namespace.

    To be called in a thread that never goes back. A container that finds none there sees the machine's figures.
    """
    place.mkdir()
    if mount is None:
        return
    with contextlib.suppress(OSError):
        (descriptor,) = lxcfs.clones(mount, [""])
        try:
            kernel.attach_mount(descriptor, place)
        finally:
            os.close(descriptor)


def mend(mount: lxcfs.LxcfsMount, number: int) -> bool:
    """Have the container whose first process is `number` read these files of this lxcfs; whether any had to be mended.

    Mounts of an lxcfs that ended go. Raises OSError.
    """
    devices = lxcfs.mounts(number)
    wanted = [name for name in FILES if devices.get(f"/{name}") != mount.device]
    if not wanted:
        return False
    copies = lxcfs.clones(mount, wanted)

    def work() -> None:
        kernel.enter_mounts(Path(f"/proc/{number}/ns/mnt"))
        for name, copy in zip(wanted, copies, strict=True):
            # A container may have hidden or removed what is there: that is its own affair.
            with contextlib.suppress(OSError):
                if f"/{name}" in devices:
                    kernel.unmount(f"/{name}")
            with contextlib.suppress(OSError):
                kernel.attach_mount(copy, Path(f"/{name}"))

    try:
        kernel.apart(work)
    finally:
        for copy in copies:
            os.close(copy)
    return True
