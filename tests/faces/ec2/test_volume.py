"""DescribeVolumes."""

from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def test_root_disks(account: Account) -> None:
    first, second = account.launch(2)
    ident = account.show(first)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    (volume,) = account.ec2.describe_volumes(VolumeIds=[ident])["Volumes"]
    assert (volume["Size"], volume["State"]) == (1, "in-use")
    assert volume["Attachments"][0]["InstanceId"] == first
    found = account.ec2.describe_volumes(Filters=filtered("attachment.instance-id", second))["Volumes"]
    assert [v["Attachments"][0]["InstanceId"] for v in found] == [second]
    assert len(account.ec2.describe_volumes(Filters=filtered("size", "1"))["Volumes"]) == 2


def test_they_go_with_their_instances(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    account.ec2.terminate_instances(InstanceIds=[ident])
    assert account.ec2.describe_volumes()["Volumes"][0]["Attachments"][0]["State"] == "detaching"
    cloud.end(ident)
    assert account.ec2.describe_volumes()["Volumes"] == []


def test_bad_ids(cloud: Cloud, account: Account) -> None:
    other = cloud.account()
    other.launch()
    ident = other.ec2.describe_volumes()["Volumes"][0]["VolumeId"]
    with refused("InvalidVolume.NotFound"):
        account.ec2.describe_volumes(VolumeIds=[ident])
    with refused("InvalidVolumeID.Malformed"):
        account.ec2.describe_volumes(VolumeIds=["disk"])
