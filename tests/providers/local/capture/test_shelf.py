"""What of captures outlives a process, and what half a one looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model.spec import ImageSpec
from pileus.providers.local.capture.shelf import ABOUT, COPY, ORDER, PART, WHOLE, About, Moment, Shelf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UUID, OTHER = (f"{number}0000000-1111-4222-8333-444455556666" for number in "ab")
SPEC = ImageSpec(uuid=UUID, revision=(1, 5), ec2_id="ami-1", instance=OTHER, disk=OTHER)
ABOUT_IT = About("0" * 64, 5, 1 << 30)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty one."""
    return Shelf(tmp_path / "captures")


def test_an_order_is_held_until_it_is_dropped(shelf: Shelf) -> None:
    assert shelf.uuids() == []
    assert not shelf.holds(UUID)
    shelf.hold(SPEC)
    assert shelf.spec(UUID) == SPEC
    assert shelf.waiting(OTHER) == [SPEC]
    assert shelf.waiting(UUID) == []
    assert shelf.about(UUID) is None
    assert shelf.uuids() == [UUID]
    shelf.drop(UUID)
    shelf.drop(UUID)
    assert shelf.uuids() == []
    assert shelf.spec(UUID) is None


def test_half_a_capture_is_begun_anew_and_a_whole_one_is_kept(shelf: Shelf) -> None:
    shelf.hold(SPEC)
    shelf.begin(UUID).write_bytes(b"half")
    (shelf.folder(UUID) / "copy").touch()
    assert shelf.about(UUID) is None
    part = shelf.begin(UUID)
    assert part.read_bytes() == b""
    assert part.stat().st_mode & 0o777 == 0o600
    part.write_bytes(b"whole")
    shelf.keep(UUID, ABOUT_IT)
    assert shelf.about(UUID) == ABOUT_IT
    assert shelf.bytes(UUID).read_bytes() == b"whole"
    assert shelf.waiting(OTHER) == []
    assert {path.name for path in shelf.folder(UUID).iterdir()} == {ORDER, WHOLE, ABOUT}


def test_a_moment_at_rest_is_kept_under_its_name_and_a_later_one_has_another(shelf: Shelf) -> None:
    shelf.hold(SPEC)
    assert shelf.moment(UUID) is None
    shelf.rest(UUID)
    rest = shelf.moment(UUID)
    assert rest is not None
    assert rest.at == "rest"
    shelf.rest(UUID)
    assert shelf.moment(UUID) == rest
    shelf.kept(UUID, "somebody")
    assert shelf.moment(UUID) == Moment(rest.name, "kept", "somebody")
    again: tuple[Callable[[str], None], ...] = (shelf.kept, shelf.rest)
    for fix in again:
        before = shelf.moment(UUID)
        fix(UUID)
        after = shelf.moment(UUID)
        assert before is not None
        assert after is not None
        assert after.name != before.name
    shelf.lose(UUID)
    shelf.lose(UUID)
    assert shelf.moment(UUID) is None


def test_what_shows_the_moment_outlives_a_try_and_goes_with_the_moment(shelf: Shelf) -> None:
    shelf.hold(SPEC)
    shelf.begin(UUID)
    shelf.kept(UUID)
    copy = shelf.folder(UUID) / COPY
    copy.touch()
    shelf.begin(UUID)
    assert copy.exists()
    shelf.lose(UUID)
    shelf.begin(UUID)
    assert not copy.exists()
    shelf.kept(UUID)
    copy.touch()
    shelf.begin(UUID)
    shelf.keep(UUID, ABOUT_IT)
    assert not copy.exists()


def test_what_a_try_leaves_goes_and_the_order_stays(shelf: Shelf) -> None:
    shelf.hold(SPEC)
    shelf.begin(UUID)
    (shelf.folder(UUID) / "copy").touch()
    shelf.give_up(UUID)
    assert [path.name for path in shelf.folder(UUID).iterdir()] == [ORDER]


@pytest.mark.parametrize("name", [ORDER, ABOUT])
def test_what_cannot_be_read_is_not_there(shelf: Shelf, name: str) -> None:
    shelf.hold(SPEC)
    shelf.begin(UUID)
    shelf.keep(UUID, ABOUT_IT)
    (shelf.folder(UUID) / name).write_bytes(b"{")
    assert (shelf.spec(UUID), shelf.about(UUID)) == ((None, ABOUT_IT) if name == ORDER else (SPEC, None))


@pytest.mark.parametrize("uuid", ["", "..", "../orders", UUID.upper(), f"{UUID}/"])
def test_only_uuids_are_folders(shelf: Shelf, uuid: str) -> None:
    with pytest.raises(ValueError, match="not a uuid"):
        shelf.folder(uuid)


def test_what_lies_beside_captures_is_none(shelf: Shelf) -> None:
    shelf.hold(SPEC)
    (shelf.folder(UUID).parent / "notes").mkdir()
    assert shelf.uuids() == [UUID]
    assert PART not in {path.name for path in shelf.folder(UUID).iterdir()}
