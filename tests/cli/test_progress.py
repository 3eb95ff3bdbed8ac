"""Progress is a bar on a terminal, and the same plain lines as ever where there is none."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from pileus.cli import progress

TRANSFER = """
from pileus.cli import progress
with progress.transfer("uploading", 8 << 20) as told:
    for done in range(9):
        told(done << 20)
"""

STEPS = """
from pileus.cli import progress
with progress.steps(print) as begun:
    begun("installing packages")
    begun("writing the disk")
"""


def on_terminal(script: str) -> str:
    """What the script says on a terminal of its own."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "100"}
    child = subprocess.Popen([sys.executable, "-c", script], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert child.wait(30) == 0, said
    return said.decode()


def test_a_terminal_has_a_bar() -> None:
    said = on_terminal(TRANSFER)
    assert "━━━━━━" in said
    assert "8.0/8.0 MiB" in said
    assert "\x1b[" in said


def test_a_terminal_sees_every_step_and_its_time() -> None:
    said = on_terminal(STEPS)
    assert "installing packages" in said
    assert "writing the disk" in said
    assert "0:00:0" in said


def test_elsewhere_there_are_plain_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 6.0, 7.0])
    monkeypatch.setattr("pileus.cli.progress.time.monotonic", lambda: next(now))
    with progress.transfer("uploading", 8 << 20) as told:
        for done in (1, 4, 8):
            told(done << 20)
    assert capsys.readouterr().err == "uploading: 4 of 8 MiB\n"
    said: list[str] = []
    with progress.steps(said.append) as begun:
        begun("writing the disk")
    assert said == ["writing the disk"]


def test_commands_start_without_rich_progress() -> None:
    script = "import sys, pileus.cli.images, pileus.app.main; print('rich.progress' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
