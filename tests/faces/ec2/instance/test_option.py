"""Options of an instance that have actions of their own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def options(account: Account, ident: str) -> Any:
    return account.show(ident)["MetadataOptions"]


def test_metadata_options_are_those_of_the_launch_and_change_alone(cloud: Cloud, account: Account) -> None:
    (ident,) = account.launch(MetadataOptions={"HttpPutResponseHopLimit": 2, "InstanceMetadataTags": "disabled"})
    cloud.observe(ident)
    expected = {
        "State": "applied",
        "HttpTokens": "optional",
        "HttpPutResponseHopLimit": 2,
        "HttpEndpoint": "enabled",
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": "disabled",
    }
    assert options(account, ident) == expected
    for member, value in (
        ("HttpTokens", "required"),
        ("HttpEndpoint", "disabled"),
        ("HttpPutResponseHopLimit", 64),
        ("HttpProtocolIpv6", "enabled"),
    ):
        change: Any = {member: value}
        answer = account.ec2.modify_instance_metadata_options(InstanceId=ident, **change)
        expected |= change
        assert answer["InstanceMetadataOptions"] == expected | {"State": "pending"}
        assert options(account, ident) == expected
    for name, text in (
        ("http-endpoint", "disabled"),
        ("http-put-response-hop-limit", "64"),
        ("http-tokens", "required"),
        ("http-protocol-ipv6", "enabled"),
    ):
        found = account.ec2.describe_instances(Filters=filtered(f"metadata-options.{name}", text))
        assert found["Reservations"][0]["Instances"][0]["InstanceId"] == ident


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "InvalidParameterCombination"),
        ({"HttpPutResponseHopLimit": 65}, "InvalidParameterValue"),
        ({"HttpTokens": "never"}, "InvalidParameterValue"),
        ({"HttpProtocolIpv6": "sometimes"}, "InvalidParameterValue"),
    ],
)
def test_bad_metadata_options(account: Account, change: dict[str, Any], code: str) -> None:
    (ident,) = account.launch()
    with refused(code):
        account.ec2.modify_instance_metadata_options(InstanceId=ident, **change)
    assert options(account, ident)["HttpTokens"] == "optional"


def stopped(cloud: Cloud, account: Account, **asked: Any) -> str:
    ident = account.launch(**asked)[0]
    cloud.observe(ident)
    account.ec2.stop_instances(InstanceIds=[ident])
    cloud.observe(ident, running=False)
    return ident


def test_a_stopped_instance_joins_a_group_and_leaves_it(cloud: Cloud, account: Account) -> None:
    group = account.ec2.create_placement_group(GroupName="near")["PlacementGroup"]
    ident, modify = stopped(cloud, account), account.ec2.modify_instance_placement
    assert modify(InstanceId=ident, GroupName="near")["Return"]
    placement = account.show(ident)["Placement"]
    assert (placement["GroupName"], placement["GroupId"]) == ("near", group["GroupId"])
    with refused("InvalidPlacementGroup.InUse"):
        account.ec2.delete_placement_group(GroupName="near")
    modify(InstanceId=ident, GroupName="")
    assert account.show(ident)["Placement"]["GroupName"] == ""
    modify(InstanceId=ident, GroupId=group["GroupId"])
    assert account.show(ident)["Placement"]["GroupName"] == "near"


def test_the_host_of_another_member_is_not_for_a_spread_group(cloud: Cloud, account: Account) -> None:
    account.ec2.create_placement_group(GroupName="apart", Strategy="spread")
    first, second = (stopped(cloud, account) for _ in range(2))
    account.ec2.modify_instance_placement(InstanceId=first, GroupName="apart")
    with refused("InsufficientInstanceCapacity", 500, match=second):
        account.ec2.modify_instance_placement(InstanceId=second, GroupName="apart")
    account.ec2.modify_instance_placement(InstanceId=first, GroupName="apart")
    assert account.show(second)["Placement"]["GroupName"] == ""


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "InvalidParameterCombination"),
        ({"GroupName": "a", "GroupId": "pg-0123456789abcdef0"}, "InvalidParameterCombination"),
        ({"GroupName": "unknown"}, "InvalidPlacementGroup.Unknown"),
        ({"GroupId": "unknown"}, "InvalidPlacementGroupId.Malformed"),
        ({"HostId": "h-0123456789abcdef0"}, "InvalidHostID.NotFound"),
        ({"GroupName": "", "Tenancy": "dedicated"}, "UnsupportedOperation"),
        ({"GroupName": "", "PartitionNumber": 1}, "UnsupportedOperation"),
        ({"GroupName": ""}, "IncorrectInstanceState"),
    ],
)
def test_bad_placements(account: Account, change: dict[str, Any], code: str) -> None:
    with refused(code):
        account.ec2.modify_instance_placement(InstanceId=account.launch()[0], **change)


def test_credits_are_standard_and_nothing_else(account: Account) -> None:
    first, second = account.launch(2)
    asked: Any = [
        {"InstanceId": first, "CpuCredits": "standard"},
        {"InstanceId": second, "CpuCredits": "unlimited"},
        {"InstanceId": "first", "CpuCredits": "standard"},
    ]
    answer = account.ec2.modify_instance_credit_specification(InstanceCreditSpecifications=asked)
    assert answer["SuccessfulInstanceCreditSpecifications"] == [{"InstanceId": first}]
    codes = {each["InstanceId"]: each["Error"]["Code"] for each in answer["UnsuccessfulInstanceCreditSpecifications"]}
    assert codes == {second: "InstanceCreditSpecification.NotSupported", "first": "InvalidInstanceID.Malformed"}
    with refused("InvalidParameterValue"):
        account.ec2.modify_instance_credit_specification(
            InstanceCreditSpecifications=[{"InstanceId": first, "CpuCredits": "many"}]
        )


def test_monitoring_is_off_and_stays_so(account: Account) -> None:
    (ident,) = account.launch()
    (shown,) = account.ec2.unmonitor_instances(InstanceIds=[ident])["InstanceMonitorings"]
    assert (
        shown
        == {"InstanceId": ident, "Monitoring": {"State": "disabled"}}
        == {
            "InstanceId": ident,
            "Monitoring": account.show(ident)["Monitoring"],
        }
    )
    with refused("UnsupportedOperation"):
        account.ec2.monitor_instances(InstanceIds=[ident])


def test_a_linux_guest_has_no_password(account: Account) -> None:
    (ident,) = account.launch()
    answer = account.ec2.get_password_data(InstanceId=ident)
    assert (answer["InstanceId"], answer["PasswordData"]) == (ident, "")


def test_kernel_and_ram_disk_are_the_images_own(account: Account) -> None:
    (ident,) = account.launch()
    for name in ("kernel", "ramdisk"):
        attribute: Any = name
        account.ec2.reset_instance_attribute(InstanceId=ident, Attribute=attribute)
    with refused("UnsupportedOperation"):
        account.ec2.reset_instance_attribute(InstanceId=ident, Attribute="sourceDestCheck")
