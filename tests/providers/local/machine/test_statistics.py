"""The resource use of a machine, by libvirt's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pileus.providers.local.layout import Layout
from pileus.providers.local.machine.statistics import _running
from pileus.providers.local.measure import resting
from tests.providers.local.machine.specs import instance

MIB = 1 << 20


@pytest.mark.parametrize(
    ("rss", "memory", "overhead"),
    [(182, 128, 54), (96, 96, 0), (None, None, 0)],
)
def test_what_qemu_needs_for_itself_is_not_the_guests(
    tmp_path: Path, rss: int | None, memory: int | None, overhead: int
) -> None:
    spec = instance(memory=128)
    figures: dict[str, Any] = {} if rss is None else {"balloon.rss": rss << 10}
    use = _running(Layout(tmp_path), spec, resting(spec, []), figures)
    assert use.memory_limit_bytes == 128 * MIB
    assert (use.memory_bytes, use.overhead_bytes) == (None if memory is None else memory * MIB, overhead * MIB)
