"""Processes known by the locks on their pid files, and ended by number."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from pileus.posix import processes

HOLD = "import fcntl, os, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {HOLD}"


def held(tmp_path: Path, program: str = HOLD) -> tuple[Path, int]:
    pidfile = tmp_path / "daemon.pid"
    pid = processes.spawn([sys.executable, "-c", program, str(pidfile)], tmp_path / "output")
    while processes.owner(pidfile) is None:
        assert not processes.ended(pid), (tmp_path / "output").read_text()
        time.sleep(0.01)
    return pidfile, pid


def test_the_owner_is_who_holds_the_lock(tmp_path: Path) -> None:
    pidfile, pid = held(tmp_path)
    assert processes.owner(pidfile) == pid
    processes.stop(pid, 5)
    assert processes.owner(pidfile) is None


def test_a_zombie_owns_nothing(tmp_path: Path) -> None:
    pidfile, pid = held(tmp_path)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{pid}/comm").exists()
    assert processes.owner(pidfile) is None
    assert processes.ended(pid)


def test_a_pid_in_the_file_alone_means_nothing(tmp_path: Path) -> None:
    pidfile = tmp_path / "stale.pid"
    pidfile.write_text(f"{os.getpid()}\n")
    assert processes.owner(pidfile) is None
    assert processes.owner(tmp_path / "absent.pid") is None


def test_who_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    pidfile, pid = held(tmp_path, DEAF)
    processes.stop(pid, 0.1)
    assert processes.owner(pidfile) is None


def test_stopping_who_is_gone_is_no_error(tmp_path: Path) -> None:
    _, pid = held(tmp_path)
    processes.stop(pid, 5)
    processes.stop(pid, 5)


def test_a_pid_file_is_of_one_process_for_its_life(tmp_path: Path) -> None:
    pidfile, pid = held(tmp_path)
    assert processes.hold(pidfile) is None
    processes.stop(pid, 0.0)
    descriptor = processes.hold(pidfile)
    assert descriptor is not None
    assert pidfile.read_text() == f"{os.getpid()}\n"
    os.close(descriptor)


def test_a_signal_to_who_has_ended_is_no_error(tmp_path: Path) -> None:
    _, pid = held(tmp_path)
    processes.send(pid, signal.SIGKILL)
    processes.stop(pid, 5)
    processes.send(pid, signal.SIGKILL)
