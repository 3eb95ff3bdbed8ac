"""Programs that make captures: watched, ended when they are not wanted, and heard when they fail."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from pileus.model.errors import Fault
from pileus.providers.local.capture import work
from pileus.providers.local.capture.work import GENTLY, CancelledError, ProgramFault, Watch


def test_a_program_yields_to_everything_else(tmp_path: Path) -> None:
    said = Watch(tmp_path).run([*GENTLY, "sh", "-c", "nice; ionice"])
    assert said.decode().split() == ["19", "idle"]


def test_a_program_that_fails_is_heard(tmp_path: Path) -> None:
    with pytest.raises(ProgramFault, match="CaptureFailed: a word") as caught:
        Watch(tmp_path).run(["sh", "-c", "echo a word >&2; exit 7"])
    assert caught.value.status == 7
    with pytest.raises(Fault, match="HostDiskFull"):
        Watch(tmp_path).run(["sh", "-c", "echo x: No space left on device >&2; exit 1"])


def test_one_that_is_not_wanted_any_more_is_ended(tmp_path: Path) -> None:
    watch, mark = Watch(tmp_path), tmp_path / "pid"
    threading.Timer(0.2, watch.cancel).start()
    with pytest.raises(CancelledError):
        watch.run(["sh", "-c", 'echo $$ >"$0"; exec sleep 60', mark])
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()
    with pytest.raises(CancelledError):
        watch.look()


def test_one_that_stays_is_let_to_its_end(tmp_path: Path) -> None:
    watch, mark = Watch(tmp_path), tmp_path / "done"
    threading.Timer(0.1, watch.cancel).start()
    with pytest.raises(CancelledError):
        watch.run(["sh", "-c", 'sleep 0.5; : >"$0"', mark], stays=True)
    assert mark.exists()


def test_a_full_disk_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LEAST", 1 << 60)
    with pytest.raises(Fault, match="HostDiskFull"):
        Watch(tmp_path).run(["sleep", "60"])


def test_it_does_not_take_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LONGEST", 0.0)
    watch = Watch(tmp_path)
    time.sleep(0.01)
    with pytest.raises(Fault, match="longer than") as caught:
        watch.look()
    assert caught.value.permanent
    assert os.listdir(tmp_path) == []  # noqa: PTH208  (names, not paths)
