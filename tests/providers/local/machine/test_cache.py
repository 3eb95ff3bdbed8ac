"""The image cache stays within its bound, never loses what is used, and notices what happened to its files."""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pileus.model.errors import Fault
from pileus.providers.local.machine.images import ImageCache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1 << 20


class Library:
    """Raw images of one MiB by digest, and how often each was fetched; `before` runs in each fetch."""

    def __init__(self, count: int) -> None:
        self.images = {}
        for number in range(count):
            data = bytes([number + 1]) * MIB
            self.images[hashlib.sha256(data).hexdigest()] = data
        self.fetched: list[str] = []
        self.before: Callable[[], None] = lambda: None

    def __call__(self, digest: str, target: Path) -> None:
        self.fetched.append(digest)
        self.before()
        target.write_bytes(self.images[digest])


@pytest.fixture
def library() -> Library:
    return Library(4)


@pytest.fixture
def cache(tmp_path: Path, library: Library) -> ImageCache:
    return ImageCache(tmp_path / "cache", library, 2 * MIB)


def kept(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "cache").iterdir() if len(path.name) == 64}


def used_at(tmp_path: Path, digest: str, when: float) -> None:
    os.utime(tmp_path / "cache" / f".{digest}.lock", (when, when))


def instance(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / "instances" / name
    folder.mkdir(parents=True)
    return folder


def test_what_was_used_least_lately_goes_first(tmp_path: Path, cache: ImageCache, library: Library) -> None:
    one, two, three, _ = library.images
    cache.have(one, "raw")
    cache.have(two, "raw")
    used_at(tmp_path, one, 1000.0)
    used_at(tmp_path, two, 2000.0)
    cache.have(one, "raw")
    cache.have(three, "raw")
    assert kept(tmp_path) == {one, three}


def test_what_some_disk_leans_on_stays_as_long_as_that_disk(
    tmp_path: Path, cache: ImageCache, library: Library
) -> None:
    """Whichever cloud's it is, and beyond the bound if it must be."""
    one, two, three, four = library.images
    mine, other = instance(tmp_path, "mine"), instance(tmp_path, "other")
    cache.have(one, "raw", mine)
    ImageCache(tmp_path / "cache", library, 0).have(two, "raw", other)
    cache.have(three, "raw", mine)
    assert kept(tmp_path) == {one, two, three}
    other.rmdir()  # as a cloud that is purged
    cache.release(mine)
    cache.have(four, "raw", mine)
    assert four in kept(tmp_path)
    assert len(kept(tmp_path)) == 2
    cache.have(one, "raw")
    cache.have(two, "raw")
    assert four in kept(tmp_path)


def test_what_yields_keeps_an_image_until_there_is_no_other_room(
    tmp_path: Path, cache: ImageCache, library: Library
) -> None:
    """A template's image is not evicted under it: another goes first, and in the end both do."""
    one, two, three, four = library.images
    template, mine = instance(tmp_path, "template"), instance(tmp_path, "mine")
    cache.have(one, "raw", template, yields=True)
    used_at(tmp_path, one, 1000.0)
    cache.have(two, "raw")
    cache.have(three, "raw", mine)
    assert kept(tmp_path) == {one, three}
    assert template.exists()
    cache.have(four, "raw", mine)
    assert kept(tmp_path) == {three, four}
    assert not template.exists()


def test_an_image_that_a_guest_leans_on_costs_no_template(tmp_path: Path, cache: ImageCache, library: Library) -> None:
    one, two, three, _ = library.images
    template, mine = instance(tmp_path, "template"), instance(tmp_path, "mine")
    cache.have(one, "raw", template, yields=True)
    for digest in (one, two, three):
        cache.have(digest, "raw", mine)
    assert kept(tmp_path) == {one, two, three}
    assert template.exists()


def test_what_another_brings_is_not_touched(tmp_path: Path, cache: ImageCache, library: Library) -> None:
    """Neither its half file, nor an image that is being looked at."""
    one, two, three, _ = library.images
    cache.have(one, "raw")
    half = tmp_path / "cache" / f".{two}.part"
    seen: list[bool] = []
    inside, go = threading.Event(), threading.Event()

    def slow() -> None:
        if library.fetched[-1] == two:
            half.write_bytes(b"half")
            inside.set()
            go.wait(30)
            seen.append(half.exists())

    library.before = slow
    bringing = threading.Thread(target=cache.have, args=(two, "raw"))
    bringing.start()
    assert inside.wait(30)
    ImageCache(tmp_path / "cache", library, 0).have(three, "raw")
    go.set()
    bringing.join()
    assert seen == [True]
    assert two in kept(tmp_path)


def test_what_a_death_left_half_goes(tmp_path: Path, cache: ImageCache, library: Library) -> None:
    one, two, *_ = library.images
    (tmp_path / "cache").mkdir()
    for name in (f".{one}.part", f"..{one}.part.0a0b0c0d", f"..{two}.part.0a0b0c0d"):
        (tmp_path / "cache" / name).write_bytes(b"half")
    cache.have(one, "raw")
    assert not list((tmp_path / "cache").glob("*.part*"))


def damage_flip(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(4711)
        file.write(b"\xff")


def damage_truncate(path: Path) -> None:
    os.truncate(path, 4096)


def damage_remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [damage_flip, damage_truncate, damage_remove])
@pytest.mark.parametrize("same_process", [True, False])
def test_a_damaged_image_is_brought_again(
    tmp_path: Path, cache: ImageCache, library: Library, damage: Callable[[Path], None], *, same_process: bool
) -> None:
    one = next(iter(library.images))
    user = instance(tmp_path, "mine")
    path = cache.have(one, "raw", user)
    damage(path)
    again = cache if same_process else ImageCache(tmp_path / "cache", library)
    assert again.have(one, "raw", user) == path
    assert path.read_bytes() == library.images[one]
    assert library.fetched == [one, one]


def test_who_runs_from_a_damaged_image_keeps_what_it_has_open(
    tmp_path: Path, cache: ImageCache, library: Library
) -> None:
    """Bytes are not changed under a running guest: the good image is another file of the same name."""
    one = next(iter(library.images))
    path = cache.have(one, "raw")
    with path.open("rb") as running:
        damage_flip(path)
        cache.have(one, "raw")
        assert running.read() != library.images[one]
    assert path.read_bytes() == library.images[one]


def test_a_sound_image_is_fetched_once_by_all(tmp_path: Path, library: Library) -> None:
    caches = [ImageCache(tmp_path / "cache", library) for _ in range(3)]
    wanted = list(library.images) * 6
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda number: caches[number % 3].have(wanted[number], "raw"), range(len(wanted))))
    assert sorted(library.fetched) == sorted(library.images)


def test_a_full_disk_costs_unused_images_before_it_costs_a_launch(tmp_path: Path, library: Library) -> None:
    one, two, three, _ = library.images
    cache = ImageCache(tmp_path / "cache", library)

    def full() -> None:
        if len(kept(tmp_path)) >= 2:
            raise Fault("HostDiskFull", "no room")

    library.before = full
    user = instance(tmp_path, "mine")
    cache.have(one, "raw", user)
    cache.have(two, "raw")
    cache.have(three, "raw", user)
    assert kept(tmp_path) == {one, three}
    with pytest.raises(Fault) as caught:
        cache.have(two, "raw")
    assert (caught.value.code, caught.value.permanent) == ("HostDiskFull", False)
    assert kept(tmp_path) == {one, three}
    assert not list((tmp_path / "cache").glob("*.part*"))
