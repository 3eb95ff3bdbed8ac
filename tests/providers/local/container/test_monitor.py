"""The record of a container's life says whether the container ended by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from pileus.providers.local.container.monitor import Monitor


@pytest.mark.parametrize(
    ("last_line", "cause"),
    [
        ("started", "other"),
        ("ended 0", "guest"),
        ("ended 130", "guest"),
        ("ended 0 by signal 2", "guest"),
        ("ended 130 by signal 2", "guest"),
        ("ended 0 by signal 9", "other"),
        ("ended 137 by signal 9", "other"),
        ("ended 1", "other"),
        ("ended 0 by sig", "other"),
    ],
)
def test_a_container_that_was_killed_did_not_end_by_itself(tmp_path: Path, last_line: str, cause: str) -> None:
    """LXC's exit status is 0 for a killed container too; the signal tells the difference."""
    (tmp_path / "life").write_text(f"started\nended 0\nstarted\n{last_line}\n")
    assert Monitor(tmp_path, "i-1").cause() == cause


def test_a_container_that_never_ran_has_no_cause(tmp_path: Path) -> None:
    assert Monitor(tmp_path, "i-1").cause() == ""
    (tmp_path / "life").write_text("")
    assert Monitor(tmp_path, "i-1").cause() == "other"
