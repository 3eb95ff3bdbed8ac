"""What of captures outlives a process, and what half a one looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model.spec import ImageSpec
from pileus.providers.local.capture.folders import ABOUT, COPY, ORDER, PART, WHOLE, About, CaptureFolders, Moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UUID, OTHER = (f"{number}0000000-1111-4222-8333-444455556666" for number in "ab")
SPEC = ImageSpec(uuid=UUID, revision=(1, 5), ec2_id="ami-1", instance=OTHER, disk=OTHER)
ABOUT_IT = About("0" * 64, 5, 1 << 30)


@pytest.fixture
def folders(tmp_path: Path) -> CaptureFolders:
    """An empty one."""
    return CaptureFolders(tmp_path / "captures")


def test_an_order_is_held_until_it_is_dropped(folders: CaptureFolders) -> None:
    assert folders.uuids() == []
    assert not folders.holds(UUID)
    folders.hold(SPEC)
    assert folders.spec(UUID) == SPEC
    assert folders.waiting(OTHER) == [SPEC]
    assert folders.waiting(UUID) == []
    assert folders.about(UUID) is None
    assert folders.uuids() == [UUID]
    folders.drop(UUID)
    folders.drop(UUID)
    assert folders.uuids() == []
    assert folders.spec(UUID) is None


def test_half_a_capture_is_begun_anew_and_a_whole_one_is_kept(folders: CaptureFolders) -> None:
    folders.hold(SPEC)
    folders.begin(UUID).write_bytes(b"half")
    (folders.folder(UUID) / "copy").touch()
    assert folders.about(UUID) is None
    part = folders.begin(UUID)
    assert part.read_bytes() == b""
    assert part.stat().st_mode & 0o777 == 0o600
    part.write_bytes(b"whole")
    folders.keep(UUID, ABOUT_IT)
    assert folders.about(UUID) == ABOUT_IT
    assert folders.bytes(UUID).read_bytes() == b"whole"
    assert folders.waiting(OTHER) == []
    assert {path.name for path in folders.folder(UUID).iterdir()} == {ORDER, WHOLE, ABOUT}


def test_a_moment_at_rest_is_kept_under_its_name_and_a_later_one_has_another(folders: CaptureFolders) -> None:
    folders.hold(SPEC)
    assert folders.moment(UUID) is None
    folders.rest(UUID)
    rest = folders.moment(UUID)
    assert rest is not None
    assert rest.at == "rest"
    folders.rest(UUID)
    assert folders.moment(UUID) == rest
    folders.kept(UUID, "somebody")
    assert folders.moment(UUID) == Moment(rest.name, "kept", "somebody")
    again: tuple[Callable[[str], None], ...] = (folders.kept, folders.rest)
    for fix in again:
        before = folders.moment(UUID)
        fix(UUID)
        after = folders.moment(UUID)
        assert before is not None
        assert after is not None
        assert after.name != before.name
    folders.lose(UUID)
    folders.lose(UUID)
    assert folders.moment(UUID) is None


def test_what_shows_the_moment_outlives_a_try_and_goes_with_the_moment(folders: CaptureFolders) -> None:
    folders.hold(SPEC)
    folders.begin(UUID)
    folders.kept(UUID)
    copy = folders.folder(UUID) / COPY
    copy.touch()
    folders.begin(UUID)
    assert copy.exists()
    folders.lose(UUID)
    folders.begin(UUID)
    assert not copy.exists()
    folders.kept(UUID)
    copy.touch()
    folders.begin(UUID)
    folders.keep(UUID, ABOUT_IT)
    assert not copy.exists()


def test_what_a_try_leaves_goes_and_the_order_stays(folders: CaptureFolders) -> None:
    folders.hold(SPEC)
    folders.begin(UUID)
    (folders.folder(UUID) / "copy").touch()
    folders.give_up(UUID)
    assert [path.name for path in folders.folder(UUID).iterdir()] == [ORDER]


@pytest.mark.parametrize("name", [ORDER, ABOUT])
def test_what_cannot_be_read_is_not_there(folders: CaptureFolders, name: str) -> None:
    folders.hold(SPEC)
    folders.begin(UUID)
    folders.keep(UUID, ABOUT_IT)
    (folders.folder(UUID) / name).write_bytes(b"{")
    assert (folders.spec(UUID), folders.about(UUID)) == ((None, ABOUT_IT) if name == ORDER else (SPEC, None))


@pytest.mark.parametrize("uuid", ["", "..", "../orders", UUID.upper(), f"{UUID}/"])
def test_only_uuids_are_folders(folders: CaptureFolders, uuid: str) -> None:
    with pytest.raises(ValueError, match="not a uuid"):
        folders.folder(uuid)


def test_what_lies_beside_captures_is_none(folders: CaptureFolders) -> None:
    folders.hold(SPEC)
    (folders.folder(UUID).parent / "notes").mkdir()
    assert folders.uuids() == [UUID]
    assert PART not in {path.name for path in folders.folder(UUID).iterdir()}
