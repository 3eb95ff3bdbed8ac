"""One cloud with a host for most tests, and one without for those that look at waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faces.rest.cloud import Cloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pileus.verbs.user import Account


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud with one host."""
    made = Cloud(tmp_path_factory.mktemp("cloud"))
    made.join()
    yield made
    made.close()


@pytest.fixture
def hostless(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud that no host has joined."""
    made = Cloud(tmp_path)
    yield made
    made.close()


@pytest.fixture
def account(cloud: Cloud) -> Account:
    """A new user in a new project."""
    return cloud.account()
