"""What the machine runs on, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pileus.providers.local.doctor import machine


def test_limits_that_are_lower_than_advised_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_SYSCTL", tmp_path)
    for name, least in machine.LIMITS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{least}\n")
    assert machine.facts()["limits of the kernel"] == "as advised"
    (tmp_path / "fs/inotify/max_user_instances").write_text("128\n")
    (tmp_path / "kernel/pid_max").unlink()
    told = machine.facts()["limits of the kernel"]
    assert "fs.inotify.max_user_instances is 128, of 1024" in told
    assert "pid_max" not in told, "what this kernel does not have is no lack"
