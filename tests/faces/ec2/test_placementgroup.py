"""Placement groups, and RunInstances' Placement."""

import pytest

from pileus.model.host import Capacity
from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def test_made_listed_and_deleted(cloud: Cloud, account: Account) -> None:
    ec2 = account.ec2
    tags = [{"ResourceType": "placement-group", "Tags": [{"Key": "k", "Value": "v"}]}]
    made = ec2.create_placement_group(GroupName="near", TagSpecifications=tags)["PlacementGroup"]  # type: ignore[arg-type]
    assert (made["GroupName"], made["Strategy"], made["State"]) == ("near", "cluster", "available")
    assert made["GroupId"].startswith("pg-")
    assert cloud.last is not None
    assert b"<return>true</return>" in cloud.last.body
    apart = ec2.create_placement_group(GroupName="apart", Strategy="spread")["PlacementGroup"]
    assert (apart["Strategy"], apart["SpreadLevel"]) == ("spread", "host")
    found = ec2.describe_placement_groups()["PlacementGroups"]
    assert [group["GroupName"] for group in found] == ["near", "apart"]
    found = ec2.describe_placement_groups(Filters=filtered("strategy", "spread"))["PlacementGroups"]
    assert [group["GroupId"] for group in found] == [apart["GroupId"]]
    found = ec2.describe_placement_groups(Filters=filtered("tag:k", "v"))["PlacementGroups"]
    assert [group["Tags"] for group in found] == [[{"Key": "k", "Value": "v"}]]
    assert ec2.describe_tags()["Tags"][0]["ResourceType"] == "placement-group"
    ec2.delete_placement_group(GroupName="near")
    with refused("InvalidPlacementGroup.Unknown"):
        ec2.describe_placement_groups(GroupNames=["near"])
    with refused("InvalidPlacementGroup.Unknown"):
        ec2.delete_placement_group(GroupName="near")
    with refused("InvalidPlacementGroup.Duplicate"):
        ec2.create_placement_group(GroupName="apart", Strategy="cluster")
    with refused("UnsupportedOperation"):
        ec2.create_placement_group(GroupName="parts", Strategy="partition", PartitionCount=2)
    with refused("InvalidPlacementGroupId.Malformed"):
        ec2.describe_placement_groups(GroupIds=["pg-1"])


def test_an_instance_shows_its_group_and_holds_it(cloud: Cloud, account: Account) -> None:
    group = account.ec2.create_placement_group(GroupName="near")["PlacementGroup"]
    ids = account.launch(1, Placement={"GroupName": "near"}) + account.launch(
        1, Placement={"GroupId": group["GroupId"]}
    )
    plain = account.launch()[0]
    shown = account.ec2.describe_instances(Filters=filtered("placement-group-name", "near"))["Reservations"]
    placements = [each["Placement"] for one in shown for each in one["Instances"]]
    assert [(where["GroupName"], where["GroupId"]) for where in placements] == [("near", group["GroupId"])] * 2
    found = account.ec2.describe_instances(InstanceIds=[plain])["Reservations"][0]["Instances"][0]
    assert found["Placement"]["GroupName"] == ""
    with refused("InvalidPlacementGroup.InUse"):
        account.ec2.delete_placement_group(GroupName="near")
    account.ec2.terminate_instances(InstanceIds=ids)
    for ident in ids:
        cloud.end(ident)
    account.ec2.delete_placement_group(GroupName="near")


def test_a_second_instance_apart_needs_a_second_host(account: Account) -> None:
    account.ec2.create_placement_group(GroupName="apart", Strategy="spread")
    account.launch(1, Placement={"GroupName": "apart"})
    with refused("InsufficientInstanceCapacity", 500, "do not have sufficient"):
        account.launch(1, Placement={"GroupName": "apart"})


@pytest.mark.parametrize(
    ("placement", "code"),
    [
        ({"GroupName": "none"}, "InvalidPlacementGroup.Unknown"),
        ({"GroupId": "pg-00000000000000000"}, "InvalidPlacementGroup.Unknown"),
        ({"GroupId": "pg-1"}, "InvalidPlacementGroupId.Malformed"),
        ({"GroupName": "a", "GroupId": "pg-00000000000000000"}, "InvalidParameterCombination"),
        ({"AvailabilityZone": "mars-1a"}, "InvalidParameterValue"),
        ({"Tenancy": "dedicated"}, "UnsupportedOperation"),
        ({"Tenancy": "host"}, "UnsupportedOperation"),
        ({"Tenancy": "shared"}, "InvalidParameterValue"),
        ({"Tenancy": "host", "HostId": "h-00000000000000000"}, "InvalidHostID.NotFound"),
        ({"Tenancy": "dedicated", "HostId": "h-00000000000000000"}, "InvalidParameterCombination"),
        ({"Affinity": "host"}, "InvalidParameterCombination"),
        ({"PartitionNumber": 1}, "UnsupportedOperation"),
    ],
)
def test_what_cannot_be_had_is_refused_as_ec2_does(account: Account, placement: dict[str, object], code: str) -> None:
    with refused(code):
        account.launch(1, Placement=placement)


def test_the_message_of_a_full_cloud_names_no_host() -> None:
    full = Cloud(Capacity(memory=0))
    with refused("InsufficientInstanceCapacity", 500, "capacity in the zone you requested."):
        full.account().launch()
    full.core.store.close()
