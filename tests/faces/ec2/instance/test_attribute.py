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


def test_protection_is_taken_away_and_the_instance_ends(account: Account) -> None:
    ident = account.launch(DisableApiTermination=True)[0]
    with refused("OperationNotPermitted"):
        account.ec2.terminate_instances(InstanceIds=[ident])
    account.ec2.modify_instance_attribute(InstanceId=ident, DisableApiTermination={"Value": False})
    account.ec2.terminate_instances(InstanceIds=[ident])


def test_groups_are_changed_all_at_once(account: Account) -> None:
    ident = account.launch()[0]
    made = [account.ec2.create_security_group(GroupName=name, Description="d")["GroupId"] for name in ("one", "two")]
    account.ec2.modify_instance_attribute(InstanceId=ident, Groups=made)
    shown = account.show(ident)
    assert [group["GroupId"] for group in shown["SecurityGroups"]] == made
    assert [group["GroupId"] for group in shown["NetworkInterfaces"][0]["Groups"]] == made
    with refused("DependencyViolation"):
        account.ec2.delete_security_group(GroupId=made[0])
    with refused("InvalidGroup.NotFound"):
        account.ec2.modify_instance_attribute(InstanceId=ident, Groups=["sg-0123456789abcdef0"])
    assert [group["GroupId"] for group in account.show(ident)["SecurityGroups"]] == made


def test_either_form_of_a_change(account: Account) -> None:
    ident = account.launch()[0]
    name: Any = "instanceInitiatedShutdownBehavior"
    account.ec2.modify_instance_attribute(InstanceId=ident, Attribute=name, Value="terminate")
    assert attribute(account, ident, name) == {"InstanceInitiatedShutdownBehavior": {"Value": "terminate"}}
    account.ec2.modify_instance_attribute(InstanceId=ident, InstanceInitiatedShutdownBehavior={"Value": "stop"})
    assert attribute(account, ident, name) == {"InstanceInitiatedShutdownBehavior": {"Value": "stop"}}


def test_changes_that_cannot_be(account: Account) -> None:
    ident = account.launch()[0]
    with refused("IncorrectInstanceState"):
        account.ec2.modify_instance_attribute(InstanceId=ident, UserData={"Value": b"late"})
    with refused("IncorrectInstanceState"):
        account.ec2.modify_instance_attribute(InstanceId=ident, InstanceType={"Value": "m1.large"})
    with refused("InvalidInstanceAttributeValue", match="m9.huge"):
        account.ec2.modify_instance_attribute(InstanceId=ident, InstanceType={"Value": "m9.huge"})
    with refused("UnsupportedOperation"):
        account.ec2.modify_instance_attribute(InstanceId=ident, EbsOptimized={"Value": True})
    with refused("InvalidParameterValue"):
        account.ec2.modify_instance_attribute(InstanceId=ident, InstanceInitiatedShutdownBehavior={"Value": "explode"})
    with refused("InvalidParameterValue"):
        account.ec2.modify_instance_attribute(InstanceId=ident, Attribute="disableApiTermination", Value="perhaps")
    with refused("InvalidInstanceID.NotFound"):
        account.ec2.modify_instance_attribute(InstanceId="i-0123456789abcdef0", DisableApiTermination={"Value": True})
