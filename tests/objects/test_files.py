"""Objects are whole or not there, whatever ends the process that writes them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.model.errors import InvalidValue, NotFound, Unavailable
from pileus.objects import ObjectStore, Stored

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = hashlib.sha256(b"hello").hexdigest()

# Ends, without any clean-up, at one of the steps of a write.
ENDS = """
import os, sys
from pathlib import Path
from pileus.objects import files
step, root = sys.argv[1], Path(sys.argv[2])
store = files.ObjectStore(root)
if step == "rename":
    Path.rename = lambda *_: os._exit(9)
if step == "folder":
    real = Path.rename
    def rename(*words):
        real(*words)
        os._exit(9)
    Path.rename = rename
writing = store.incoming()
writing.write(b"hel")
if step == "middle":
    os._exit(9)
writing.write(b"lo")
writing.keep()
"""


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty store."""
    return ObjectStore(tmp_path / "objects")


def leftovers(store: ObjectStore) -> list[str]:
    return [path.name for path in (store.root / "incoming").iterdir()]


@given(parts=st.lists(st.binary(max_size=50), max_size=8))
def test_what_is_put_is_what_is_read(parts: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    store = ObjectStore(tmp_path_factory.mktemp("objects"))
    whole = b"".join(parts)
    stored = store.put(parts)
    assert stored == Stored(hashlib.sha256(whole).hexdigest(), len(whole))
    with store.open(stored.digest) as file:
        assert file.read() == whole
    assert list(store.list()) == [stored]


def test_the_same_bytes_are_one_object(store: ObjectStore) -> None:
    assert store.put([b"hello"]) == store.put([b"hel", b"lo"]) == Stored(DIGEST, 5)
    assert list(store.list()) == [Stored(DIGEST, 5)]


def test_who_opens_the_store_leaves_alone_what_others_are_writing(store: ObjectStore) -> None:
    with store.incoming() as writing:
        writing.write(b"hel")
        other = ObjectStore(store.root)
        writing.write(b"lo")
        assert writing.keep().digest == DIGEST
    assert other.has(DIGEST)
    assert leftovers(other) == []


def test_another_digest_than_the_expected_one_is_refused(store: ObjectStore) -> None:
    with pytest.raises(InvalidValue):
        store.put([b"hullo"], DIGEST)
    with pytest.raises(InvalidValue):
        store.put([b"hello"], "../../etc/passwd")
    assert list(store.list()) == []
    assert leftovers(store) == []
    assert store.put([b"hello"], DIGEST).digest == DIGEST


def test_a_write_that_is_given_up_leaves_nothing(store: ObjectStore) -> None:
    with store.incoming() as writing:
        writing.write(b"hel")
    assert leftovers(store) == []
    assert list(store.list()) == []


def test_what_is_deleted_is_gone_but_not_for_who_reads_it(store: ObjectStore) -> None:
    store.put([b"hello"])
    with store.open(DIGEST) as file:
        assert store.delete(DIGEST)
        assert file.read() == b"hello"
    assert not store.delete(DIGEST)
    assert not store.has(DIGEST)


@pytest.mark.parametrize("digest", ["", "x", "../" * 4 + "etc/passwd", DIGEST.upper(), DIGEST[:-1], "incoming"])
def test_what_is_no_digest_names_nothing(store: ObjectStore, digest: str) -> None:
    store.put([b"hello"])
    for call in (store.open, store.path, store.has, store.delete):
        with pytest.raises(NotFound):
            call(digest)


@pytest.mark.parametrize(("step", "kept"), [("middle", False), ("rename", False), ("folder", True)])
def test_a_process_that_dies_in_a_write_leaves_the_whole_object_or_none(
    tmp_path: Path, step: str, *, kept: bool
) -> None:
    root = tmp_path / "objects"
    died = subprocess.run([sys.executable, "-c", ENDS, step, str(root)], check=False)
    assert died.returncode == 9
    store = ObjectStore(root)
    assert leftovers(store) == []
    assert store.has(DIGEST) is kept
    assert [stored.size for stored in store.list()] == ([5] if kept else [])
    assert store.put([b"hello"]).digest == DIGEST


@pytest.mark.parametrize(
    ("disk", "free", "taken"),
    [(1 << 40, 2 << 30, True), (1 << 40, 1 << 29, False), (64 << 20, 8 << 20, True), (64 << 20, 2 << 20, False)],
)
def test_a_share_of_the_disk_stays_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: int, free: int, *, taken: bool
) -> None:
    room = SimpleNamespace(f_frsize=4096, f_blocks=disk // 4096, f_bavail=free // 4096)
    monkeypatch.setattr(os, "fstatvfs", lambda _: room)
    with ObjectStore(tmp_path).incoming() as incoming:
        if taken:
            incoming.write(b"hello")
        else:
            with pytest.raises(Unavailable, match="disk is full"):
                incoming.write(b"hello")
