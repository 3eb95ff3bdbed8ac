"""The condition of one cloud's own things: its state directory, its processes, the machine's memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from pileus.app import kits, processes
from pileus.app.state import LONGEST, StateDirectory
from pileus.app.supervise import restarts
from pileus.app.up import running
from pileus.model.finding import Finding
from pileus.model.kit import Kit

LEAST_SPACE = 1 << 30
"""Bytes that a file system should have free: a download of an image and some growth of disks."""

LEAST_FILES = 1000
"""Files that a file system should have room for."""

LEAST_MEMORY = 256 << 20
"""Bytes that should be left: a small guest, or the restart of every daemon."""

_MIB, _GIB = 1 << 20, 1 << 30


def described(state: StateDirectory) -> dict[str, str]:
    """Return the facts of the cloud in words, by name."""
    parts, again = running(state), restarts(state)
    down = [name for name, pid in parts.items() if pid is None]
    if is_up(state):
        runs = f"up: {len(parts) - len(down)} of {len(parts)} processes run"
    else:
        runs = f"down: {len(parts) - len(down)} of {len(parts)} processes run"
    if again:
        runs += f", started again: {', '.join(f'{name} {times}' for name, times in sorted(again.items()))}"
    free = os.statvfs(state.root)
    return {
        "cloud": runs,
        "state directory": f"{state.root}, {free.f_bavail * free.f_frsize / _GIB:.1f} GiB free",
        "memory": f"{_memory('MemAvailable') // _MIB} of {_memory('MemTotal') // _MIB} MiB available",
    }


def is_up(state: StateDirectory) -> bool:
    """Whether the cloud is meant to run: `down` ends the supervisor, and says so by removing the endpoints."""
    return processes.owner(state.pidfile("supervisor")) is not None or state.endpoints.exists()


def condition(state: StateDirectory, kit: Kit, *, silent: Collection[str]) -> Iterator[Finding]:
    """Yield the faults of the cloud; `silent` are processes and daemons that were asked something and did not reply."""
    yield from _space(state, kit)
    if len(os.fsencode(state.root)) > LONGEST:
        yield Finding(code="StatePathTooLong", kind="machine", ident=str(state.root))
    if _memory("MemAvailable") < LEAST_MEMORY:
        detail = f"{_memory('MemAvailable') // _MIB} MiB"
        yield Finding(code="MemoryLow", kind="machine", ident="memory", detail=detail)
    if is_up(state):
        yield from _processes(state, kit, silent=silent)


def _space(state: StateDirectory, kit: Kit) -> Iterator[Finding]:
    for path in sorted({state.root, *kit.shared}):
        filesystem = os.statvfs(path)
        free = filesystem.f_bavail * filesystem.f_frsize
        if free < LEAST_SPACE or (filesystem.f_files and filesystem.f_favail < LEAST_FILES):
            detail = f"{free // _MIB} MiB and {filesystem.f_favail} files free"
            yield Finding(code="SpaceLow", kind="machine", ident=str(path), detail=detail)
    try:
        with tempfile.TemporaryFile(dir=state.run):
            pass
    except OSError as error:
        detail = error.strerror or str(error)
        yield Finding(code="StateReadOnly", kind="machine", ident=str(state.root), detail=detail)


def _processes(state: StateDirectory, kit: Kit, *, silent: Collection[str]) -> Iterator[Finding]:
    mute = {*silent, *kits.machine(kit, state).silent()}
    for name, pid in running(state).items():
        if pid is None:
            yield Finding(code="PartDown", kind="process", ident=name, detail=f"see {state.log(name).parent}")
        elif name in mute:
            yield Finding(code="PartSilent", kind="process", ident=name, detail=f"pid {pid}")


def _memory(field: str) -> int:
    """Bytes, by the name that the kernel gives them (proc_meminfo(5))."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == field:
            return int(rest.split()[0]) << 10
    raise AssertionError(field)
