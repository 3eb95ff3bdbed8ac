"""Files that are replaced whole or not at all: whoever reads, is killed or writes at the same time."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.posix.files import keep_once, put_in_place, read_file, read_json, write_file, write_json, write_link

_WRITER = """
import sys
from pathlib import Path
from pileus.posix.files import write_file

path, number = Path(sys.argv[1]), 0
while True:
    number += 1
    write_file(path, b"%d\\n" % number * 20000, (0o600, 0o640)[number % 2])
"""
_KILLS = 12


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.lists(st.tuples(st.binary(max_size=40), st.sampled_from((0o600, 0o640, 0o644)), st.booleans()), max_size=6),
    st.sampled_from((0o077, 0o022, 0)),
)
def test_the_last_content_and_mode_are_there_whatever_the_umask(
    tmp_path: Path, writes: list[tuple[bytes, int, bool]], umask: int
) -> None:
    path = tmp_path / "file"
    before = os.umask(umask)
    try:
        for content, mode, lasting in writes:
            write_file(path, content, mode, lasting=lasting)
            assert (path.read_bytes(), mode_of(path)) == (content, mode)
            assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208  (names, not paths)
    finally:
        os.umask(before)
        path.unlink(missing_ok=True)


@given(st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_an_object_is_read_as_it_was_written(tmp_path: Path, document: dict[str, object]) -> None:
    write_json(tmp_path / "file.json", document)
    assert read_json(tmp_path / "file.json") == document


def test_a_killed_writer_leaves_the_old_file_or_the_new_one_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    path, drawn = tmp_path / "file", random.Random(time.time_ns())
    leftovers = 0
    for _ in range(_KILLS):
        with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)]) as writer:
            was = read_file(path)
            while read_file(path) == was:
                assert writer.poll() is None
                time.sleep(0.001)  # between looks at the condition above
            end = time.monotonic() + drawn.uniform(0.0, 0.05)
            while time.monotonic() < end:
                check_whole(path)
            writer.send_signal(signal.SIGKILL)
        check_whole(path)
        for aside in tmp_path.glob(".*"):
            leftovers += 1
            assert mode_of(aside) in (0o600, 0o640)
    write_file(path, b"after")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"after"
    assert leftovers <= _KILLS


def check_whole(path: Path) -> None:
    """Check that the file is what one write made of it, in content and mode."""
    with path.open("rb") as file:
        content, mode = file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    number = int(content.partition(b"\n")[0])
    assert content == b"%d\n" % number * 20000
    assert mode == (0o600, 0o640)[number % 2]


def test_a_leftover_is_not_written_to(tmp_path: Path) -> None:
    """Who could read the leftover, which was for everybody, reads nothing of what follows."""
    aside = tmp_path / ".file.new"
    aside.write_bytes(b"left")
    aside.chmod(0o644)
    with aside.open("rb") as held:
        write_file(tmp_path / "file", b"secret")
        assert held.read() == b"left"
    assert mode_of(tmp_path / "file") == 0o600


@pytest.mark.parametrize("lead", ["elsewhere", "file"])
def test_a_link_aside_is_not_followed(tmp_path: Path, lead: str) -> None:
    (tmp_path / ".file.new").symlink_to(tmp_path / lead)
    write_file(tmp_path / "file", b"content")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_what_holds_the_content_already_is_left_alone_and_leftovers_go(tmp_path: Path) -> None:
    """So a process that starts again needs no room on a full disk."""
    path = tmp_path / "file"
    write_file(path, b"one")
    inode = path.stat().st_ino
    (tmp_path / ".file.new").write_bytes(b"left")
    write_file(path, b"one")
    assert path.stat().st_ino == inode
    assert list(tmp_path.iterdir()) == [path]
    write_file(path, b"one", 0o644)
    assert mode_of(path) == 0o644


def test_a_link_to_the_same_content_is_replaced(tmp_path: Path) -> None:
    foreign, link = tmp_path / "foreign", tmp_path / "link"
    foreign.write_bytes(b"one")
    foreign.chmod(0o600)
    link.symlink_to(foreign)
    write_file(link, b"one")
    assert not link.is_symlink()
    assert link.read_bytes() == b"one"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28), descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_folder_are_written_through_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, fsync = [], os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    path, part = tmp_path / "file", tmp_path / "part"
    write_file(path, b"one")
    assert synced == [tmp_path / ".file.new", tmp_path]
    synced.clear()
    part.write_bytes(b"two")
    put_in_place(part, path)
    assert synced == [part, tmp_path]
    assert path.read_bytes() == b"two"
    synced.clear()
    write_file(path, b"three", lasting=False)
    put_in_place(path, part, lasting=False)
    assert not synced


def test_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 100000 for number in range(8)]

    def write(content: bytes) -> None:
        for _ in range(5):
            write_file(path, content, lasting=False)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_all_keep_the_content_of_the_first(tmp_path: Path) -> None:
    kept: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: kept.append(keep_once(tmp_path / "key", lambda: os.urandom(32))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(kept) == {(tmp_path / "key").read_bytes()}
    assert mode_of(tmp_path / "key") == 0o600
    assert os.listdir(tmp_path) == ["key"]  # noqa: PTH208  (names, not paths)


def test_a_link_leads_where_it_was_led_last(tmp_path: Path) -> None:
    for target in ("a", "b"):
        write_link(tmp_path / "link", target)
        assert (tmp_path / "link").readlink() == Path(target)


def test_links_pipes_and_what_is_no_object_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("[1]")
    (tmp_path / "torn").write_bytes(b'{"a": "\xff')
    (tmp_path / "link").symlink_to("list")
    os.mkfifo(tmp_path / "pipe")
    assert [read_json(tmp_path / name) for name in ("list", "torn", "link", "pipe", "none")] == [None] * 5
    assert read_file(tmp_path / "link") is None
    assert read_file(tmp_path / "list", 2) == b"[1"
