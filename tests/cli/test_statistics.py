"""The figures of an instance, for a person."""

from __future__ import annotations

from typing import Any

import pytest

from pileus.cli import statistics


@pytest.mark.parametrize(
    ("overhead", "line"),
    [
        ({"overhead_bytes": 54 << 20}, "memory   128M of 128M, and 54.0M for its QEMU"),
        ({"overhead_bytes": 0}, "memory   128M of 128M"),
        ({}, "memory   128M of 128M"),
    ],
)
def test_no_guest_has_more_memory_than_its_limit(overhead: dict[str, int], line: str) -> None:
    sizes = ("disk_allocated_bytes", "disk_size_bytes", "disk_read_bytes", "disk_written_bytes")
    figures: dict[str, Any] = {"id": "i-1", "name": "", "state": "running", "uptime": 1, "cpu_seconds": 0.5, "nics": []}
    figures |= {"vcpus": 1, "memory_bytes": 128 << 20, "memory_limit_bytes": 128 << 20, **overhead}
    figures |= dict.fromkeys(sizes, 0)
    assert line in statistics.sheet(figures).splitlines()
