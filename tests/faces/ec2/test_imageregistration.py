"""RegisterImage: further images of the bytes behind a snapshot, by a real client."""

from __future__ import annotations

from typing import Any

import pytest

from pileus.model.image import Image
from tests.faces.ec2.cloud import Account, Cloud, refused


@pytest.fixture
def snapshot(cloud: Cloud, account: Account) -> str:
    """The snapshot behind a private image of the account's."""
    return _snapshot(account, cloud.add_image(f"private-{account.name}", account.caller, public=False).ec2_id)


def _snapshot(account: Account, image: str) -> str:
    (shown,) = account.ec2.describe_images(ImageIds=[image])["Images"]
    return str(shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])


def _root(snapshot: str, device: str = "/dev/sda1", **disk: Any) -> list[Any]:
    return [{"DeviceName": device, "Ebs": {"SnapshotId": snapshot, **disk}}]


def test_an_image_of_a_snapshot_starts_instances(cloud: Cloud, account: Account, snapshot: str) -> None:
    # As OpenTofu's aws_ami and Packer's amazon-ebssurrogate send it.
    ident = account.ec2.register_image(
        Name="registered",
        Description="of a snapshot",
        Architecture="x86_64",
        VirtualizationType="hvm",
        RootDeviceName="/dev/sda1",
        EnaSupport=True,
        SriovNetSupport="simple",
        BlockDeviceMappings=[
            *_root(snapshot, VolumeSize=9, VolumeType="gp3", DeleteOnTermination=True),
            {"DeviceName": "/dev/sdb", "NoDevice": ""},
        ],
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]}],
    )["ImageId"]
    (image,) = account.ec2.describe_images(ImageIds=[ident])["Images"]
    assert (image["Name"], image["State"], image["Public"]) == ("registered", "available", False)
    assert image["Description"] == "of a snapshot"
    assert image["Tags"] == [{"Key": "a", "Value": "b"}]
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 9
    assert _snapshot(account, ident) != snapshot
    stranger = cloud.account()
    with refused("InvalidAMIID.NotFound"):
        stranger.launch(ImageId=ident)
    account.launch(ImageId=ident)
    (volume,) = account.ec2.describe_volumes()["Volumes"]
    assert volume["Size"] == 9


def test_an_image_outlives_the_one_that_it_was_made_of(cloud: Cloud, account: Account) -> None:
    first: Image = cloud.add_image(f"first-{account.name}", account.caller, public=False)
    mapping = _root(_snapshot(account, first.ec2_id))
    second = account.ec2.register_image(Name="second", BlockDeviceMappings=mapping)["ImageId"]
    account.ec2.deregister_image(ImageId=first.ec2_id)
    account.launch(ImageId=second)
    with refused("InvalidSnapshot.NotFound"):
        account.ec2.register_image(Name="third", BlockDeviceMappings=mapping)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"BlockDeviceMappings": []}, "InvalidBlockDeviceMapping"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}]}, "InvalidBlockDeviceMapping"),
        ({"BlockDeviceMappings": _root("snap-1")}, "InvalidSnapshotID.Malformed"),
        ({"BlockDeviceMappings": _root("snap-0123456789abcdef0")}, "InvalidSnapshot.NotFound"),
        ({"RootDeviceName": "/dev/sdz"}, "UnsupportedOperation"),
        ({"ImageLocation": "bucket/image.manifest.xml"}, "UnsupportedOperation"),
        ({"Architecture": "arm64"}, "UnsupportedOperation"),
        ({"VirtualizationType": "paravirtual"}, "UnsupportedOperation"),
        ({"BootMode": "uefi"}, "UnsupportedOperation"),
        ({"Name": "a%b"}, "InvalidAMIName.Malformed"),
    ],
)
def test_bad_requests(account: Account, snapshot: str, changes: dict[str, Any], code: str) -> None:
    with refused(code):
        account.ec2.register_image(**{"Name": "registered", "BlockDeviceMappings": _root(snapshot), **changes})
    assert "registered" not in {each["Name"] for each in account.ec2.describe_images(Owners=["self"])["Images"]}


def test_disks_beside_the_root_and_small_or_encrypted_ones_are_refused(account: Account, snapshot: str) -> None:
    root = _root(snapshot)
    for mappings, code in (
        ([*root, *_root(snapshot, "/dev/sdb")], "UnsupportedOperation"),
        ([*root, *root], "InvalidBlockDeviceMapping"),
        (_root(snapshot, Encrypted=True), "UnsupportedOperation"),
        (_root(snapshot, VolumeSize=-1), "InvalidBlockDeviceMapping"),
    ):
        with refused(code):
            account.ec2.register_image(Name="registered", BlockDeviceMappings=mappings)


def test_names_are_one_images(account: Account, snapshot: str) -> None:
    account.ec2.register_image(Name="registered", BlockDeviceMappings=_root(snapshot))
    with refused("InvalidAMIName.Duplicate"):
        account.ec2.register_image(Name="registered", BlockDeviceMappings=_root(snapshot))
