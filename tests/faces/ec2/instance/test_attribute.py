"""DescribeInstanceAttribute."""

from typing import Any

import pytest

from pileus.faces.wire.model import ServiceModel
from tests.faces.ec2.cloud import Account, refused


def attribute(account: Account, ident: str, name: str) -> dict[str, Any]:
    asked: Any = name
    found: dict[str, Any] = {**account.ec2.describe_instance_attribute(InstanceId=ident, Attribute=asked)}
    assert found.pop("InstanceId") == ident
    del found["ResponseMetadata"]
    return found


@pytest.mark.parametrize("name", ServiceModel.load("ec2").shapes["InstanceAttributeName"].enum)
def test_every_attribute_has_an_answer(account: Account, name: str) -> None:
    attribute(account, account.launch()[0], name)


def test_values(account: Account) -> None:
    ident = account.launch(DisableApiTermination=True, InstanceInitiatedShutdownBehavior="terminate")[0]
    shown = account.show(ident)
    for name, expected in {
        "instanceType": {"InstanceType": {"Value": "m1.tiny"}},
        "disableApiTermination": {"DisableApiTermination": {"Value": True}},
        "instanceInitiatedShutdownBehavior": {"InstanceInitiatedShutdownBehavior": {"Value": "terminate"}},
        "rootDeviceName": {"RootDeviceName": {"Value": "/dev/vda"}},
        "groupSet": {"Groups": shown["SecurityGroups"]},
        "blockDeviceMapping": {"BlockDeviceMappings": shown["BlockDeviceMappings"]},
        "userData": {"UserData": {}},
    }.items():
        assert attribute(account, ident, name) == expected


def test_bad_input(account: Account) -> None:
    with refused("InvalidInstanceID.NotFound"):
        attribute(account, "i-" + "0" * 17, "instanceType")
    with refused("InvalidParameterValue"):
        attribute(account, account.launch()[0], "colour")
