"""A sample of live tests fits its budget, which its areas share, and repeats from its seed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import live_plan
from tests.house import tree

AREAS = ("alpha", "beta", "gamma", "new")
OLDEST_FIRST = ("alpha", "beta", "gamma")
LIVE = PurePath("tests/live")

plans = st.lists(st.tuples(st.sampled_from(AREAS), st.integers(1, 300), st.integers()), unique=True)


def choose(tests: list[tuple[str, int, int]], budget: float, seed: int) -> list[tuple[str, int, int]]:
    return live_plan.sample(
        tests, area=lambda t: t[0], cost=lambda t: t[1], oldest_first=OLDEST_FIRST, budget=budget, seed=seed
    )


def test_areas_are_folders_and_modules() -> None:
    assert live_plan.area_of(LIVE / "network" / "test_dhcp.py", LIVE) == "network"
    assert live_plan.area_of(LIVE / "test_first_light.py", LIVE) == "first_light"


def test_unlisted_areas_are_newest() -> None:
    assert live_plan.newest_first(AREAS, OLDEST_FIRST) == ["new", "gamma", "beta", "alpha"]


@given(plans, st.integers(0, 2000), st.integers())
def test_sample_fits_and_wastes_nothing(tests: list[tuple[str, int, int]], budget: int, seed: int) -> None:
    chosen = choose(tests, budget, seed)
    spent = sum(cost for _, cost, _ in chosen)
    assert spent <= budget
    assert len(set(chosen)) == len(chosen)
    assert all(spent + cost > budget for _, cost, _ in set(tests) - set(chosen))
    assert chosen == choose(tests, budget, seed)


@given(st.integers(100, 2000), st.integers())
def test_areas_share_the_time(budget: int, seed: int) -> None:
    dear = [("alpha", 90, n) for n in range(30)]
    tests = dear + [("beta", 10, n) for n in range(300)] + [("gamma", 30, n) for n in range(100)]
    chosen = choose(tests, budget, seed)
    spent = {area: sum(cost for name, cost, _ in chosen if name == area) for area in ("alpha", "beta", "gamma")}
    # The one that got the dearest test last may have more, by no more than that test; one that did not fit, less.
    assert max(spent.values()) - min(spent.values()) <= 90 + 30, spent


def test_a_cloud_costs_time_once_an_area() -> None:
    tests = [("alpha", 10, n) for n in range(9)] + [("beta", 10, 0)]
    chosen = live_plan.sample(
        tests, area=lambda t: t[0], cost=lambda t: t[1], oldest_first=(), budget=75, seed=1, setup=20
    )
    assert sorted(area for area, _, _ in chosen) == ["alpha"] * 2 + ["beta"]


@given(plans, st.integers())
def test_newest_areas_come_first(tests: list[tuple[str, int, int]], seed: int) -> None:
    chosen = choose(tests, sum(cost for _, cost, _ in tests), seed)
    assert sorted(chosen) == sorted(tests)
    order = ["new", "gamma", "beta", "alpha"]
    assert [area for area, _, _ in chosen] == sorted((t[0] for t in chosen), key=order.index)


MODULE = """
import os
import pytest

@pytest.mark.parametrize("n", range(4))
@pytest.mark.cost(120)
def test_it(n):
    assert not [name for name in os.environ if name.startswith("AWS_")]
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout with this project's pytest settings, two live areas and one test that is not live."""
    shutil.copy(tree.ROOT / "pyproject.toml", tmp_path)
    for name in ("live/network/test_dhcp.py", "live/test_first_light.py", "model/test_port.py"):
        module = tmp_path / "tests" / name
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(MODULE)
    for name in ("conftest.py", "live_plan.py"):
        shutil.copy(tree.ROOT / "tests" / name, tmp_path / "tests")
    return tmp_path


def run_pytest(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest as a user would, in a process of its own and on a machine with AWS settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", *options],
        cwd=checkout,
        env={**env, "AWS_CA_BUNDLE": "/nowhere"},
        check=False,
        capture_output=True,
        text=True,
    )


def test_live_tests_wait_to_be_asked_for(checkout: Path) -> None:
    result = run_pytest(checkout)
    assert "4 passed, 8 deselected" in result.stdout, result.stdout
    assert run_pytest(checkout, "tests/live").returncode == pytest.ExitCode.NO_TESTS_COLLECTED


def test_all_live_tests_run_newest_area_first(checkout: Path) -> None:
    result = run_pytest(checkout, "--live", "tests/live")
    assert "8 passed" in result.stdout, result.stdout
    assert result.stdout.index("network/test_dhcp") < result.stdout.index("test_first_light")


def test_an_area_is_asked_for_by_how_its_name_begins(checkout: Path) -> None:
    result = run_pytest(checkout, "--live", "tests/live", "--area=net")
    assert "4 passed, 4 deselected" in result.stdout, result.stdout
    result = run_pytest(checkout, "--live", "tests/live", "--area=nothing")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "there are: first_light, network" in result.stderr


def test_a_sample_says_how_to_repeat_it(checkout: Path) -> None:
    options = ("--live", "tests/live", "--minutes=9", "--randomly-seed=7")
    result = run_pytest(checkout, *options)
    assert "4 passed, 4 deselected" in result.stdout, result.stdout
    assert "live sample: 4 of 8 tests, 520 s of 540 s, repeat with SEED=7" in result.stdout


def test_a_live_test_without_root_fails(checkout: Path) -> None:
    (checkout / "tests" / "live" / "conftest.py").write_text("import os\nos.geteuid = lambda: 1000\n")
    result = run_pytest(checkout, "--live", "tests/live")
    assert "8 errors" in result.stdout, result.stdout
    assert "run them as root" in result.stdout
