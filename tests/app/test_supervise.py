"""What dies comes back by itself, on the same port; and nothing comes back after `down`."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.app import processes, supervise
from pileus.app.supervise import CALM, FIRST_PAUSE, LONGEST_PAUSE, Pause

if TYPE_CHECKING:
    from tests.app.stub import Stub


def owner(stub: Stub, name: str) -> int | None:
    """Who holds a pid file."""
    return processes.owner(stub.state.pidfile(name))


def kill(stub: Stub, name: str, number: signal.Signals = signal.SIGKILL) -> int:
    """End a process the hard way; its pid, when another has its place or nobody."""
    pid = owner(stub, name)
    assert pid is not None
    os.kill(pid, number)
    assert processes.until(lambda: owner(stub, name) != pid, 10)
    return pid


def named(stub: Stub) -> list[str]:
    """The command line of every living process that names the state directory."""
    command_lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if str(stub.state.root) in words:
            command_lines.append(words)
    return command_lines


@given(st.lists(st.floats(0, 2 * CALM), max_size=30))
def test_pauses_double_and_are_forgotten_after_a_calm_life(lives: list[float]) -> None:
    pause, before = Pause(), 0.0
    for life in lives:
        now = pause.after(life)
        expected = FIRST_PAUSE if life >= CALM or not before else min(2 * before, LONGEST_PAUSE)
        assert now == expected
        before = now


def test_a_killed_cloud_answers_again_on_the_same_port(own: Stub) -> None:
    own.up()
    port = own.port
    for times in (1, 2):
        before = kill(own, "cloud")
        # No waiting: the connection stands in the queue of the socket that the supervisor keeps.
        assert own.http("GET", "/v1/instances")[0] == 200
        assert own.port == port
        # It is counted after it was started, and may answer first.
        assert processes.until(lambda: sum(supervise.restarts(own.state).values()) >= times, 10)  # noqa: B023
        assert supervise.restarts(own.state) == {"cloud": times}
        assert owner(own, "cloud") not in (None, before)
    shown = own.pileus("status").stdout
    assert "started again 2 times" in shown
    assert shown.startswith("supervisor  pid ")


@pytest.mark.executable
def test_a_second_up_repairs_a_killed_supervisor_and_nothing_else(own: Stub) -> None:
    own.up()
    before = (own.pid, own.endpoints)
    dead = kill(own, "supervisor")
    assert own.http("GET", "/healthz")[0] == 200
    assert own.pileus("status", check=False).returncode == 1
    own.up()
    assert owner(own, "supervisor") not in (None, dead)
    assert (own.pid, own.endpoints) == before
    # The new one has the listening socket of a cloud that it did not start.
    kill(own, "cloud")
    assert own.http("GET", "/v1/instances")[0] == 200


def test_a_crash_in_a_library_leaves_the_stacks_in_the_log(own: Stub) -> None:
    own.up()
    kill(own, "cloud", signal.SIGSEGV)
    own.up()
    log = own.state.log("cloud").read_text()
    assert "Fatal Python error: Segmentation fault" in log
    # Other threads run on while their stacks are read: the dump may end within one of them.
    assert "(most recent call first):\n  File" in log


def test_up_waits_for_what_the_supervisor_starts(own: Stub) -> None:
    own.up()
    kill(own, "cloud")
    own.up()
    assert own.client.all("users")[0]["name"] == "admin"
    assert own.pileus("status").returncode == 0


@pytest.mark.executable
def test_down_ends_everything_and_it_stays_so(own: Stub) -> None:
    own.up()
    kill(own, "cloud")
    own.down()
    assert not named(own)
    assert supervise.restarts(own.state) == {}
    assert own.pileus("status", check=False).returncode == 1


@pytest.mark.executable
def test_a_cloud_that_cannot_start_is_said_and_not_tried_for_ever(ended: Stub) -> None:
    Path(ended.state.cloud / "pileus.db").write_bytes(b"no database" * 1000)
    failed = ended.pileus("up", check=False)
    assert failed.returncode == 1
    # It ends before anybody has found it, or after.
    assert re.search(r"The cloud (ended|did not start); \S+ ends:\n", failed.stderr), failed.stderr
    assert "its contents are damaged" in failed.stderr
    assert processes.until(lambda: not named(ended), 10), named(ended)


def test_health_names_what_is_missing(own: Stub) -> None:
    own.up()
    assert own.http("GET", "/healthz", token=False)[::2] == (200, b"ok\n")
    link = sqlite3.connect(own.state.database.removeprefix("sqlite:///"))
    with link:
        link.execute("ALTER TABLE host RENAME TO lost")
    link.close()
    status, headers, body = own.http("GET", "/healthz", token=False)
    assert (status, headers["content-type"]) == (503, "application/json")
    health = json.loads(body)
    assert (health["status"], health["missing"]) == ("unavailable", ["store"])
    assert "database cannot be used" in health["why"]["store"]
