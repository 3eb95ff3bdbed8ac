"""One cloud for the live tests that share it, and a key pair that opens its guests."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from pileus.providers.local.engine import chassis
from pileus.providers.local.layout import Layout
from tests.live.cloud import ENDING, LiveCloud, logs, running
from tests.live.daemons import purge_engine
from tests.live.twohosts import connected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from tests.live.twohosts import TwoHosts


@pytest.fixture(scope="session", autouse=True)
def _no_traffic_for_guests() -> None:
    """Keep this machine's own resolvers out of it: what guests ask for must not leave the machine."""
    os.environ["PILEUS_RESOLV_CONF"] = os.devnull


@pytest.fixture(scope="session", autouse=True)
def _clouds_end_with_the_run() -> None:
    """Whoever ends a run that takes too long means its guests and daemons as well, and may kill it after some seconds.

    Only the first signal counts (timeout(1) sends two): another one would interrupt what takes the clouds down.
    """

    def end(number: int, frame: FrameType | None) -> None:
        if not ENDING.is_set():
            ENDING.set()
            signal.default_int_handler(number, frame)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


@pytest.fixture(scope="module")
def cloud() -> Iterator[LiveCloud]:
    """A cloud on this machine's own libvirt and OVN, for one module."""
    with running() as found:
        yield found


@pytest.fixture(scope="module")
def key(cloud: LiveCloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private half of the key pair `test`."""
    return cloud.key("test", tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """A network engine without a cloud, for one module."""
    layout = Layout(tmp_path_factory.mktemp("state"))
    try:
        chassis.up(layout)
        yield layout
    finally:
        purge_engine(layout)


@pytest.fixture(scope="module")
def two_hosts() -> Iterator[TwoHosts]:
    """Two hosts on one network engine, without a cloud, for one module."""
    with connected() as hosts:
        yield hosts


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the cloud's logs with a failure: the guests are gone by the time somebody reads it."""
    report = yield
    cloud = getattr(item, "funcargs", {}).get("cloud")
    if call.excinfo is not None and isinstance(cloud, LiveCloud):
        report.sections.append(("cloud", logs(cloud.state)))  # type: ignore[attr-defined]
    return report
