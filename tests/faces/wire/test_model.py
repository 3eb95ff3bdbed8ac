"""The service models: which actions exist, and what is said of those that do not."""

from __future__ import annotations

import pytest

from pileus.faces.wire.errors import WireError
from pileus.faces.wire.model import ServiceModel
from tests.faces.wire import generated


@pytest.mark.parametrize("name", ["ec2", "sts", "iam"])
def test_agrees_with_botocore(name: str) -> None:
    ours, theirs = ServiceModel.load(name), generated.service(name)
    assert ours.operations.keys() == set(theirs.operation_names)
    assert ours.version == theirs.api_version
    assert ours.protocol == theirs.protocol
    assert ours.namespace.rstrip("/") == theirs.metadata["xmlNamespace"].rstrip("/")


def test_is_read_once() -> None:
    assert ServiceModel.load("ec2") is ServiceModel.load("ec2")


def test_unknown_service() -> None:
    with pytest.raises(LookupError, match="no service 'no-such'"):
        ServiceModel.load("no-such")


def test_unknown_actions() -> None:
    ec2, sts = ServiceModel.load("ec2"), ServiceModel.load("sts")
    with pytest.raises(WireError) as unknown:
        ec2.operation("LaunchRocket")
    assert (unknown.value.code, unknown.value.status) == ("InvalidAction", 400)
    assert unknown.value.message == "The action LaunchRocket is not valid for this web service."
    with pytest.raises(WireError, match="Could not find operation LaunchRocket for version 2011-06-15"):
        sts.operation("LaunchRocket")
