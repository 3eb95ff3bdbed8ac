"""Clouds of one machine never have the same 127.N.0.0/16, and each keeps its own."""

from __future__ import annotations

import itertools
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pileus.model.errors import Fault
from pileus.providers.local import layout as layouts
from pileus.providers.local import prefix
from pileus.providers.local.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path

ALL = range(2, 255)
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without clouds, on which nobody listens."""
    monkeypatch.setattr(layouts, "SHARED", tmp_path / "shared")
    monkeypatch.setattr(prefix, "_TCP", tmp_path / "tcp")
    (tmp_path / "tcp").write_text(HEAD)


def cloud(folder: Path, name: str) -> Layout:
    made = Layout(folder / name)
    made.state.mkdir()
    return made


def alike(folder: Path, count: int) -> list[Layout]:
    """Clouds that would all like to have the same prefix."""
    every = (Layout(folder / f"s{number}") for number in itertools.count())
    same = list(itertools.islice((one for one in every if prefix.of(one) == 91), count))
    for one in same:
        one.state.mkdir()
    return same


def test_two_clouds_that_would_like_the_same_prefix_get_two_and_keep_them(tmp_path: Path) -> None:
    one, other = alike(tmp_path, 2)
    preferred = prefix.of(one)
    taken = [prefix.take(one), prefix.take(other)]
    assert taken[0] == preferred != taken[1]
    assert set(taken) <= set(ALL)
    assert [prefix.take(one), prefix.take(other)] == taken
    assert [prefix.of(one), prefix.of(other)] == taken


def test_clouds_that_start_at_the_same_moment_get_one_each(tmp_path: Path) -> None:
    clouds = alike(tmp_path, 12)
    with ThreadPoolExecutor(12) as pool:
        taken = list(pool.map(prefix.take, clouds))
    assert len(set(taken)) == 12


def test_a_purged_clouds_prefix_is_free(tmp_path: Path) -> None:
    one, other, third = alike(tmp_path, 3)
    first, second = prefix.take(one), prefix.take(other)
    prefix.free(one)
    prefix.free(one)
    shutil.rmtree(one.state)
    assert prefix.take(third) == first
    assert prefix.take(other) == second


def test_what_is_remembered_outlives_the_folder_of_all_clouds(tmp_path: Path) -> None:
    one, other = alike(tmp_path, 2)
    prefix.take(one)
    taken = prefix.take(other)
    shutil.rmtree(one.prefixes)
    assert prefix.take(other) == taken
    assert prefix.take(one) != taken


def test_a_start_that_died_half_way_is_repeated_or_leaves_nothing(tmp_path: Path) -> None:
    one, other = alike(tmp_path, 2)
    number = prefix.take(one)
    one.prefix_file.unlink()
    assert prefix.take(one) == number
    (one.prefixes / str(number)).unlink()
    # Another one was quicker than the repetition.
    assert prefix.take(other) == number
    assert prefix.take(one) != number


def test_a_copied_cloud_gets_another_one_and_a_moved_one_keeps_its_own(tmp_path: Path) -> None:
    one = cloud(tmp_path, "one")
    taken = prefix.take(one)
    shutil.copytree(one.state, tmp_path / "copy")
    assert prefix.take(Layout(tmp_path / "copy")) != taken
    moved = Layout(one.state.rename(tmp_path / "moved"))
    assert prefix.take(moved) == taken


def test_the_prefix_of_a_directory_that_is_gone_is_the_last_to_be_given_again(tmp_path: Path) -> None:
    lost = cloud(tmp_path, "lost")
    taken = prefix.take(lost)
    shutil.rmtree(lost.state)
    others = [prefix.take(cloud(tmp_path, f"o{number}")) for number in ALL]
    assert sorted(others) == list(ALL)
    assert others[-1] == taken
    with pytest.raises(Fault, match="purge one"):
        prefix.take(cloud(tmp_path, "late"))


def test_an_address_on_which_somebody_listens_is_left_alone(tmp_path: Path) -> None:
    one = cloud(tmp_path, "one")
    preferred = prefix.of(one)
    line = "   0: 0100{:02X}7F:0016 00000000:0000 {} 00000000:00000000 00:00000000 00000000  0  0 22 1 0\n"
    (tmp_path / "tcp").write_text(HEAD + line.format(preferred, "0A") + line.format(preferred + 1, "01"))
    taken = prefix.take(one)
    assert taken != preferred
    # Its own host listens on it now.
    (tmp_path / "tcp").write_text(HEAD + line.format(taken, "0A"))
    assert prefix.take(one) == taken
    one.prefix_file.unlink()
    assert prefix.take(one) == taken


@pytest.mark.parametrize("what", ["{", '{"prefix": 1}', '{"prefix": 255}', '{"prefix": "7"}', ""])
def test_what_is_damaged_is_taken_anew(tmp_path: Path, what: str) -> None:
    one = cloud(tmp_path, "one")
    taken = prefix.take(one)
    one.prefix_file.write_text(what)
    assert prefix.take(one) == taken
    assert prefix.of(one) == taken


def test_no_pipe_in_the_place_of_anothers_file_holds_up_a_start(tmp_path: Path) -> None:
    one, other = alike(tmp_path, 2)
    prefix.take(one)
    one.prefix_file.unlink()
    os.mkfifo(one.prefix_file)
    assert prefix.take(other) in ALL
