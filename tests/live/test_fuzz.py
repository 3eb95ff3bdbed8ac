"""No bytes of strangers bring a parser to an unexpected error, to more than seconds, or to more memory."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.targets import TARGETS
from tests.house import tree

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60


@pytest.mark.cost(SECONDS + 5)
@pytest.mark.parametrize("target", TARGETS)
def test_a_parser_bears_every_input(target: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    seed = request.config.getoption("randomly_seed", 1) % (1 << 31)
    words = ["--seconds", str(SECONDS), "--runs", "1000000000", "--seed", str(seed), "--corpus", str(tmp_path / "c")]
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", target, *words],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd=tree.ROOT,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    inputs = re.search(r"number_of_executed_units: ([0-9]+)", run.stderr)
    assert inputs is not None
    assert int(inputs[1]) > 1000
