"""The use of this host's containers: from their cgroups, the loop devices below them, and their ends of the switch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from pileus.model.spec import InstanceSpec
from pileus.model.statistics import NicStatistics, Statistics
from pileus.providers.local.container import disk, guests, kernel
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import cgroups
from pileus.providers.local.measure import resting

_LOOPS = Path("/sys/block")


@dataclass(frozen=True)
class _Machine:
    """The counts read once for all: the interfaces' counters, as of `_interfaces`, and loop devices by their file."""

    interfaces: dict[str, tuple[int, int, int, int]]
    loops: dict[str, int]


def measure(layout: Layout, specs: Iterable[InstanceSpec]) -> tuple[Statistics, ...]:
    """The figures of these containers."""
    statistics = []
    machine: _Machine | None = None
    for spec in specs:
        file = layout.containers / spec.uuid / disk.NAME
        still = resting(spec, [file])
        monitor = guests.monitor(layout, spec)
        number = monitor.pid() if monitor.init() is not None else None
        if number is None:
            statistics.append(still)
            continue
        machine = machine or _Machine(_interfaces(number), _loops())
        statistics.append(_running(layout, spec, still, machine))
    return tuple(statistics)


def _running(layout: Layout, spec: InstanceSpec, still: Statistics, machine: _Machine) -> Statistics:
    read, written = _transferred(layout.containers / spec.uuid / disk.NAME, machine.loops)
    used = cgroups.used(layout, spec.ec2_id)
    return structs.replace(
        still,
        running=True,
        cpu_seconds=used.cpu_seconds,
        memory_bytes=used.memory,
        disk_read_bytes=read,
        disk_written_bytes=written,
        nics=tuple(_nic(nic.ec2_id, machine.interfaces.get(layout.tap(nic.uuid))) for nic in spec.nics),
    )


def _nic(ident: str, counted: tuple[int, int, int, int] | None) -> NicStatistics:
    """Return the statistics of a NIC: the switch's end receives the bytes that the container sends."""
    if counted is None:
        return NicStatistics(id=ident)
    received, packets_received, sent, packets_sent = counted
    return NicStatistics(
        id=ident,
        received_bytes=sent,
        received_packets=packets_sent,
        sent_bytes=received,
        sent_packets=packets_received,
    )


def _interfaces(number: int) -> dict[str, tuple[int, int, int, int]]:
    """Return the interfaces' counters in the network namespace of process `number`: received bytes, packets, sent ones.

    A container's monitor is in its cloud's namespace, where the switch's ends of all pairs are: see proc(5).
    """
    counters = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{number}/net/dev").read_text().splitlines()[2:]:
            name, _, rest = line.partition(":")
            words = rest.split()
            counters[name.strip()] = (int(words[0]), int(words[1]), int(words[8]), int(words[9]))
    return counters


def _loops() -> dict[str, int]:
    """The loop devices of this machine by what they are over."""
    devices = {}
    for path in _LOOPS.glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            devices[path.read_text().strip()] = int(path.parts[-3].removeprefix("loop"))
    return devices


def _transferred(file: Path, loops: dict[str, int]) -> tuple[int | None, int | None]:
    """Bytes read from, and written to, a disk since its container began; None where that is not known."""
    try:
        read, written = kernel.counted(loops[str(file)])
        before = [int(word) for word in file.with_name(disk.COUNTED).read_text().split()]
        return read - before[0], written - before[1]
    except (KeyError, OSError, ValueError, IndexError):
        return None, None
