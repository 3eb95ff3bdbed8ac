"""The cgroup that holds this cloud's guests: their share of the CPU against everything else on the machine.

Without it libvirt puts all guests of all clouds into one group with the weight of a single process, and they starve.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pileus.model.errors import Fault
from pileus.providers.local.layout import Layout

SHARES = 3072
"""CPU weight of all guests together; 1024 is that of all other processes of the machine together."""

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "net_cls", "perf_event")


def partition(layout: Layout) -> str | None:
    """What a domain's XML says as its resource partition; None where there is no group of ours to be in."""
    return f"/{layout.netns}" if (_ROOT / "cpu" / _name(layout)).is_dir() else None


def prepare(layout: Layout) -> None:
    """Make the group in every hierarchy of version 1; nothing on a machine without. Idempotent. Raises Fault."""
    if not (_ROOT / "cpu" / "cpu.shares").exists():
        return
    try:
        for folder in _folders(layout):
            folder.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (folder / name).exists() and not (folder / name).read_text().strip():
                    (folder / name).write_text((folder.parent / name).read_text())
        (_ROOT / "cpu" / _name(layout) / "cpu.shares").write_text(str(SHARES))
    except OSError as error:
        raise Fault("CgroupsUnavailable", f"the guests' cgroup cannot be made: {error}") from error


def remove(layout: Layout) -> None:
    """Remove the group where nothing is in it any more."""
    for folder in _folders(layout):
        if folder.is_dir():
            # Empty groups of guests that libvirtd did not see end; only groups can be removed like this.
            for path, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    Path(path).rmdir()


def _name(layout: Layout) -> str:
    # libvirt's name for a partition that is not one of systemd's slices (src/util/vircgroup.c).
    return f"{layout.netns}.partition"


def _folders(layout: Layout) -> Iterator[Path]:
    seen = set()
    for controller in _CONTROLLERS:
        mounted = _ROOT / controller
        if (mounted / "cgroup.procs").exists() and mounted.resolve() not in seen:
            seen.add(mounted.resolve())
            yield mounted / _name(layout)
