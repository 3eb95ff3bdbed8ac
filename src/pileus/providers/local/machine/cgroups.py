"""The cgroup that holds this cloud's guests: their share of the CPU against everything else on the machine.

Without it libvirt puts all guests of all clouds into one group with the weight of a single process, and they starve.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from pileus.model import bounds
from pileus.model.errors import Fault
from pileus.providers.local.layout import Layout

SHARES = 3072
"""CPU weight of all guests together; 1024 is that of all other processes of the machine together."""

WEIGHTS = range(1, 10001)
"""The allowed values of `cpu.weight`, in cgroups of version 2."""

log = structlog.get_logger()

_ROOT = Path("/sys/fs/cgroup")
_PROCESSES, _THREADS = Path("/proc/sys/kernel/pid_max"), Path("/proc/sys/kernel/threads-max")
_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "net_cls", "perf_event")


def partition(layout: Layout) -> str | None:
    """Return the resource partition for a domain's XML; None where there is no group of ours to be in."""
    return f"/{layout.netns}" if folder(layout) else None


def folder(layout: Layout) -> Path | None:
    """The folder of the group that has the guests' CPU weight; None where there is none."""
    group_folder = (_ROOT if unified() else _ROOT / "cpu") / group(layout)
    return group_folder if group_folder.is_dir() else None


def weight(shares: int) -> int:
    """The `cpu.weight` of version 2 that means as much as these `cpu.shares`; the defaults are 100 and 1024.

    As the kernel (kernel/sched/core.c, cpu_weight_write_u64) and systemd (cgroup_cpu_shares_to_weight) convert.
    """
    return min(max(round(shares * 100 / 1024), WEIGHTS[0]), WEIGHTS[-1])


def prepare(layout: Layout) -> None:
    """Make the group in every hierarchy of version 1, or in that of version 2. Idempotent. Raises Fault.

    Without a CPU controller, or where version 2 delegates nothing, there is none, and guests weigh what libvirt says.
    """
    if unified():
        _prepare_unified(layout)
        _bound_processes(layout)
        return
    _bound_processes(layout)
    if not (_ROOT / "cpu" / "cpu.shares").exists():
        return
    try:
        for folder in _folders(layout):
            folder.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (folder / name).exists() and not (folder / name).read_text().strip():
                    (folder / name).write_text((folder.parent / name).read_text())
        (_ROOT / "cpu" / group(layout) / "cpu.shares").write_text(str(SHARES))
    except OSError as error:
        raise Fault("CgroupsUnavailable", f"the guests' cgroup cannot be made: {error}") from error


def _prepare_unified(layout: Layout) -> None:
    folder = _ROOT / group(layout)
    controllers = (_ROOT / "cgroup.controllers").read_text().split()
    if "cpu" not in controllers:
        return
    try:
        wanted = " ".join(f"+{controller}" for controller in ("cpu", "pids") if controller in controllers)
        (_ROOT / "cgroup.subtree_control").write_text(wanted)
        folder.mkdir(exist_ok=True)
        (folder / "cpu.weight").write_text(str(weight(SHARES)))
    except OSError as error:
        # In a container, say, whose top group has processes of its own.
        log.warning("guests have no CPU shares of their own", error=str(error))
        with contextlib.suppress(OSError):
            folder.rmdir()


