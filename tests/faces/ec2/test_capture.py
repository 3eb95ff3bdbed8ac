"""CreateImage and DeregisterImage: images of instances' root disks, pending until their bytes are there."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from pileus.model.host import Host, ProviderLimits
from pileus.model.image import Image, Seen
from pileus.model.noun import SeenFault
from tests.faces.ec2.cloud import Account, Cloud, filtered, refused

DIGEST = hashlib.sha256(b"captured").hexdigest()


def running(cloud: Cloud, account: Account, **more: Any) -> str:
    (ident,) = account.launch(**more)
    cloud.observe(ident)
    return ident


def saw(cloud: Cloud, ident: str, **seen: Any) -> None:
    with cloud.core.store.write() as tx:
        tx.see(tx.by_ec2(Image, [ident])[ident], Seen(**seen))


def stored(cloud: Cloud, ident: str) -> None:
    """Have the bytes of a capture be there."""
    saw(cloud, ident, captured=True, digest=DIGEST, size=9, virtual_size=3 << 30, stored=True)


def shown(account: Account, ident: str) -> Any:
    (image,) = account.ec2.describe_images(ImageIds=[ident])["Images"]
    return image


def test_an_image_is_pending_until_its_bytes_are_there(cloud: Cloud, account: Account) -> None:
    source = running(cloud, account)
    tags: Any = [{"ResourceType": "image", "Tags": [{"Key": "for", "Value": "keeps"}]}]
    ident = account.ec2.create_image(InstanceId=source, Name="mine", Description="d", TagSpecifications=tags)["ImageId"]
    image = shown(account, ident)
    assert (image["State"], image["Name"], image["Description"]) == ("pending", "mine", "d")
    assert (image["SourceInstanceId"], image["OwnerId"], image["Public"]) == (source, account.number, False)
    assert image["Tags"] == [{"Key": "for", "Value": "keeps"}]
    assert "StateReason" not in image
    with refused("InvalidAMIID.Unavailable", match="pending"):
        account.launch(ImageId=ident)
    stored(cloud, ident)
    assert shown(account, ident)["State"] == "available"
    (launched,) = account.launch(ImageId=ident)
    assert account.show(launched)["ImageId"] == ident


def test_an_image_is_as_its_instances_own_one(cloud: Cloud, account: Account) -> None:
    source = running(cloud, account, ImageId=cloud.large.ec2_id, InstanceType="m1.small")
    ident = account.ec2.create_image(InstanceId=source, Name="larger")["ImageId"]
    stored(cloud, ident)
    image = shown(account, ident)
    volume = account.show(source)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    (disk,) = account.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == disk["Size"]
    assert image["Architecture"] == "x86_64"
    with refused("InvalidParameterCombination"):
        account.launch(ImageId=ident, InstanceType="m1.tiny")


def test_a_capture_that_cannot_be_made_says_why(cloud: Cloud, account: Account) -> None:
    ident = account.ec2.create_image(InstanceId=running(cloud, account), Name="unlucky")["ImageId"]
    saw(cloud, ident, fault=SeenFault(code="HostDiskFull", message="no room"))
    image = shown(account, ident)
    assert (image["State"], image["StateReason"]["Message"]) == ("pending", "no room")
    saw(cloud, ident, fault=SeenFault(code="SourceGone", message="it was gone", permanent=True))
    image = shown(account, ident)
    assert image["State"] == "failed"
    assert image["StateReason"] == {"Code": "Server.SourceGone", "Message": "it was gone"}
    with refused("InvalidAMIID.Unavailable", match="failed"):
        account.launch(ImageId=ident)
    for name, value in (("state", "failed"), ("state-reason-code", "Server.SourceGone")):
        found = account.ec2.describe_images(Filters=filtered(name, value), Owners=["self"])["Images"]
        assert [each["ImageId"] for each in found] == [ident]
    account.ec2.deregister_image(ImageId=ident)


def test_a_name_is_one_images(cloud: Cloud, account: Account) -> None:
    source = running(cloud, account)
    ident = account.ec2.create_image(InstanceId=source, Name="once")["ImageId"]
    with refused("InvalidAMIName.Duplicate", match="once"):
        account.ec2.create_image(InstanceId=source, Name="once")
    account.ec2.deregister_image(ImageId=ident)
    again = account.ec2.create_image(InstanceId=source, Name="once")["ImageId"]
    assert again != ident
    other = cloud.account()
    other.ec2.create_image(InstanceId=running(cloud, other), Name="once")


@pytest.mark.parametrize("name", ["söhne", "semi;colon", "tab\tbed"])
def test_names_are_of_amazons_form(cloud: Cloud, account: Account, name: str) -> None:
    with refused("InvalidAMIName.Malformed"):
        account.ec2.create_image(InstanceId=running(cloud, account), Name=name)


def test_of_what_an_image_is_made(cloud: Cloud, account: Account) -> None:
    with refused("InvalidInstanceID.Malformed"):
        account.ec2.create_image(InstanceId="x-1", Name="what")
    with refused("InvalidInstanceID.NotFound"):
        account.ec2.create_image(InstanceId="i-0123456789abcdef0", Name="what")
    (new,) = account.launch()
    with refused("IncorrectInstanceState", match="never run"):
        account.ec2.create_image(InstanceId=new, Name="what")
    with refused("InvalidInstanceID.NotFound"):
        cloud.account().ec2.create_image(InstanceId=new, Name="what")
    cloud.observe(new)
    account.ec2.terminate_instances(InstanceIds=[new])
    with refused("IncorrectInstanceState", match="is to go"):
        account.ec2.create_image(InstanceId=new, Name="what")
    for params in ({"InstanceId": new}, {"Name": "what"}):
        answer = account.post(params={"Action": "CreateImage", **params})
        assert b"MissingParameter" in answer.body


def test_only_a_root_disk_as_it_is(cloud: Cloud, account: Account) -> None:
    source = running(cloud, account)
    mappings: Any
    for mappings in (
        [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 40}}],
        [{"DeviceName": "/dev/vda", "Ebs": {"SnapshotId": "snap-1"}}],
        [{"DeviceName": "/dev/vda", "NoDevice": ""}],
        [{"DeviceName": "/dev/sdb", "Ebs": {"DeleteOnTermination": True}}],
        [{"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}],
    ):
        with refused("UnsupportedOperation"):
            account.ec2.create_image(InstanceId=source, Name="mapped", BlockDeviceMappings=mappings)
    mappings = [
        {"DeviceName": "/dev/vda", "Ebs": {"DeleteOnTermination": True, "VolumeType": "gp3"}},
        {"DeviceName": "/dev/sdb", "NoDevice": ""},
    ]
    account.ec2.create_image(InstanceId=source, Name="mapped", BlockDeviceMappings=mappings)
    with refused("InvalidParameterValue"):
        volume: Any = [{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}]
        account.ec2.create_image(InstanceId=source, Name="tagged", TagSpecifications=volume)
    with refused("InvalidParameterValue"):
        account.ec2.create_image(InstanceId=source, Name="long", Description="d" * 256)


def test_a_host_that_captures_nothing_refuses_early(cloud: Cloud, account: Account) -> None:
    with cloud.undone():
        source = running(cloud, account)
        with cloud.core.store.write() as tx:
            (host,) = tx.list(Host)
            tx.see(host, msgspec.structs.replace(host.seen, limits=ProviderLimits()))
        with refused("UnsupportedOperation", match="machine's disk"):
            account.ec2.create_image(InstanceId=source, Name="nothing")


def test_a_dry_run_makes_nothing(cloud: Cloud, account: Account) -> None:
    source = running(cloud, account)
    with refused("DryRunOperation", 412):
        account.ec2.create_image(InstanceId=source, Name="perhaps", DryRun=True)
    assert account.ec2.describe_images(Owners=["self"])["Images"] == []


def test_no_reboot_is_passed_on(cloud: Cloud, account: Account) -> None:
    source = running(cloud, account)
    for name, flag in (("left-alone", True), ("rebooted", False)):
        ident = account.ec2.create_image(InstanceId=source, Name=name, NoReboot=flag)["ImageId"]
        with cloud.core.store.read() as tx:
            assert tx.by_ec2(Image, [ident])[ident].wanted.reboot is not flag


def test_deregistered_at_any_moment(cloud: Cloud, account: Account) -> None:
    source = running(cloud, account)
    for number in range(2):
        ident = account.ec2.create_image(InstanceId=source, Name=f"short-lived-{number}")["ImageId"]
        if number:
            stored(cloud, ident)
        assert account.ec2.deregister_image(ImageId=ident)["Return"] is True
        with refused("InvalidAMIID.NotFound"):
            account.ec2.describe_images(ImageIds=[ident])
        with refused("InvalidAMIID.NotFound"):
            account.ec2.deregister_image(ImageId=ident)
        with refused("InvalidAMIID.NotFound"):
            account.launch(ImageId=ident)
    assert account.ec2.describe_images(Owners=["self"])["Images"] == []


def test_whose_images_are_deregistered(cloud: Cloud, account: Account) -> None:
    with refused("InvalidAMIID.Malformed"):
        account.ec2.deregister_image(ImageId="tiny")
    with refused("InvalidAMIID.NotFound"):
        account.ec2.deregister_image(ImageId="ami-0123456789abcdef0")
    with refused("InvalidAMIID.NotFound"):
        account.ec2.deregister_image(ImageId=cloud.image.ec2_id)  # it is public, and another's
    own = cloud.add_image("imported", account.caller, public=False)
    account.ec2.deregister_image(ImageId=own.ec2_id)
    assert b"MissingParameter" in account.post(Action="DeregisterImage").body
