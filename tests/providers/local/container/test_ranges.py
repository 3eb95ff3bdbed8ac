"""No two projects, of all clouds of a machine, have containers under the same users, and each keeps its own."""

from __future__ import annotations

import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pileus.model.errors import Fault
from pileus.providers.local import layout as layouts
from pileus.providers.local.container import ranges
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import owner

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without clouds."""
    monkeypatch.setattr(layouts, "SHARED", tmp_path / "shared")


def test_each_project_has_a_range_of_its_own_for_ever(tmp_path: Path) -> None:
    clouds = [Layout(tmp_path / name) for name in ("a", "b")]
    asked = [(cloud, project) for cloud in clouds for project in ("ours", "theirs", "")]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda one: ranges.base(*one), asked))
    assert len(set(found)) == len(asked)
    assert [ranges.base(*one) for one in asked] == found
    spans = sorted((base, base + ranges.SIZE) for base in found)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))


def test_ranges_are_nobody_elses_users() -> None:
    """Beyond our QEMUs' and what systemd and shadow hand out, and no negative number to anybody."""
    assert owner.user("ffffffff") < ranges.FIRST
    assert owner.nobody().get("user", 0) < ranges.FIRST
    assert ranges.FIRST + (ranges.COUNT + 1) * ranges.SIZE <= 1 << 31


def test_what_a_cloud_gives_up_others_get(tmp_path: Path) -> None:
    one, other = Layout(tmp_path / "a"), Layout(tmp_path / "b")
    first = ranges.base(one, "ours")
    second = ranges.base(other, "ours")
    ranges.free(one)
    assert ranges.base(other, "ours") == second
    assert ranges.base(other, "theirs") != second
    ranges.free(one)
    assert first != second


def test_a_copied_state_directory_gets_ranges_of_its_own(tmp_path: Path) -> None:
    one = Layout(tmp_path / "a")
    base = ranges.base(one, "ours")
    shutil.copytree(one.state, tmp_path / "b")
    assert ranges.base(Layout(tmp_path / "b"), "ours") != base
    assert ranges.base(one, "ours") == base


def test_a_state_directory_that_is_gone_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "COUNT", 1)
    one, other = Layout(tmp_path / "a"), Layout(tmp_path / "b")
    ranges.base(one, "ours")
    with pytest.raises(Fault, match="RangesExhausted"):
        ranges.base(other, "ours")
    shutil.rmtree(one.state)
    assert ranges.base(other, "ours") == ranges.FIRST


def test_a_file_that_says_nonsense_is_made_anew(tmp_path: Path) -> None:
    one = Layout(tmp_path / "a")
    ranges.base(one, "ours")
    (kept,) = (one.containers / ".ranges").iterdir()
    kept.write_text("99999999\n")
    assert ranges.FIRST <= ranges.base(one, "ours") < 1 << 31
