"""The pytest plugin: a cloud for a session, and a project of that cloud for each test (docs/testing.md)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pileus.app.throwaway import ThrowawayCloud
    from pileus.cli.account import CloudAccount


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--pileus-provider`."""
    parser.getgroup("pileus").addoption(
        "--pileus-provider",
        default="",
        metavar="NAME",
        help="provider of the cloud under test: stub (default; no root), local (real containers and machines; root)",
    )


@pytest.fixture(scope="session")
def pileus_session_cloud(request: pytest.FixtureRequest) -> Iterator[ThrowawayCloud]:
    """A cloud that all tests of the session share; each worker of pytest-xdist has a cloud of its own."""
    # Every run of pytest loads this module, with or without clouds.
    from pileus.app.throwaway import ThrowawayCloud  # noqa: PLC0415  (dear)
    from pileus.cli.problem import Problem  # noqa: PLC0415  (as above)

    try:
        cloud = ThrowawayCloud(request.config.getoption("--pileus-provider"))
    except Problem as problem:
        pytest.fail(f"pileus: {problem.message}", pytrace=False)
    with cloud:
        yield cloud


@pytest.fixture
def pileus_cloud(pileus_session_cloud: ThrowawayCloud) -> Iterator[CloudAccount]:
    """A project of the session's cloud for this test alone, to which the environment leads AWS clients.

    `boto3.client("ec2")` uses it too. After the test, its instances end and its addresses are released.
    """
    from pileus.cli import shells  # noqa: PLC0415  (as above)

    account = pileus_session_cloud.project()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in shells.REMOVED:
                patch.delenv(name, raising=False)
            for name, value in account.environment.items():
                patch.setenv(name, value)
            if importlib.util.find_spec("boto3"):
                # boto3's own default session would keep the keys of the first test.
                patch.setattr("boto3.DEFAULT_SESSION", account.session)
            yield account
    finally:
        account.clear()
