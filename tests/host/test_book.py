"""The host's book in a folder: it forgets nothing, however its owner died."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pileus.bus.messages import Removed
from pileus.host import view
from pileus.host.book import DAMAGED, HIGHEST_SUFFIX, Book, BookEntry, FileBook, placed
from pileus.model.instance import Body, Power
from pileus.model.spec import InstanceSpec

if TYPE_CHECKING:
    from collections.abc import Iterator


def entry(uuid: str, number: int, satisfied: int = 0) -> BookEntry:
    spec = InstanceSpec(uuid=uuid, power=Power(n=number), vcpus=1, memory=64, ec2_id="i-0", hostname="ü\n")
    return placed(BookEntry(uuid=uuid, revision=(1, number), spec=spec, body=Body(satisfied=satisfied), since=0.1))


def same(one: Book, other: Book) -> bool:
    return (one.start, one.entries, one.removed) == (other.start, other.entries, other.removed)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    book = FileBook(tmp_path, lambda: 0.0)
    book.begin()
    book.raise_highest((3, 7))
    book.raise_highest((2, 9))
    book.keep(entry("a", 1))
    book.keep(entry("a", 2, satisfied=2))
    book.keep(entry("b", 3))
    book.remember("b", Removed(revision=(1, 4), why="gone", satisfied=3))
    book.remember("never here", Removed(revision=(1, 5), why="moved"))
    again = FileBook(tmp_path)
    assert same(book, again)
    assert (again.start.epoch, again.start.incarnation, again.start.highest) == (1, 3, (3, 7))
    again.begin()
    assert FileBook(tmp_path).start.epoch == 2


@pytest.mark.parametrize("cut", range(1, 30, 4))
def test_a_torn_last_line_costs_nothing_else(tmp_path: Path, cut: int) -> None:
    book = FileBook(tmp_path, lambda: 0.0)
    book.begin()
    book.remember("a", Removed(revision=(1, 1), why="gone"))
    book.keep(entry("b", 2))
    book.remember("b", Removed(revision=(1, 3), why="gone"))
    path = tmp_path / "removed.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    torn = FileBook(tmp_path, lambda: 0.0)
    assert torn.removed.keys() <= {"a", "b"}
    assert "a" in torn.removed
    torn.remember("c", Removed(revision=(1, 4), why="gone"))
    again = FileBook(tmp_path, lambda: 0.0)
    assert same(torn, again)
    assert again.removed["c"].revision == (1, 4)


def test_a_removal_outlives_the_order_that_death_left_behind(tmp_path: Path) -> None:
    book = FileBook(tmp_path)
    book.keep(entry("a", 2))
    kept = (tmp_path / "orders" / "a.json").read_bytes()
    book.remember("a", Removed(revision=(1, 3), why="gone"))
    (tmp_path / "orders" / "a.json").write_bytes(kept)  # it died between the two
    again = FileBook(tmp_path)
    assert again.entries == {}
    assert not (tmp_path / "orders" / "a.json").exists()


def test_an_order_above_a_removal_is_kept(tmp_path: Path) -> None:
    book = FileBook(tmp_path)
    book.remember("a", Removed(revision=(1, 3), why="moved"))
    book.keep(entry("a", 4))
    assert FileBook(tmp_path).entries == {"a": entry("a", 4)}


def test_half_written_files_are_not_read(tmp_path: Path) -> None:
    book = FileBook(tmp_path)
    book.begin()
    book.keep(entry("a", 1))
    (tmp_path / "orders" / "a.new").write_bytes(b'{"uuid":')
    (tmp_path / "start.new").write_bytes(b"{")
    assert same(FileBook(tmp_path), book)


@pytest.mark.parametrize("damage", [b"", b'{"uuid"', b"\0" * 300, b"{}", b"\xff\xfe", "b"])
def test_a_damaged_order_is_set_aside_and_costs_no_other(tmp_path: Path, damage: bytes | str) -> None:
    """Its bytes are kept for whoever looks for the cause, and the same order is taken again."""
    book = FileBook(tmp_path)
    for uuid in ("a", "b"):
        book.keep(entry(uuid, 1))
    orders = tmp_path / "orders"
    # Of another instance is as bad as of none.
    data = (orders / f"{damage}.json").read_bytes() if isinstance(damage, str) else damage
    (orders / "a.json").write_bytes(data)
    again = FileBook(tmp_path, lambda: 7.0)
    assert again.entries == {"b": entry("b", 1)}
    assert [path.name for path in orders.glob("*.json")] == ["b.json"]
    assert (tmp_path / DAMAGED / "a.7.json").read_bytes() == data
    again.keep(entry("a", 1))
    assert FileBook(tmp_path).entries == {"a": entry("a", 1), "b": entry("b", 1)}
    assert len(list((tmp_path / DAMAGED).iterdir())) == 1


@pytest.mark.parametrize("name", ["orders/a.json", "start.json"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_cannot_be_opened_for_want_of_descriptors_is_not_damaged(
    tmp_path: Path, number: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that was set aside had to be given again, and what its body had done already was forgotten."""
    book = FileBook(tmp_path)
    book.begin()
    book.keep(entry("a", 2, satisfied=2))
    read = Path.read_bytes

    def lacking(path: Path) -> bytes:
        if path == tmp_path / name:
            raise OSError(number, os.strerror(number))
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", lacking)
        with pytest.raises(OSError, match=os.strerror(number)):
            FileBook(tmp_path)
    assert not (tmp_path / DAMAGED).exists()
    assert same(book, FileBook(tmp_path))


