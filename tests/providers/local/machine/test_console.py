"""A guest that talks without end does not fill the host's disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.providers.local.machine import console

if TYPE_CHECKING:
    from pathlib import Path


def test_a_short_log_stays_and_none_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "log"
    console.trim(path)
    assert not path.exists()
    path.write_bytes(b"x" * 1000)
    console.trim(path)
    assert path.read_bytes() == b"x" * 1000


def test_a_long_log_loses_its_beginning_under_the_writers_hands(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as writer:
        for number in range(2 * console.LIMIT // 4096):
            writer.write(f"{number:4095}\n".encode())
        console.trim(path)
        assert path.stat().st_blocks * 512 <= console.KEPT + 4096
        writer.write(b"the end\n")
    lines = path.read_bytes().splitlines()
    assert lines[-1] == b"the end"
    assert int(lines[-2]) == 2 * console.LIMIT // 4096 - 1
