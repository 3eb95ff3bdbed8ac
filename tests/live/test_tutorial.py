"""The tutorial works as it is printed: its blocks, one after the other, in one shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.cost(270)
def test_the_tutorial_as_printed() -> None:
    """Run by bash in a copy of nothing but the clone, with a state directory of its own."""
    text = (ROOT / "docs" / "tutorial.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 8
    folder = Path(tempfile.mkdtemp(prefix="pileus-tutorial-"))
    folder.chmod(0o755)
    # The clone is entered for what stands in it; what the reader's commands write goes beside it.
    for name in ("bin", ".venv", "requirements", "pyproject.toml", "src"):
        (folder / name).symlink_to(ROOT / name)
    script = "\n".join(["set -euo pipefail", *blocks]).replace("bin/setup\n", f"(cd {ROOT} && bin/setup)\n")
    environment = {**os.environ, "PILEUS_STATE": str(folder / "s")}
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        for said in ("hello from user data", "hello from outside", "kept", "Linux"):
            assert said in done.stdout
    finally:
        pileus = str(ROOT / ".venv" / "bin" / "pileus")
        subprocess.run([pileus, "down", "--instances"], env=environment, capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)
