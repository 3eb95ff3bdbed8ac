"""Others read a host's book without a trace, whatever its owner is just doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.bus.messages import Removed
from pileus.host import view
from pileus.host.book import DAMAGED, BookEntry, FileBook
from pileus.model.instance import Body, Power
from pileus.model.spec import InstanceSpec
from pileus.model.views import BookView

if TYPE_CHECKING:
    from pathlib import Path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_book_is_read_without_a_trace(tmp_path: Path) -> None:
    assert view.read(tmp_path / "nowhere") == BookView()
    book = FileBook(tmp_path, lambda: 0.0)
    book.begin()
    book.raise_highest((0, 9))
    book.note()
    spec = InstanceSpec(uuid="a", revision=(0, 5), power=Power(), vcpus=1, memory=64, ec2_id="i-0")
    book.keep(BookEntry(uuid="a", revision=(0, 5), spec=spec, body=Body(exists=True), applied=(0, 5), since=12.5))
    book.remember("b", Removed(revision=(0, 4), why="gone"))
    book.remember("c", Removed(revision=(0, 3), why="moved"))
    with (tmp_path / "removed.jsonl").open("a") as file:
        file.write('["d",{"revi')
    (tmp_path / "orders" / "x.new").write_bytes(b"{")
    (tmp_path / DAMAGED).mkdir()
    (tmp_path / DAMAGED / "x.7.json").write_bytes(b"{")
    before = files(tmp_path)
    found = view.read(tmp_path)
    assert files(tmp_path) == before
    assert found.removed == {"b": (0, 4)}, "moved elsewhere is not gone"
    assert (found.highest, found.newest) == ((0, 9), 12.5)
    assert found.damaged == ("x.7.json",)
    assert found.orders["a"].spec == spec
    assert found.orders["a"].applied == (0, 5)
