"""DescribeInstanceTopology."""

from __future__ import annotations

from typing import Any

from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def test_running_instances_share_nodes_with_their_own_project_alone(cloud: Cloud, account: Account) -> None:
    other = cloud.account()
    account.ec2.create_placement_group(GroupName="near")
    first, second, pending = *account.launch(), *account.launch(Placement={"GroupName": "near"}), *account.launch()
    (theirs,) = other.launch()
    for ident in (first, second, theirs):
        cloud.observe(ident)

    def describe(**asked: Any) -> Any:
        return account.ec2.describe_instance_topology(**asked)

    found = {each["InstanceId"]: each for each in describe()["Instances"]}
    assert set(found) == {first, second}
    assert found[first]["NetworkNodes"] == found[second]["NetworkNodes"]
    assert len(set(found[first]["NetworkNodes"])) == 3
    (foreign,) = other.ec2.describe_instance_topology()["Instances"]
    assert not set(foreign["NetworkNodes"]) & set(found[first]["NetworkNodes"])
    assert (found[second]["GroupName"], "GroupName" in found[first]) == ("near", False)
    for asked in ({"GroupNames": ["near"]}, {"InstanceIds": [second]}):
        assert [each["InstanceId"] for each in describe(**asked)["Instances"]] == [second]
    assert describe(Filters=filtered("instance-type", "m1.large"))["Instances"] == []
    assert len(describe(Filters=filtered("zone-id", found[first]["ZoneId"]))["Instances"]) == 2
    assert describe(InstanceIds=[pending])["Instances"] == []
    with refused("InvalidPlacementGroup.Unknown"):
        describe(GroupNames=["far"])
