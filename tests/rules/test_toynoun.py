"""A noun costs four files: three of its own, and a line in the table of nouns."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pileus

TOY = Path(__file__).parent / "toynoun"
ROOT = Path(__file__).parents[2]

NEW = {"model.py": "model/reminder.py", "loops.py": "loops/reminder.py", "verbs.py": "verbs/reminder.py"}
"""The files of the toy, and their places in the package."""


def test_a_noun_of_four_files_is_a_whole_noun(tmp_path: Path) -> None:
    """Claimed, limited, listed, tagged, ordered, reported, recovered, recounted, explained, documented, ended."""
    package = tmp_path / "pileus"
    shutil.copytree(Path(pileus.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, place in NEW.items():
        assert not (package / place).exists()
        shutil.copyfile(TOY / name, package / place)
    table = package / "model" / "nouns.py"
    table.write_text(
        table.read_text()
        .replace("from pileus.model.router", "from pileus.model.reminder import Reminder\nfrom pileus.model.router")
        .replace("        FloatingIp,\n", "        FloatingIp,\n        Reminder,\n")
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.rules.toynoun.program"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