def test_a_damaged_order_that_cannot_be_set_aside_costs_no_start(tmp_path: Path) -> None:
    book = FileBook(tmp_path)
    book.keep(entry("a", 1))
    (tmp_path / "orders" / "a.json").write_bytes(b"{")
    (tmp_path / DAMAGED).write_bytes(b"in the way")
    again = FileBook(tmp_path)
    assert again.entries == {}
    again.keep(entry("a", 2))
    assert FileBook(tmp_path).entries == {"a": entry("a", 2)}


@pytest.mark.parametrize("damage", [b"", b'{"epoch"', b"\0" * 64, b'{"epoch": "x"}'])
def test_a_damaged_start_is_set_aside_and_the_next_one_is_above_it(tmp_path: Path, damage: bytes) -> None:
    """Nothing that the book still shows is forgotten with it: an older store's orders are refused as before."""
    book = FileBook(tmp_path, lambda: 100.0)
    book.begin()
    book.keep(entry("a", 4))
    book.remember("b", Removed(revision=(2, 7), why="gone"))
    (tmp_path / "start.json").write_bytes(damage)
    again = FileBook(tmp_path, lambda: 200.0)
    again.begin()
    assert again.start.epoch > book.start.epoch
    assert (again.start.incarnation, again.start.highest) == (2, (2, 7))
    assert again.entries == {"a": entry("a", 4)}
    assert (tmp_path / DAMAGED / "start.200.json").read_bytes() == damage
    assert same(FileBook(tmp_path, lambda: 300.0), again)


def test_the_book_after_a_lost_one_begins_above_it(tmp_path: Path) -> None:
    lost, fresh = FileBook(tmp_path / "lost", lambda: 100.0), FileBook(tmp_path / "fresh", lambda: 200.0)
    for book in (lost, fresh):
        book.begin()
    assert fresh.start.epoch > lost.start.epoch


def test_a_full_disk_costs_no_removal_that_was_confirmed(tmp_path: Path) -> None:
    """A line that was cut short takes neither the one before it along nor the one after it."""
    book = FileBook(tmp_path)
    book.remember("a", Removed(revision=(1, 1), why="gone"))
    with full_after(tmp_path, 12), pytest.raises(OSError, match="large"):
        book.remember("b", Removed(revision=(1, 2), why="gone"))
    assert "b" not in book.removed
    book.remember("b", Removed(revision=(1, 2), why="gone"))
    book.remember("c", Removed(revision=(1, 3), why="gone"))
    assert FileBook(tmp_path).removed.keys() == {"a", "b", "c"}


