"""Files of the state directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.app.state import write_file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_with_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    """So a process that starts again needs no room on a full disk."""
    file = tmp_path / "authority.pem"
    write_file(file, b"one", 0o600)
    inode = file.stat().st_ino
    write_file(file, b"one", 0o600)
    assert file.stat().st_ino == inode
    for content, mode in ((b"two", 0o600), (b"two", 0o644), (b"two more", 0o644)):
        write_file(file, content, mode)
        assert (file.read_bytes(), file.stat().st_mode & 0o777) == (content, mode)


def test_a_link_to_the_same_content_is_replaced(tmp_path: Path) -> None:
    foreign, link = tmp_path / "foreign", tmp_path / "link"
    foreign.write_bytes(b"one")
    foreign.chmod(0o644)
    link.symlink_to(foreign)
    write_file(link, b"one")
    assert not link.is_symlink()
    assert link.read_bytes() == b"one"
