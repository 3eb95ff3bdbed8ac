"""`pileus up` with daemons of root's, interrupted at drawn moments: nothing is left that `down` and `purge` miss."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from pileus.app import processes
from pileus.providers.local.images.archive import work_folder
from pileus.providers.local.layout import Layout
from tests.interrupts import PILEUS, interrupted, moments, processes_of

MOMENTS = 42
"""With the eight of tests/app, fifty."""

LONGEST = 6.0
"""Seconds that a start takes here, images included."""


def traces(state: Path, digest: str) -> list[str]:
    """Return whatever a cloud in `state` has on this machine outside its directory."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(state) in line]
    places = [*Path("/run/netns").glob(f"*{digest}*"), *Path("/sys/fs/cgroup").glob(f"*/*{digest}*")]
    return [*processes_of(str(state), digest), *mounts, *map(str, places)]


@pytest.mark.cost(420)
def test_an_interrupt_at_any_moment_leaves_nothing_or_what_down_and_purge_know() -> None:
    """A start that says it failed has ended its daemons by then; `purge` removes the rest, or there is none."""
    with tempfile.TemporaryDirectory(prefix="pileus-live-") as folder:
        Path(folder).chmod(0o755)
        state = Path(folder) / "s"
        digest = Layout(state).digest
        for moment in moments(MOMENTS, LONGEST):
            done = interrupted([PILEUS, "up", "--state", str(state)], os.environ, moment)
            context = f"after {moment} s: {done.stdout}{done.stderr}"
            # Interrupted while it was given images, the cloud runs.
            if "interrupted: " in done.stderr or not (state / "started.json").exists():
                # Helpers of daemons that were killed end a moment after them.
                ends = processes.until(lambda: not processes_of(str(state), digest), 10, 0.1)
                assert ends, f"{context}{processes_of(str(state), digest)}"
            if (state / "started.json").exists():
                for words in (("down", "--instances"), ("purge", "--yes")):
                    ended = interrupted([PILEUS, *words, "--state", str(state)], os.environ, 120)
                    assert ended.returncode == 0, context + ended.stderr
            assert not state.exists() or not list(state.iterdir()), context
            ends = processes.until(lambda: not traces(state, digest), 10, 0.1)
            assert ends, f"{context}{traces(state, digest)}"


BUILD = """
import sys
from pathlib import Path
from pileus.app import build, main
build.BUILT = Path(sys.argv[1])
sys.argv[1:] = ["image", "build", "tiny-container", "--state", sys.argv[1]]
main.run()
"""


@pytest.mark.cost(60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_an_image_that_is_not_built_to_its_end_leaves_no_mount_and_no_folder(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Of one that was killed, the next build removes the folder."""
    words = [sys.executable, "-c", BUILD, str(tmp_path)]
    for moment in moments(4, 10.0):
        done = interrupted(words, os.environ, moment, number)
        context = f"after {moment} s: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr or "import" in done.stderr, context
        ends = processes.until(lambda: not processes_of(str(tmp_path)), 10, 0.1)
        assert ends, f"{context}{processes_of(str(tmp_path))}"
        assert str(tmp_path) not in Path("/proc/self/mounts").read_text(), context
        if number != signal.SIGKILL:
            assert not list(tmp_path.glob(".*")), context
    with work_folder(tmp_path, "tiny-container") as work:
        assert list(tmp_path.glob(".*")) == [work]
