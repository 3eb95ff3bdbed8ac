"""`pileus purge` takes a cloud away as a whole, asks first, and takes nothing else."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.app import kits, processes
from pileus.app.purge import _check
from pileus.app.state import StateDirectory, top_names
from pileus.cli.problem import Problem
from pileus.posix.files import write_json
from tests.app.stub import PILEUS, Stub

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Housed(Stub):
    """A cloud whose user's home is elsewhere."""

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), "HOME": "/nonexistent"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder to have state directories in, with a short path."""
    path = Path(tempfile.mkdtemp(prefix="pileus-test-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def own(folder: Path) -> Iterator[Housed]:
    """A cloud that runs."""
    cloud = Housed(StateDirectory(folder / "s").root)
    cloud.up()
    yield cloud
    cloud.pileus("down", check=False)


@pytest.fixture
def ended(folder: Path, was_up: Path) -> Housed:
    """A cloud that was up, and is down."""
    return Housed(shutil.copytree(was_up, folder / "s"))


@pytest.fixture
def kept(stub: Stub) -> Housed:
    """A cloud that other tests use as well."""
    return Housed(stub.state.root)


def command_line(pid: int) -> bytes:
    """What a process was started with; nothing of one that has ended, whether or not somebody has taken note."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_purge_ends_the_cloud_and_removes_its_directory(own: Housed, folder: Path) -> None:
    pid = own.pid
    assert processes.owner(own.state.pidfile("cloud")) == pid
    own.client.post("instances", body={"image": "stub-machine"})
    own.pileus("purge", "--yes")
    assert not command_line(pid)
    assert list(folder.iterdir()) == []
    again = own.pileus("purge", "--yes", check=False)
    assert again.returncode == 1
    assert "no cloud in" in again.stderr


def test_without_a_terminal_nobody_is_asked_and_nothing_happens(kept: Housed) -> None:
    refused = kept.pileus("purge", check=False)
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    kept.pileus("status")


def answered(own: Housed, answer: str) -> int:
    """The status of a purge on a terminal that was given this answer."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PILEUS, "purge"], env=own.environment(), stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    try:
        screen = b""
        while b"[y/N]" not in screen:
            assert select.select([ours], [], [], 30)[0], screen
            screen += os.read(ours, 4096)
        assert str(own.state.root).encode() in screen.replace(b"\r\n", b"")
        os.write(ours, answer.encode())
        return process.wait(30)
    finally:
        os.close(ours)


def test_on_a_terminal_it_asks(own: Housed) -> None:
    assert answered(own, "n\n") == 1
    own.pileus("status")
    assert answered(own, "y\n") == 0
    assert not own.state.root.exists()


def test_what_is_not_the_clouds_stays_and_links_are_not_followed(ended: Housed, folder: Path) -> None:
    (folder / "outside").mkdir()
    (folder / "outside" / "precious").touch()
    (ended.state.root / "notes.txt").touch()
    ended.state.objects.joinpath("link").symlink_to(folder / "outside")
    shutil.rmtree(ended.state.channels.parent)
    ended.state.channels.parent.symlink_to(folder / "outside")
    done = ended.pileus("purge", "--yes", check=False)
    assert done.returncode == 1
    assert "notes.txt" in done.stderr
    assert [path.name for path in ended.state.root.iterdir()] == ["notes.txt"]
    assert (folder / "outside" / "precious").exists()


def test_a_purge_that_was_killed_half_way_is_finished_by_the_next(ended: Housed) -> None:
    for name in ("cloud", "run", "log"):
        shutil.rmtree(ended.state.root / name)
    ended.pileus("purge", "--yes")
    assert not ended.state.root.exists()


def test_directories_that_are_no_clouds_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(root: Path, why: str) -> None:
        with pytest.raises(Problem, match=why):
            _check(StateDirectory(root))
        assert root.exists()

    plain = folder / "plain"
    plain.mkdir()
    refused(plain, "holds no cloud")
    (plain / "started.json").symlink_to(folder / "real.json")
    write_json(folder / "real.json", {"provider": "stub", "port": 1})
    refused(plain, "holds no cloud")
    (plain / "started.json").unlink()
    write_json(plain / "started.json", {"provider": "stub", "port": 1})
    _check(StateDirectory(plain))
    (folder / "link").symlink_to(plain)
    refused(folder / "link", "link is not followed")
    monkeypatch.setenv("HOME", str(plain / "home"))
    refused(plain, "not a cloud's")
    monkeypatch.setenv("HOME", "/nonexistent")
    plain.chmod(0o777)
    refused(plain, "Other users")
    for place in ("/", "/var", "/var/lib/pileus", "/usr"):
        refused(Path(place), "nothing was removed")


def test_another_users_directory_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(folder / "started.json", {"provider": "stub", "port": 1})
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(Problem, match="another user"):
        _check(StateDirectory(folder))


def test_all_that_a_cloud_makes_is_known(was_up: Path) -> None:
    names = top_names()
    assert {path.name for path in was_up.iterdir()} <= names
    assert {"started.json", "cloud", "run", "host", "log", "channels"} <= names
    of_machines = kits.machine(kits.load("local"), StateDirectory(was_up)).names()
    assert {"engine", "libvirt", "instances", "containers", "prefix.json"} <= of_machines
    assert not {"", ".", ".."} & names
