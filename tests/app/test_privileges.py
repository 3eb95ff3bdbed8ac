"""Which folders an unprivileged user may pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.app.privileges import UnixUser, blocked

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("mode", "owner", "group", "passes"),
    [
        (0o700, False, False, False),
        (0o711, False, False, True),
        (0o710, False, True, True),
        (0o701, False, True, False),
        (0o100, True, False, True),
        (0o077, True, True, False),
    ],
)
def test_the_mode_bits_decide(tmp_path: Path, mode: int, *, owner: bool, group: bool, passes: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder_stat = folder.stat()
    folder.chmod(mode)
    who = UnixUser(
        folder_stat.st_uid if owner else folder_stat.st_uid + 1,
        folder_stat.st_gid if group else folder_stat.st_gid + 1,
        frozenset({folder_stat.st_gid} if group else ()),
    )
    assert who.passes(folder) is passes
    folder.chmod(0o700)


def test_the_first_wall_on_the_way_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "home" / "checkout" / "src"
    inner.mkdir(parents=True)
    for folder in (*inner.parents, inner):
        if folder.is_relative_to(tmp_path):
            folder.chmod(0o755)
    (tmp_path / "home").chmod(0o700)
    folder_stat = tmp_path.stat()
    other = UnixUser(folder_stat.st_uid + 1, folder_stat.st_gid + 1, frozenset())
    outside = blocked(other, tmp_path)
    assert blocked(other, inner) == (outside or tmp_path / "home")
    assert blocked(UnixUser(folder_stat.st_uid, folder_stat.st_gid, frozenset()), inner) is None
