"""A run of live tests that is ended, as timeout(1) does it, leaves no cloud behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = """
import os
import signal

import pytest

from tests.live.cloud import running, until


@pytest.fixture
def cloud():
    with running("--provider", "stub") as made:
        yield made
        until("what will never be", lambda: False, 600)


def test_it(cloud):
    print(f"in {cloud.state} ")
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def _again(cloud):
    yield
    os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.cost(10)
def test_a_run_that_is_ended_takes_its_cloud_down(tmp_path: Path) -> None:
    """Whatever its fixtures still wait for, and however often it is told."""
    # Everything that fixtures of live tests may import.
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests" / "live" / "test_it.py").write_text(MODULE)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-s", "--live", "tests/live/test_it.py"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert "KeyboardInterrupt" in run.stdout, run.stdout
    assert run.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    state = run.stdout.partition("in ")[2].split()[0]
    assert state.startswith(f"{tempfile.gettempdir()}/"), run.stdout
    assert not Path(state).parent.exists()
    assert not any(state in line for line in command_lines())


def command_lines() -> list[str]:
    """What runs on this machine."""
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
