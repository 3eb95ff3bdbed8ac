"""A project keeps as many unneeded objects as it has room for: those used least lately go, and nobody else's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from pileus.model import bounds
from pileus.objects import ObjectStore

if TYPE_CHECKING:
    from pathlib import Path

LATELY = bounds.DELETED_IMAGE.most


class Owned:
    """An object store with a clock of its own. Each of these small objects counts for one GiB."""

    def __init__(self, root: Path) -> None:
        self.now = 1e9
        self.objects = ObjectStore(root, lambda: self.now)

    def stored(self, data: bytes, owner: str = "p") -> str:
        """The digest of what a project has stored; some time passes."""
        with self.objects.incoming(owner=owner) as writing:
            writing.write(data)
            digest = writing.keep().digest
        self.now += LATELY + 1
        return digest

    def relieved(self, room: int, needed: set[str] | None = None, since: float = -math.inf) -> list[str]:
        """What goes of the project p."""
        return [stored.digest for stored in self.objects.relieve("p", needed or set(), room, since)]


@pytest.fixture
def owned(tmp_path: Path) -> Owned:
    """An empty store."""
    return Owned(tmp_path)


def test_those_used_least_lately_go_until_there_is_room(owned: Owned) -> None:
    first, second, third = (owned.stored(data) for data in (b"1", b"2", b"3"))
    other = owned.stored(b"other", "q")
    assert owned.objects.owned() == {"p": 3, "q": 1}
    assert owned.relieved(3) == []
    assert owned.objects.use(first)
    owned.now += LATELY + 1
    assert owned.relieved(1) == [third, second]
    assert owned.relieved(-1) == [first]
    assert owned.objects.owned() == {"q": 1}
    assert owned.objects.has(other)


def test_what_is_needed_stays_and_counts_for_nothing(owned: Owned) -> None:
    needed, unneeded = owned.stored(b"1"), owned.stored(b"2")
    assert owned.relieved(1, {needed}) == []
    assert owned.relieved(0, {needed}) == [unneeded]
    assert owned.objects.has(needed)


def test_what_was_stored_lately_stays_for_it_is_to_be_named(owned: Owned) -> None:
    first = owned.stored(b"1")
    owned.now -= 2
    assert owned.relieved(0) == []
    owned.now += 2
    assert owned.objects.use(first)
    assert owned.relieved(0) == []
    owned.now += LATELY + 1
    assert owned.relieved(0) == [first]


def test_what_the_database_has_never_known_stays(owned: Owned) -> None:
    known_of_another = owned.stored(b"1")
    since = owned.now
    later = owned.stored(b"2")
    assert owned.relieved(0, since=since) == []  # stored at that very moment
    owned.objects.use(later)
    owned.now += LATELY + 1
    assert owned.relieved(0, since=since) == [later]
    assert owned.objects.has(known_of_another)


def test_an_object_of_two_projects_goes_with_the_last(owned: Owned) -> None:
    digest = owned.stored(b"1")
    assert owned.stored(b"1", "q") == digest
    assert owned.relieved(0) == []
    assert owned.objects.owned() == {"q": 1}
    assert [stored.digest for stored in owned.objects.relieve("q", set(), 0, -math.inf)] == [digest]


def test_a_note_of_what_is_not_kept_goes(owned: Owned) -> None:
    digest = owned.stored(b"1")
    assert owned.objects.delete(digest)
    assert owned.objects.owned() == {"p": 0}
    assert owned.relieved(5) == []
    assert owned.objects.owned() == {}


def test_bytes_that_are_there_already_become_the_projects_too(owned: Owned) -> None:
    digest = owned.stored(b"1", "")
    assert owned.objects.owned() == {}
    assert owned.objects.use(digest, "p")
    assert owned.objects.owned() == {"p": 1}
    assert (owned.objects.stored("p", digest), owned.objects.stored("q", digest)) == (1, None)
