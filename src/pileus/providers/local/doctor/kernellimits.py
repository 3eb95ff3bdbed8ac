"""The kernel's limits that no namespace splits: all containers of a machine, and the machine itself, share them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pileus.model import allowance
from pileus.model.finding import Finding
from pileus.model.spec import InstanceSpec
from pileus.providers.local.container import configuration

KIND = "machine"

_PROC = Path("/proc/sys")
_SMALLEST = 256
"""MiB of memory of a container, as the number of containers that a machine has room for is reckoned."""


@dataclass(frozen=True)
class Limit:
    """A limit of the kernel: the part that the machine itself needs, and the part of each container.

    Without `container` it is one of processes, whose number is in the containers' allowances.
    """

    name: str
    machine: int
    container: int | None = None

    def needed(self, containers: int, processes: int) -> int:
        """The limit that leaves enough to everybody beside so many containers, with so many processes in all."""
        return self.machine + (processes if self.container is None else containers * self.container)

    def current(self, proc: Path = _PROC) -> int | None:
        """The limit as it is; None where this kernel does not have it."""
        try:
            return int((proc / self.name.replace(".", "/")).read_text(encoding="ascii").split()[0])
        except (OSError, ValueError, IndexError):
            return None


LIMITS = (
    Limit("kernel.pid_max", 4096),
    Limit("kernel.threads-max", 4096),
    Limit("kernel.pty.max", 512, 64),
    Limit("fs.file-max", 65536, 8192),
    Limit("fs.inotify.max_user_instances", 64, 8),
    Limit("kernel.keys.maxkeys", 64, 8),
    Limit("kernel.keys.maxbytes", 8192, 512),
    Limit("net.netfilter.nf_conntrack_max", 65536, 4096),
    Limit("vm.max_map_count", 65530, 0),
)
"""A container's processes are bounded by its cgroup; its part of the other limits is what a few services use."""


def compare(specs: Iterable[InstanceSpec], proc: Path = _PROC) -> Iterator[Finding]:
    """The limits that are too low for the containers that this host holds."""
    containers = [spec for spec in specs if spec.machine == "container"]
    if not containers:
        return
    processes = sum(configuration.processes_of(spec) for spec in containers)
    for limit, current, needed in _too_low(len(containers), processes, proc):
        line = f"sysctl -w {limit.name}={needed}"
        detail = f"{current}, and {len(containers)} containers may need {needed}: {line}"
        yield Finding(code="KernelLimitLow", kind=KIND, ident=limit.name, detail=detail)


def capacity(memory: int, proc: Path = _PROC) -> str:
    """The settings for as many containers as fit into a machine with `memory` MiB, in words."""
    containers = memory // _SMALLEST
    processes = containers * allowance.default(1, _SMALLEST).processes
    lines = [
        f"{limit.name}={needed} (now {current})" for limit, current, needed in _too_low(containers, processes, proc)
    ]
    return f"for {containers} containers of {_SMALLEST} MiB set {', '.join(lines)}" if lines else "high enough"


def _too_low(containers: int, processes: int, proc: Path) -> Iterator[tuple[Limit, int, int]]:
    """The limits that are too low, each with its value and the one that is needed."""
    for limit in LIMITS:
        current, needed = limit.current(proc), limit.needed(containers, processes)
        if current is not None and current < needed:
            yield limit, current, needed
