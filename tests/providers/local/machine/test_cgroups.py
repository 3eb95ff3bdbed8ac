"""The guests' share of the CPU, in both versions of cgroups."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import cgroups


@pytest.mark.parametrize(
    ("shares", "weight"), [(1024, 100), (3072, 300), (512, 50), (2, 1), (0, 1), (262144, 10000), (100, 10)]
)
def test_a_weight_means_as_much_as_the_shares(shares: int, weight: int) -> None:
    assert cgroups.weight(shares) == weight


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree that looks like that of version 2."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    monkeypatch.setattr(cgroups, "_ROOT", tmp_path)
    return tmp_path


def test_version_2_gives_the_guests_their_weight(root: Path) -> None:
    layout = Layout(root / "state")
    assert cgroups.partition(layout) is None
    cgroups.prepare(layout)
    cgroups.prepare(layout)
    assert (root / "cgroup.subtree_control").read_text() == "+cpu +pids"
    folder = root / f"{layout.netns}.partition"
    assert (folder / "cpu.weight").read_text() == "300"
    assert cgroups.partition(layout) == f"/{layout.netns}"
    numbers = int(Path("/proc/sys/kernel/pid_max").read_text())
    assert int((folder / "pids.max").read_text()) <= numbers * 3 // 4
    for name in ("cpu.weight", "pids.max"):
        (folder / name).unlink()  # the kernel's files need not be removed
    cgroups.remove(layout)
    assert not folder.exists()


def test_a_container_is_ended_whose_groups_go_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel and LXC's monitor have it, once the processes in them have ended."""
    layout, kill = Layout(root / "state"), os.kill
    top = root / f"{layout.netns}.partition" / "i-1"
    with subprocess.Popen(["sleep", "600"]) as victim:
        for name in ("a", "b", "c"):
            (top / name / "nested").mkdir(parents=True)
            (top / name / "cgroup.procs").write_text(f"{victim.pid}\n")

        def end(number: int, how: int) -> None:
            kill(number, how)
            shutil.rmtree(top)

        monkeypatch.setattr("os.kill", end)
        cgroups.end(layout, "i-1")
        monkeypatch.undo()
        assert victim.wait() == -signal.SIGKILL
    assert not top.exists()


def test_guests_start_without_a_group_where_nothing_is_delegated(root: Path) -> None:
    layout = Layout(root / "state")
    (root / "cgroup.subtree_control").unlink()
    (root / "cgroup.subtree_control").mkdir()  # writing to it fails
    cgroups.prepare(layout)
    assert cgroups.partition(layout) is None
    (root / "cgroup.controllers").write_text("memory\n")
    cgroups.prepare(layout)
    assert cgroups.partition(layout) is None


def test_version_2_beside_version_1_is_not_in_charge(root: Path) -> None:
    (root / "cgroup.controllers").unlink()
    (root / "unified").mkdir()
    (root / "unified" / "cgroup.controllers").write_text("")
    layout = Layout(root / "state")
    cgroups.prepare(layout)
    assert cgroups.partition(layout) is None
