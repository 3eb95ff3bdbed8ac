"""Snapshots: the sources of images' disks, by a real client."""

from __future__ import annotations

from typing import Any

from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def snapshot_of(account: Account, image: str) -> str:
    (shown,) = account.ec2.describe_images(ImageIds=[image])["Images"]
    return shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def test_each_image_has_one(cloud: Cloud, account: Account) -> None:
    ident = snapshot_of(account, cloud.large.ec2_id)
    (found,) = account.ec2.describe_snapshots(SnapshotIds=[ident])["Snapshots"]
    assert (found["SnapshotId"], found["VolumeSize"], found["State"]) == (ident, 3, "completed")
    assert (found["OwnerAlias"], found["Progress"]) == ("amazon", "100%")
    (shown,) = account.ec2.describe_images(Filters=filtered("block-device-mapping.snapshot-id", ident))["Images"]
    assert shown["ImageId"] == cloud.large.ec2_id
    own = cloud.add_image("own", account.caller, public=False)
    (mine,) = account.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert mine["SnapshotId"] == snapshot_of(account, own.ec2_id)
    assert ident in {each["SnapshotId"] for each in account.ec2.describe_snapshots(OwnerIds=["amazon"])["Snapshots"]}
    assert account.ec2.describe_snapshots(Filters=filtered("volume-size", "4"))["Snapshots"] == []
    account.launch()
    (volume,) = account.ec2.describe_volumes()["Volumes"]
    assert volume["SnapshotId"] == snapshot_of(account, cloud.image.ec2_id)


def test_a_capture_has_one_with_its_tags(cloud: Cloud, account: Account) -> None:
    (source,) = account.launch()
    cloud.observe(source)
    tags: Any = [
        {"ResourceType": "image", "Tags": [{"Key": "of", "Value": "image"}]},
        {"ResourceType": "snapshot", "Tags": [{"Key": "of", "Value": "snapshot"}]},
    ]
    image = account.ec2.create_image(InstanceId=source, Name="mine", TagSpecifications=tags)["ImageId"]
    (found,) = account.ec2.describe_snapshots(Filters=filtered("tag:of", "snapshot"))["Snapshots"]
    assert (found["SnapshotId"], found["State"]) == (snapshot_of(account, image), "pending")
    assert found["Description"] == f"Created by CreateImage({source}) for {image}"
    (tag,) = account.ec2.describe_tags(Filters=filtered("resource-type", "snapshot"))["Tags"]
    assert (tag["ResourceId"], tag["Value"]) == (found["SnapshotId"], "snapshot")


def test_a_launch_may_name_its_images_own(cloud: Cloud, account: Account) -> None:
    def launch(snapshot: str) -> None:
        account.launch(BlockDeviceMappings=[{"DeviceName": "/dev/vda", "Ebs": {"SnapshotId": snapshot}}])

    launch(snapshot_of(account, cloud.image.ec2_id))
    with refused("UnsupportedOperation", match="SnapshotId"):
        launch(snapshot_of(account, cloud.large.ec2_id))


def test_refusals(cloud: Cloud, account: Account) -> None:
    other = snapshot_of(account, cloud.add_image("private", account.caller, public=False).ec2_id)
    stranger = cloud.account()
    for ident, code in (("snap-" + "0" * 17, "InvalidSnapshot.NotFound"), (other, "InvalidSnapshot.NotFound")):
        with refused(code, match=ident):
            stranger.ec2.describe_snapshots(SnapshotIds=[ident])
    with refused("InvalidSnapshotID.Malformed"):
        stranger.ec2.describe_snapshots(SnapshotIds=["mine"])
    with refused("InvalidUserID.Malformed"):
        stranger.ec2.describe_snapshots(OwnerIds=["me"])


def test_an_image_takes_its_snapshot_with_it(cloud: Cloud, account: Account) -> None:
    """OpenTofu deletes the snapshot of an image that it deregistered, and takes every error for a failure."""
    image = cloud.add_image("own", account.caller, public=False).ec2_id
    ident = snapshot_of(account, image)
    with refused("InvalidSnapshot.InUse", match=image):
        account.ec2.delete_snapshot(SnapshotId=ident)
    account.ec2.deregister_image(ImageId=image)
    account.ec2.delete_snapshot(SnapshotId=ident)
    with refused("InvalidSnapshot.NotFound"):
        cloud.account().ec2.delete_snapshot(SnapshotId=ident)
    with refused("InvalidSnapshot.NotFound"):
        account.ec2.delete_snapshot(SnapshotId="snap-" + "0" * 17)
    with refused("InvalidSnapshotID.Malformed"):
        account.ec2.delete_snapshot(SnapshotId="mine")