def _bound_processes(layout: Layout) -> None:
    """Keep a part of the machine's process numbers for everything but guests; no cgroup has this where it fails."""
    folder = (_ROOT if unified() else _ROOT / "pids") / group(layout)
    numbers = min(int(path.read_text()) for path in (_PROCESSES, _THREADS))
    try:
        if not unified():
            folder.mkdir(exist_ok=True)
        (folder / "pids.max").write_text(str(numbers * bounds.GUEST_PROCESSES.most // 100))
    except OSError as error:
        log.warning("guests together have no bound on processes", error=str(error))


def unified() -> bool:
    """Whether version 2 is in charge of all controllers, not of none beside those of version 1."""
    return (_ROOT / "cgroup.controllers").exists()


def remove(layout: Layout, guest: str = "") -> bool:
    """Remove the group, or those of the container that LXC calls `guest`, where nothing is in it any more.

    Whether all of it is gone.
    """
    remaining = False
    for hierarchy in _hierarchies():
        top = hierarchy / group(layout)
        for folder in (top / guest, top / f"{guest}.monitor") if guest else (top,):
            # Empty groups of guests that nobody saw end; only groups can be removed like this.
            for path, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    Path(path).rmdir()
            remaining = remaining or folder.exists()
    return not remaining


def end(layout: Layout, guest: str) -> None:
    """Kill every process of the container that LXC calls `guest`, its monitor first."""
    for hierarchy in _hierarchies():
        for folder in (hierarchy / group(layout) / f"{guest}.monitor", hierarchy / group(layout) / guest):
            # A walk, which passes over groups that go meanwhile, with the processes that were in them.
            for place, _, _ in os.walk(folder):
                with contextlib.suppress(OSError):
                    for number in (Path(place) / "cgroup.procs").read_text().split():
                        os.kill(int(number), signal.SIGKILL)


def limit(layout: Layout, guest: str, limits: Mapping[str, str]) -> None:
    """Set these limits, by the names of their files, of the container that runs. Raises Fault where one is refused."""
    for file, value in limits.items():
        for hierarchy in _hierarchies():
            path = hierarchy / group(layout) / guest / file
            try:
                if path.exists():
                    path.write_text(value)
            except OSError as error:
                # Less memory, say, than is in use.
                raise Fault("CgroupsUnavailable", f"{path} cannot be {value}: {error}") from error


def processors(layout: Layout) -> Path | None:
    """The folder of the group in which processors are given to containers; None where that cannot be done."""
    group_folder = (_ROOT if unified() else _ROOT / "cpuset") / group(layout)
    return group_folder if (group_folder / "cpuset.cpus").exists() else None


@dataclass(frozen=True)
class Used:
    """The use of a container: seconds of all processors, and bytes of memory; None where they cannot be read."""

    cpu_seconds: float
    memory: int | None


def used(layout: Layout, guest: str) -> Used:
    """Return the use of the container that LXC calls `guest`. Pages of files that nobody touched lately do not count.

    These can be dropped at any time: what docker and kubectl show is counted so.
    """
    top = f"{group(layout)}/{guest}"
    if unified():
        numbers = _numbers(_ROOT / top / "cpu.stat")
        memory, old = _ROOT / top / "memory.current", _numbers(_ROOT / top / "memory.stat").get("inactive_file", 0)
        seconds = numbers.get("usage_usec", 0) / 1e6
    else:
        memory = _ROOT / "memory" / top / "memory.usage_in_bytes"
        old = _numbers(memory.with_name("memory.stat")).get("total_inactive_file", 0)
        seconds = (_number(_ROOT / "cpuacct" / top / "cpuacct.usage") or 0) / 1e9
    used_bytes = _number(memory)
    return Used(seconds, None if used_bytes is None else max(0, used_bytes - old))


def _number(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def _numbers(path: Path) -> dict[str, int]:
    """A file of words, each with its number on a line."""
    with contextlib.suppress(OSError, ValueError):
        return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}
    return {}


def group(layout: Layout) -> str:
    """The group's path below the top of each hierarchy."""
    # libvirt's name for a partition that is not one of systemd's slices (src/util/vircgroup.c).
    return f"{layout.netns}.partition"


def _folders(layout: Layout) -> Iterator[Path]:
    """The group's folder in each hierarchy of version 1 that libvirt uses."""
    seen = set()
    for controller in _CONTROLLERS:
        mounted = _ROOT / controller
        if (mounted / "cgroup.procs").exists() and mounted.resolve() not in seen:
            seen.add(mounted.resolve())
            yield mounted / group(layout)


def _hierarchies() -> list[Path]:
    """Where each hierarchy is mounted: LXC puts a container into every one, those without controllers included."""
    return [_ROOT] if unified() else [path for path in sorted(_ROOT.iterdir()) if (path / "cgroup.procs").exists()]
