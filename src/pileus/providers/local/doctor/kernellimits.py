"""The kernel's limits that no namespace splits: all containers of a machine, and the machine itself, share them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pileus.model.finding import Finding
from pileus.model.spec import InstanceSpec
from pileus.providers.local.container import configuration

KIND = "machine"

_PROC = Path("/proc/sys")
_SMALLEST = 256
"""MiB of memory of a container, as the number of containers that a machine has room for is reckoned."""


@dataclass(frozen=True)
class Limit:
    """A limit of the kernel: the part that the machine itself needs, and the part of each container."""

    name: str
    machine: int
    container: int

    def needed(self, containers: int) -> int:
        """The limit that leaves enough to everybody beside so many containers that use all they may."""
        return self.machine + containers * self.container

    def current(self, proc: Path = _PROC) -> int | None:
        """The limit as it is; None where this kernel does not have it."""
        try:
            return int((proc / self.name.replace(".", "/")).read_text(encoding="ascii").split()[0])
        except (OSError, ValueError, IndexError):
            return None


LIMITS = (
    Limit("kernel.pid_max", 4096, configuration.processes(1024)),
    Limit("kernel.threads-max", 4096, configuration.processes(1024)),
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
    containers = sum(spec.machine == "container" for spec in specs)
    for limit, current in _too_low(containers, proc) if containers else ():
        line = f"sysctl -w {limit.name}={limit.needed(containers)}"
        detail = f"{current}, and {containers} containers may need {limit.needed(containers)}: {line}"
        yield Finding(code="KernelLimitLow", kind=KIND, ident=limit.name, detail=detail)


def capacity(memory: int, proc: Path = _PROC) -> str:
    """What a machine whose instances have `memory` MiB would have to set for as many containers as fit, in words."""
    containers = memory // _SMALLEST
    lines = [
        f"{limit.name}={limit.needed(containers)} (now {current})" for limit, current in _too_low(containers, proc)
    ]
    return f"for {containers} containers of {_SMALLEST} MiB set {', '.join(lines)}" if lines else "high enough"


def _too_low(containers: int, proc: Path) -> list[tuple[Limit, int]]:
    limits = ((limit, limit.current(proc)) for limit in LIMITS)
    return [(limit, current) for limit, current in limits if current is not None and current < limit.needed(containers)]
