"""One cloud for all tests of the face; each test acts in a project of its own."""

import gc
from collections.abc import Iterator

import pytest

from tests.faces.ec2.cloud import Account, Cloud


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """Give the cloud that all tests of this folder share."""
    made = Cloud()
    made.account().client("ec2")
    # The vendor's model is a large heap of small things, and stays.
    gc.freeze()
    yield made
    made.core.store.close()


@pytest.fixture
def account(cloud: Cloud) -> Account:
    """Give a new user in a new project, without quotas."""
    return cloud.account()