def test_a_full_disk_leaves_the_order_that_was_held(tmp_path: Path) -> None:
    book = FileBook(tmp_path)
    book.keep(entry("a", 1))
    with full_after(tmp_path, 12), pytest.raises(OSError, match="large"):
        book.keep(entry("a", 2))
    assert book.entries == FileBook(tmp_path).entries == {"a": entry("a", 1)}
    assert {path.suffix for path in (tmp_path / "orders").iterdir()} == {".json", HIGHEST_SUFFIX}


@contextlib.contextmanager
def full_after(folder: Path, more: int) -> Iterator[None]:
    """No file can grow by more than `more` bytes beyond the removals' end: the kernel says so, as on a full disk."""
    removed = folder / "removed.jsonl"
    limit = (removed.stat().st_size if removed.exists() else 0) + more
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_orders_and_removals_show_the_highest_revision(tmp_path: Path) -> None:
    book = FileBook(tmp_path, lambda: 0.0)
    book.begin()
    book.raise_highest((1, 1))
    began = (tmp_path / "start.json").read_bytes()
    book.raise_highest((1, 4))
    book.keep(entry("a", 4))
    assert (tmp_path / "start.json").read_bytes() == began, "one file is written for an order"
    assert same(book, FileBook(tmp_path))
    book.raise_highest((1, 6))
    book.remember("a", Removed(revision=(1, 6), why="gone"))
    assert same(book, FileBook(tmp_path))
    assert FileBook(tmp_path).start.highest == (1, 6)


def test_the_highest_revision_outlives_an_order_that_cannot_be_read(tmp_path: Path) -> None:
    book = FileBook(tmp_path, lambda: 0.0)
    book.begin()
    book.raise_highest((1, 4))
    book.keep(entry("a", 4))
    book.note()
    (tmp_path / "orders" / "a.json").write_bytes(b"")
    assert FileBook(tmp_path).start.highest == (1, 4)


def test_the_highest_revision_needs_no_file_that_can_be_read(tmp_path: Path) -> None:
    """Of the moment before: nothing else was written since the order, or the removal, came."""
    book = FileBook(tmp_path, lambda: 0.0)
    book.begin()
    for counter in (4, 9, 11):
        book.raise_highest((1, counter))
        book.keep(entry("a", counter))
    spoil(tmp_path)
    again = FileBook(tmp_path, lambda: 0.0)
    assert (again.entries, again.start.highest) == ({}, (1, 11))
    assert view.read(tmp_path).highest == (1, 11)
    again.raise_highest((1, 15))
    again.remember("b", Removed(revision=(1, 15), why="gone"))
    again.keep(entry("c", 12))
    spoil(tmp_path)
    last = FileBook(tmp_path, lambda: 0.0)
    assert (last.entries, last.removed, last.start.highest) == ({}, {}, (1, 15))
    assert [path.name for path in (tmp_path / "orders").glob(f"*{HIGHEST_SUFFIX}")] == [f"1.15{HIGHEST_SUFFIX}"]


def spoil(folder: Path) -> None:
    """Have no file say anything any more."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(b"\0" * path.stat().st_size)


def test_names_that_show_no_revision_are_passed_over(tmp_path: Path) -> None:
    book = FileBook(tmp_path, lambda: 0.0)
    book.keep(entry("a", 4))
    for name in (f"x{HIGHEST_SUFFIX}", f"1.x{HIGHEST_SUFFIX}", f"{HIGHEST_SUFFIX}", f"2{HIGHEST_SUFFIX}"):
        (tmp_path / "orders" / name).touch()
    assert FileBook(tmp_path).start.highest == (1, 4)
