"""A start that fails or is interrupted leaves nothing that runs, and nothing that `down` and `purge` do not know."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.app import processes, rollback
from pileus.app.state import StateDirectory
from pileus.app.up import down, silent
from pileus.cli.problem import Problem
from tests.interrupts import PILEUS, interrupted, moments, processes_of
from tests.services.process import free_port

if TYPE_CHECKING:
    from tests.app.stub import Stub


def test_a_first_start_that_fails_leaves_its_logs_and_is_known(own: Stub) -> None:
    own.settings["HOME"] = "/"
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        refused = own.pileus("up", "--provider", "stub", "--port", str(port), check=False)
    assert refused.returncode == 1
    assert refused.stderr.endswith(
        f"pileus: Port {port} cannot be used: Address already in use; choose another --port.\n"
    )
    assert sorted(path.name for path in own.state.root.iterdir()) == ["log", "run", "started.json"]
    assert processes_of(str(own.state.root)) == []
    assert "does not run" in own.pileus("status", check=False).stdout
    own.pileus("down")
    own.pileus("purge", "--yes")
    assert not own.state.root.exists()
    own.state.root.mkdir()


def test_a_start_that_fails_leaves_a_cloud_that_runs_as_it_is(stub: Stub) -> None:
    before = stub.pid
    assert stub.pileus("up", "--port", "1", check=False).returncode == 1
    assert stub.pid == before


@pytest.mark.parametrize("has_lock", [False, True])
def test_a_start_that_fails_leaves_what_another_one_has_begun_meanwhile(own: Stub, *, has_lock: bool) -> None:
    """Two starts of a new cloud: one fails, by its port say, after it has waited for the other one's lock."""
    own.settings["HOME"] = "/"

    def fail() -> None:
        with rollback.on_failure(own.state, down, silent) as start:
            own.up()
            if has_lock:
                start.begin()
            raise Problem("The cloud runs already.")

    with pytest.raises(Problem, match="runs already"):
        fail()
    assert own.pid
    assert own.client.all("images")


def test_a_later_start_that_fails_ends_its_processes_and_keeps_the_cloud(ended: Stub) -> None:
    port = free_port()
    before = ended.admin
    with socket.create_server(("127.0.0.1", port)):
        assert ended.pileus("up", "--port", str(port), check=False).returncode == 1
    assert processes_of(str(ended.state.root)) == []
    ended.up()
    assert ended.admin == before


@pytest.mark.parametrize("entry", ["libvirt", "passwd", ".profile"])
def test_a_directory_of_somebody_elses_files_is_refused_and_stays_as_it_is(own: Stub, entry: str) -> None:
    (own.state.root / entry).mkdir(mode=0o755)
    refused = own.pileus("up", "--provider", "stub", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"pileus: {own.state.root} holds {entry}, which is not a cloud's: choose another --state, new or empty.\n"
    )
    assert [path.name for path in own.state.root.iterdir()] == [entry]
    assert (own.state.root / entry).stat().st_mode & 0o777 == 0o755


def test_other_commands_that_make_a_state_directory_refuse_it_too(tmp_path: Path) -> None:
    (tmp_path / "passwd").touch()
    for words in (tmp_path, tmp_path):
        with pytest.raises(Problem, match="holds passwd"):
            StateDirectory(words).prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["passwd"]


def test_a_start_that_was_killed_in_its_first_steps_goes_on(own: Stub) -> None:
    """Folders without a marker are those of a start that was killed before it wrote one, or of another command."""
    own.state.cloud.mkdir(mode=0o700)
    (own.state.root / ".started.json.new").touch(mode=0o600)
    (own.state.root / "lost+found").mkdir()
    own.up()
    assert own.client.all("images")


@pytest.mark.executable
def test_an_interrupt_at_any_moment_leaves_nothing_or_what_down_and_purge_know(own: Stub) -> None:
    own.settings["HOME"] = "/"
    for moment in moments(8, 1.2):
        done = interrupted([PILEUS, "up", "--provider", "stub"], own.environment(), moment)
        context = f"after {moment} s: {done.stdout}{done.stderr}"
        if done.returncode == 0:
            assert processes.owner(own.state.pidfile("cloud")), context
        if "interrupted: " in done.stderr or not own.state.started.exists():
            assert processes.until(lambda: not processes_of(str(own.state.root)), 5), context
        if own.state.started.exists():
            own.pileus("down")
            own.pileus("purge", "--yes")
        else:
            assert os.listdir(own.state.root) == [], context  # noqa: PTH208  (names, not paths)
        assert processes_of(str(own.state.root)) == [], context
        own.state.root.mkdir(exist_ok=True)
