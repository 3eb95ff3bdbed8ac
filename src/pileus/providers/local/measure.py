"""The figures that instances of either kind share: their disks' sizes, and figures before anything runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from pileus.model.spec import InstanceSpec
from pileus.model.statistics import NicStatistics, Statistics

_BLOCK = 512
"""Bytes of st_blocks (stat(2))."""


def resting(spec: InstanceSpec, disks: Iterable[Path]) -> Statistics:
    """The figures of an instance that does not run: its sizes, and what the files of its disks take."""
    return Statistics(
        uuid=spec.uuid,
        id=spec.ec2_id,
        project=spec.project,
        vcpus=spec.vcpus,
        memory_limit_bytes=spec.memory << 20,
        disk_allocated_bytes=sum(map(_allocated, disks)),
        disk_size_bytes=sum(disk.size for disk in spec.disks) << 30,
        nics=tuple(NicStatistics(id=nic.ec2_id) for nic in spec.nics),
    )


def _allocated(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_blocks * _BLOCK
    return 0
