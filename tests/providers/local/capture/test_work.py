"""Programs that make captures: watched, ended when they are not wanted, and heard when they fail."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from pileus.model.errors import Fault
from pileus.providers.local.capture import work
from pileus.providers.local.capture.work import GENTLY, CancellationToken, CancelledError, ProgramFault
from tests.providers.contract import until


def test_a_program_yields_to_everything_else(tmp_path: Path) -> None:
    said = CancellationToken(tmp_path).run([*GENTLY, "sh", "-c", "nice; ionice"])
    assert said.decode().split() == ["19", "idle"]


def test_a_program_that_fails_is_heard(tmp_path: Path) -> None:
    with pytest.raises(ProgramFault, match="CaptureFailed: a word") as caught:
        CancellationToken(tmp_path).run(["sh", "-c", "echo a word >&2; exit 7"])
    assert caught.value.status == 7
    with pytest.raises(Fault, match="HostDiskFull"):
        CancellationToken(tmp_path).run(["sh", "-c", "echo x: No space left on device >&2; exit 1"])


def cancelling(cancellation: CancellationToken, mark: Path, then: Path | None = None) -> threading.Thread:
    """A thread that gives a program up once it has made its `mark`, and makes `then`."""

    def cancel() -> None:
        until("the program runs", mark.exists)
        cancellation.cancel()
        if then is not None:
            then.touch()

    thread = threading.Thread(target=cancel)
    thread.start()
    return thread


def test_one_that_is_not_wanted_any_more_is_ended(tmp_path: Path) -> None:
    cancellation, mark = CancellationToken(tmp_path), tmp_path / "pid"
    thread = cancelling(cancellation, mark)
    with pytest.raises(CancelledError):
        cancellation.run(["sh", "-c", 'echo $$ >"$0.new"; mv "$0.new" "$0"; exec sleep 600', mark])
    thread.join()
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()
    with pytest.raises(CancelledError):
        cancellation.look()


def test_one_that_stays_is_let_to_its_end(tmp_path: Path) -> None:
    cancellation, mark = CancellationToken(tmp_path), tmp_path / "mark"
    thread = cancelling(cancellation, mark, tmp_path / "mark.go")
    with pytest.raises(CancelledError):
        cancellation.run(
            ["sh", "-c", ': >"$0"; until [ -e "$0.go" ]; do sleep 0.01; done; sleep 0.3; : >"$0.done"', mark],
            stays=True,
        )
    thread.join()
    assert (tmp_path / "mark.done").exists()


def test_a_full_disk_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LEAST", 1 << 60)
    with pytest.raises(Fault, match="HostDiskFull"):
        CancellationToken(tmp_path).run(["sleep", "60"])


def test_it_does_not_take_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LONGEST", 0.0)
    cancellation = CancellationToken(tmp_path)
    time.sleep(0.01)
    with pytest.raises(Fault, match="longer than") as caught:
        cancellation.look()
    assert caught.value.permanent
    assert os.listdir(tmp_path) == []  # noqa: PTH208  (names, not paths)
