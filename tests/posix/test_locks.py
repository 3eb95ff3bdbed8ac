"""Locks on files and folders, which end with their holders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pileus.posix import locks

_HOLDER = """
import sys, time
from pathlib import Path
from pileus.posix import locks

held = locks.begin(Path(sys.argv[2])) if sys.argv[1] == "begin" else locks.take(Path(sys.argv[2]))
print("held", flush=True)
time.sleep(60)
"""


def holder(how: str, path: Path) -> subprocess.Popen[bytes]:
    """Start a process that has the lock when this returns."""
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, how, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_lock_is_of_one_holder_and_ends_with_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    if kind == "folder":
        path.mkdir()
    with holder("take", path) as other:
        assert locks.take_at_once(path) is None
        assert locks.is_locked(path)
        with locks.free(path) as mine:
            assert not mine
        other.send_signal(signal.SIGKILL)
    with locks.free(path) as mine:
        assert mine
        assert locks.is_locked(path)
    assert not locks.is_locked(path)


def test_asking_makes_no_file(tmp_path: Path) -> None:
    assert not locks.is_locked(tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_shared_locks_go_together_and_keep_others_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.locked(path, shared=True), locks.locked(path, shared=True):
        assert locks.take_at_once(path) is None


def test_a_lock_counts_only_while_its_file_has_its_name(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", []
    first = locks.take(path)

    def second() -> None:
        with locks.locked(path):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    path.unlink()
    order.append("first")
    os.close(first)
    thread.join(10)
    assert order == ["first", "second"]
    assert path.exists(), "the second made it anew"


def test_the_lock_on_a_folder_makes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    for name in ("", "lock"):
        with locks.alone(folder, name):
            assert locks.is_locked(folder / name)
        assert not locks.is_locked(folder / name)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_a_writer_has_begun_stays_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "part"
    with holder("begin", path) as other:
        locks.clear(path)
        assert path.exists()
        with pytest.raises(FileExistsError):
            locks.begin(path)
        other.send_signal(signal.SIGKILL)
    assert path.exists()
    locks.clear(path)
    assert not path.exists()
    locks.clear(path)
    with locks.begin(path) as file:
        file.write(b"x")
    assert path.stat().st_mode & 0o777 == 0o600
