"""A cloud of its own for the tests of IAM and STS; each test acts as the administrator of a project of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.faces.ec2.cloud import Account, Cloud

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def cloud() -> Iterator[Cloud]:
    """Give the cloud that all tests of this folder share."""
    shared = Cloud()
    yield shared
    shared.core.store.close()


@pytest.fixture
def account(cloud: Cloud) -> Account:
    """Give a new administrator in a new project."""
    return cloud.account(admin=True)


@pytest.fixture
def iam(account: Account) -> Any:
    """Give the IAM client of the administrator."""
    return account.client("iam")


def trust(*principals: str, service: str = "") -> str:
    """Return a trust policy that names accounts, ARNs, or a service."""
    named = {"Service": service} if service else {"AWS": list(principals)}
    statement = {"Effect": "Allow", "Principal": named, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def acting(account: Account, service: str, credentials: Any) -> Any:
    """Return a boto3 client that signs with credentials of STS."""
    other = object.__new__(Account)
    other.cloud = account.cloud
    other.access_key, other.secret_key = credentials["AccessKeyId"], credentials["SecretAccessKey"]
    return other.client(service, credentials["SessionToken"])
