"""Each line of the protocol is needed: switched off, it breaks a promise in some world that the whole code survives."""

from __future__ import annotations

import pytest

from tests.loops.lines import LINES
from tests.loops.world import run

MOST = 120
"""Seeds that are tried at most. Lines that break less than about every tenth world are left to bin's table."""


@pytest.mark.parametrize("name", [name for name, line in LINES.items() if not line.rare])
def test_a_line_that_is_off_breaks_a_promise(name: str) -> None:
    line = LINES[name]
    with line.off():
        seed, broken = next(((seed, what) for seed in range(MOST) if (what := run(seed, line.temper))), (-1, None))
    assert broken is not None, f"no world of {MOST} needs it"
    assert run(seed, line.temper) is None, f"seed {seed}"
