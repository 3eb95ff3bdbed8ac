"""DescribeVolumes and DescribeVolumeStatus."""

import msgspec

from pileus.model.instance import Instance
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


def test_their_status_is_ok_until_their_host_is_silent(cloud: Cloud, account: Account) -> None:
    first, second = account.launch(2)
    volumes = account.ec2.describe_volumes()["Volumes"]
    statuses = account.ec2.describe_volume_status()["VolumeStatuses"]
    assert {item["VolumeId"] for item in statuses} == {volume["VolumeId"] for volume in volumes}
    assert {item["VolumeStatus"]["Status"] for item in statuses} == {"ok"}
    of_second = filtered("attachment-status.instance-id", second)
    (status,) = account.ec2.describe_volume_status(Filters=of_second)["VolumeStatuses"]
    details = {detail["Name"]: detail["Status"] for detail in status["VolumeStatus"]["Details"]}
    assert details == {"io-enabled": "passed", "io-performance": "not-applicable"}
    assert account.ec2.describe_volume_status(VolumeIds=[status["VolumeId"]])["VolumeStatuses"] == [status]
    with cloud.core.store.write() as tx:
        instance = tx.by_ec2(Instance, [first])[first]
        tx.assign(instance, msgspec.structs.replace(instance.assigned, host="silent"))
    unknown = filtered("volume-status.status", "insufficient-data")
    (status,) = account.ec2.describe_volume_status(Filters=unknown)["VolumeStatuses"]
    assert status["AttachmentStatuses"][0]["InstanceId"] == first


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
    with refused("InvalidVolume.NotFound"):
        account.ec2.describe_volume_status(VolumeIds=[ident])
    for ask in (account.ec2.describe_volumes, account.ec2.describe_volume_status):
        with refused("InvalidVolumeID.Malformed"):
            ask(VolumeIds=["disk"])
