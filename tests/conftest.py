"""Rules for every test: which tier may open sockets, what a live test needs, and which live tests run.

Options: `--live` runs tests/live, `--clients` runs tests/clients (else they are deselected), `--area NAME` keeps the
areas of tests/live whose names begin so, `--minutes N` takes a sample that fits, of all areas, drawn from the seed of
pytest-randomly.
"""

import gc
import logging
import os
import signal

# uvloop and ssl keep the socket class that they find when imported: that must not be a test's guarded one.
import ssl  # noqa: F401
from pathlib import Path

import pytest
import structlog
import uvloop  # noqa: F401
from hypothesis import settings

from tests import live_plan

TESTS = Path(__file__).parent
LIVE = TESTS / "live"
ON_GUESTS = ("clients", "live")
"""Tiers whose tests boot guests, each run by the option of its name alone."""
LOOPBACK_TIERS = ("app", "clients", "live")
LOOPBACK_HOSTS = ["127.0.0.0/8", "localhost", "::1"]
DEFAULT_COST = 60.0
AREA_COST = 20.0
"""Seconds for a cloud that an area's tests share, up and down."""
LEAST_LIVE_TIMEOUT = 600.0
TIMEOUT_PER_COST = 10.0

# Machines differ in speed and load, and a deadline would be a timed assertion.
settings.register_profile("pileus", deadline=None, print_blob=True)
settings.load_profile("pileus")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for live tests and the setting that orders their areas."""
    group = parser.getgroup("live", "tests that boot guests or real services")
    group.addoption("--live", action="store_true", help="run tests/live too (needs root)")
    group.addoption("--clients", action="store_true", help="run tests/clients too (needs root and bin/setup --clients)")
    group.addoption("--area", default="", help="of the live tests, only areas whose names begin so")
    group.addoption("--minutes", type=float, default=None, help="of the live tests, a sample that fits")
    parser.addini("live_areas", "areas of tests/live, oldest first", type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Keep the machine's AWS settings (CA bundle, region, profile) away from the clients under test; log warnings."""
    del config
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts background jobs that ignore ^C, and processes of tests would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Without the time of day: a seeded world tells the same story twice.
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.KeyValueRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test by the tier it stands in, before `-m` looks at marks."""
    tier = tier_of(item)
    if tier in LOOPBACK_TIERS:
        item.add_marker("loopback")
    if tier == "live":
        item.add_marker("live")
    if tier in ON_GUESTS and item.get_closest_marker("timeout") is None:
        item.add_marker(pytest.mark.timeout(max(LEAST_LIVE_TIMEOUT, TIMEOUT_PER_COST * cost_of(item))))
    if item.get_closest_marker("loopback") and not item.get_closest_marker("allow_hosts"):
        item.add_marker(pytest.mark.allow_hosts(LOOPBACK_HOSTS))


def tier_of(item: pytest.Item) -> str:
    """Return the name of the folder of `tests` that a test is in; empty for a test of another place."""
    return item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""


def cost_of(item: pytest.Item) -> float:
    """Return what a live test is expected to take, in seconds."""
    mark = item.get_closest_marker("cost")
    return float(mark.args[0]) if mark else DEFAULT_COST


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests on guests that were not asked for, and say so; run the newest areas first."""
    clients = [item for item in items if tier_of(item) == "clients"]
    if clients and not config.getoption("clients"):
        items[:] = [item for item in items if item not in clients]
        config.hook.pytest_deselected(items=clients)
    live = [item for item in items if item.get_closest_marker("live")]
    if not live:
        return
    kept = choose_live(config, live) if config.getoption("live") else []
    chosen = set(kept)
    left_out = [item for item in live if item not in chosen]
    items[:] = [item for item in items if not item.get_closest_marker("live")] + kept
    if left_out:
        config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Keep the garbage collector away from what imports made: it lives to the end, and full rounds over it are dear."""
    gc.collect()
    gc.freeze()


def choose_live(config: pytest.Config, live: list[pytest.Item]) -> list[pytest.Item]:
    """Apply `--area` and `--minutes`; print what was chosen, so that a run can be repeated."""

    def area(item: pytest.Item) -> str:
        return live_plan.area_of(item.path, LIVE)

    oldest_first: list[str] = config.getini("live_areas")
    prefix: str = config.getoption("area")
    asked = [item for item in live if area(item).startswith(prefix)]
    if not asked:
        known = ", ".join(sorted({area(item) for item in live}))
        raise pytest.UsageError(f"no area of tests/live begins with {prefix!r}; there are: {known}")
    minutes: float | None = config.getoption("minutes")
    if minutes is None:
        order = live_plan.newest_first([area(item) for item in asked], oldest_first)
        return sorted(asked, key=lambda item: order.index(area(item)))
    seed: int = config.getoption("randomly_seed")
    kept = live_plan.sample(
        # Sorted, so that the seed alone decides.
        sorted(asked, key=lambda item: item.nodeid),
        area=area,
        cost=cost_of,
        oldest_first=oldest_first,
        budget=minutes * 60,
        seed=seed,
        setup=AREA_COST,
    )
    report = config.pluginmanager.get_plugin("terminalreporter")
    if report is not None:
        spent = sum(cost_of(item) for item in kept) + AREA_COST * len({area(item) for item in kept})
        report.write_line(
            f"live sample: {len(kept)} of {len(asked)} tests, {spent:.0f} s of {minutes * 60:.0f} s, "
            f"repeat with SEED={seed}"
        )
    return kept


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail, never skip, a test on guests that was asked for without root."""
    if tier_of(item) in ON_GUESTS and os.geteuid() != 0:
        pytest.fail("these tests make network namespaces and boot guests: run them as root", pytrace=False)
