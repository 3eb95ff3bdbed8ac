"""Limits of the kernel that containers share are compared with what the host's containers may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.allowance import Allowance
from pileus.providers.local.doctor import kernellimits

if TYPE_CHECKING:
    from pathlib import Path

    from pileus.model.spec import InstanceSpec
    from tests.providers.local.doctor.conftest import Machine


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Limits as Debian has them on a small machine; no conntrack."""
    for name, value in (
        ("kernel/pid_max", "32768"),
        ("kernel/pty/max", "4096"),
        ("fs/inotify/max_user_instances", "128"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    return tmp_path


def containers(machine: Machine, number: int) -> list[InstanceSpec]:
    return [msgspec.structs.replace(machine.spec, machine="container") for _ in range(number)]


def test_few_containers_are_no_finding(machine: Machine, proc: Path) -> None:
    assert list(kernellimits.compare([machine.spec] * 1000, proc)) == []
    assert list(kernellimits.compare(containers(machine, 3), proc)) == []


def test_more_containers_than_the_limits_allow_are_told_with_the_line_to_set(machine: Machine, proc: Path) -> None:
    found = list(kernellimits.compare(containers(machine, 150), proc))
    assert [one.ident for one in found] == ["kernel.pid_max", "kernel.pty.max", "fs.inotify.max_user_instances"]
    assert all(one.code == "KernelLimitLow" and one.meaning.severity == "warning" for one in found)
    assert "128, and 150 containers may need 1264: sysctl -w fs.inotify.max_user_instances=1264" in found[2].detail


def test_processes_are_counted_by_what_each_container_may_have(machine: Machine, proc: Path) -> None:
    many = [msgspec.structs.replace(one, allowance=Allowance(processes=4096)) for one in containers(machine, 8)]
    assert list(kernellimits.compare(containers(machine, 8), proc)) == []
    assert [one.ident for one in kernellimits.compare(many, proc)] == ["kernel.pid_max"]


def test_what_all_that_fit_would_need_is_told_before_they_are_there(proc: Path) -> None:
    assert kernellimits.capacity(256, proc) == "high enough"
    assert "fs.inotify.max_user_instances=576 (now 128)" in kernellimits.capacity(16384, proc)
