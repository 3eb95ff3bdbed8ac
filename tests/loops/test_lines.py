"""Each line of the protocol is needed: switched off, it breaks a promise in some world that the whole code survives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loops.clouds import cloud
from tests.loops.lines import LINES
from tests.loops.world import run

MOST = 150
"""Worlds that are tried at most, from the one on that is known to show it."""


def test_the_documentation_tells_of_every_line() -> None:
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert [name for name, line in LINES.items() if f"| {line.number} | {name}: {line.says} |" not in text] == []


@pytest.mark.parametrize("name", [name for name, line in LINES.items() if not line.rare])
def test_a_line_that_is_off_breaks_a_promise(name: str) -> None:
    line = LINES[name]
    cloud()  # What every world begins with is made with all lines on.
    with line.off():
        tried = ((seed, run(seed, line.temper)) for seed in range(line.seed, line.seed + MOST))
        shown = next(((seed, broken) for seed, broken in tried if broken is not None), None)
    assert shown is not None, f"no world of {MOST} needs it"
    assert run(shown[0], line.temper) is None, f"seed {shown[0]} fails with the line too"
