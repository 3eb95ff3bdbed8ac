"""RunInstances: what is launched, and what is refused without leaving anything behind."""

import base64
from typing import Any

import pytest

from pileus.model.host import Capacity
from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.model.volume import Volume
from tests.faces.ec2.cloud import Account, Cloud, refused

TAGS = [
    {"ResourceType": kind, "Tags": [{"Key": "Name", "Value": f"my {kind}"}]}
    for kind in ("instance", "volume", "network-interface")
]


def left_behind(account: Account) -> dict[str, Any]:
    """Return what the project has and uses, and all claims there are."""
    project = account.caller.project
    with account.cloud.core.store.read() as tx:
        usage = tx.usage(f"project:{project}")
        return {
            "nouns": [noun.uuid for cls in (Instance, Port, Volume) for noun in tx.list(cls, project=project)],
            "usage": {resource: used for (_, resource), used in usage.items()},
            "claims": len(tx.claims()),
        }


def test_everything_that_can_be_asked(cloud: Cloud, account: Account) -> None:
    account.ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    group = account.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    subnet = account.ec2.describe_subnets()["Subnets"][0]
    made = account.run(
        KeyName="mine",
        SecurityGroupIds=[group],
        SubnetId=subnet["SubnetId"],
        PrivateIpAddress="172.31.0.77",
        Placement={"AvailabilityZone": "us-east-1a", "Tenancy": "default"},
        UserData="#!/bin/sh\necho hello\n",
        TagSpecifications=TAGS,
        ClientToken="once",
        DisableApiTermination=True,
        InstanceInitiatedShutdownBehavior="terminate",
        BlockDeviceMappings=[{"DeviceName": "/dev/vda", "Ebs": {"VolumeSize": 9, "VolumeType": "gp3"}}],
        MetadataOptions={"HttpTokens": "required"},
        Monitoring={"Enabled": False},
        EbsOptimized=False,
        CreditSpecification={"CpuCredits": "standard"},
        PrivateDnsNameOptions={"HostnameType": "ip-name", "EnableResourceNameDnsARecord": False},
    )
    assert made["OwnerId"] == account.number
    (instance,) = made["Instances"]
    assert instance["State"] == {"Code": 0, "Name": "pending"}
    assert instance["StateReason"] == {"Code": "pending", "Message": "pending"}
    assert instance["KeyName"] == "mine"
    assert instance["PrivateIpAddress"] == "172.31.0.77"
    assert instance["PrivateDnsName"] == "ip-172-31-0-77.internal"
    assert instance["SubnetId"] == subnet["SubnetId"]
    assert instance["VpcId"] == subnet["VpcId"]
    assert instance["SecurityGroups"] == [{"GroupId": group, "GroupName": "web"}]
    assert instance["Placement"]["AvailabilityZone"] == "us-east-1a"
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["ClientToken"] == "once"
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags == {
        "Name": "my instance",
        "aws:pileus:address": instance["PublicIpAddress"],
        "aws:pileus:login": "root",
    }
    (volume,) = account.ec2.describe_volumes()["Volumes"]
    assert (volume["Size"], volume["VolumeType"]) == (9, "gp3")
    assert volume["Tags"] == [{"Key": "Name", "Value": "my volume"}]
    (port,) = account.ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert port["TagSet"] == [{"Key": "Name", "Value": "my network-interface"}]
    asked = account.ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
    assert base64.b64decode(asked["UserData"]["Value"]) == b"#!/bin/sh\necho hello\n"


def test_least_is_enough(account: Account) -> None:
    made = account.ec2.run_instances(ImageId=account.cloud.image.ec2_id, MinCount=1, MaxCount=1)
    (instance,) = made["Instances"]
    assert instance["InstanceType"] == "m1.small"
    assert instance["SecurityGroups"][0]["GroupName"] == "default"
    assert "KeyName" not in instance
    assert account.ec2.describe_volumes()["Volumes"][0]["Size"] == 4


def test_several_are_one_reservation(account: Account) -> None:
    ids = account.launch(3)
    (reservation,) = account.ec2.describe_instances()["Reservations"]
    assert [i["InstanceId"] for i in reservation["Instances"]] == ids
    assert [i["AmiLaunchIndex"] for i in reservation["Instances"]] == [0, 1, 2]
    assert len({i["PrivateIpAddress"] for i in reservation["Instances"]}) == 3
    account.launch(1)
    assert len(account.ec2.describe_instances()["Reservations"]) == 2


def test_root_disk_by_amazons_names(account: Account) -> None:
    for name in ("/dev/vda", "/dev/sda1", "/dev/xvda"):
        account.launch(BlockDeviceMappings=[{"DeviceName": name, "Ebs": {"VolumeSize": 5}}])
    assert {v["Size"] for v in account.ec2.describe_volumes()["Volumes"]} == {5}


def test_network_interface_form(account: Account) -> None:
    group = account.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    subnet = account.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface: dict[str, Any] = {
        "DeviceIndex": 0,
        "SubnetId": subnet,
        "Groups": [group],
        "PrivateIpAddress": "172.31.1.1",
        "AssociatePublicIpAddress": True,
        "DeleteOnTermination": True,
        "Description": "the front",
    }
    shown = account.show(account.launch(NetworkInterfaces=[interface])[0])
    assert shown["NetworkInterfaces"][0]["Description"] == "the front"
    assert (shown["SubnetId"], shown["PrivateIpAddress"]) == (subnet, "172.31.1.1")
    assert shown["SecurityGroups"] == [{"GroupId": group, "GroupName": "web"}]
    del interface["PrivateIpAddress"]
    addresses = [{"Primary": True, "PrivateIpAddress": "172.31.1.2"}]
    shown = account.show(account.launch(NetworkInterfaces=[{**interface, "PrivateIpAddresses": addresses}])[0])
    assert shown["PrivateIpAddress"] == "172.31.1.2"


def test_a_launch_without_a_public_address(account: Account) -> None:
    interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": False}
    shown = account.show(account.launch(NetworkInterfaces=[interface])[0])
    assert "PublicIpAddress" not in shown
    assert shown["PublicDnsName"] == ""
    assert "Association" not in shown["NetworkInterfaces"][0]


def test_groups_by_name(account: Account) -> None:
    group = account.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    shown = account.show(account.launch(SecurityGroups=["web", "default"])[0])
    assert {g["GroupName"] for g in shown["SecurityGroups"]} == {"web", "default"}
    assert group in {g["GroupId"] for g in shown["NetworkInterfaces"][0]["Groups"]}


def test_wrapped_user_data(account: Account) -> None:
    """Older clients break base64 into lines."""
    data = base64.encodebytes(b"x" * 500).decode()
    response = account.post(
        Action="RunInstances", ImageId=account.cloud.image.ec2_id, MinCount="1", MaxCount="1", UserData=data
    )
    assert response.status == 200


def test_same_token_is_the_same_launch(account: Account) -> None:
    first = account.launch(2, ClientToken="t")
    assert account.launch(2, ClientToken="t") == first
    with refused("IdempotentParameterMismatch"):
        account.launch(3, ClientToken="t")
    with refused("IdempotentParameterMismatch"):
        account.launch(2, ClientToken="t", InstanceType="m1.small")
    assert len(account.ec2.describe_volumes()["Volumes"]) == 2
    assert account.cloud.account().launch(2, ClientToken="t") != first


def test_token_outlives_the_instances(cloud: Cloud, account: Account) -> None:
    (ident,) = account.launch(ClientToken="t")
    cloud.end(ident)
    with refused("IdempotentInstanceTerminated"):
        account.launch(ClientToken="t")
    shown = [each for group in account.ec2.describe_instances()["Reservations"] for each in group["Instances"]]
    assert [(each["InstanceId"], each["State"]["Name"]) for each in shown] == [(ident, "terminated")]
    with refused("IdempotentParameterMismatch"):
        account.launch(2, ClientToken="t")


def test_a_token_whose_instances_are_in_part_terminated_shows_them(cloud: Cloud, account: Account) -> None:
    first, second = account.launch(2, ClientToken="t")
    cloud.end(first)
    assert account.launch(2, ClientToken="t") == [first, second]


def test_dry_run(account: Account) -> None:
    before = left_behind(account)
    with refused("DryRunOperation", 412):
        account.launch(DryRun=True)
    with refused("InvalidAMIID.NotFound"):
        account.launch(DryRun=True, ImageId="ami-" + "0" * 17)
    assert left_behind(account) == before


INTERFACE: dict[str, Any] = {"DeviceIndex": 0}
ROOT = "/dev/vda"

BAD: list[tuple[dict[str, Any], str]] = [
    ({"ImageId": ""}, "MissingParameter"),
    ({"ImageId": "tiny"}, "InvalidAMIID.Malformed"),
    ({"ImageId": "ami-" + "0" * 17}, "InvalidAMIID.NotFound"),
    ({"InstanceType": "m5.24xlarge"}, "InvalidParameterValue"),
    ({"InstanceType": ""}, "InvalidParameterValue"),
    ({"KeyName": "none"}, "InvalidKeyPair.NotFound"),
    ({"least": 0}, "InvalidParameterValue"),
    ({"least": 2, "most": 1}, "InvalidParameterValue"),
    ({"least": -1, "most": -1}, "InvalidParameterValue"),
    ({"most": 1001}, "InvalidParameterValue"),
    ({"SecurityGroupIds": ["web"]}, "InvalidGroupId.Malformed"),
    ({"SecurityGroupIds": ["sg-" + "0" * 17]}, "InvalidGroup.NotFound"),
    ({"SecurityGroups": ["none"]}, "InvalidGroup.NotFound"),
    ({"SubnetId": "subnet-" + "0" * 17}, "InvalidSubnetID.NotFound"),
    ({"SubnetId": "mine"}, "InvalidSubnetID.Malformed"),
    ({"SubnetId": "subnet-" + "0" * 17, "SecurityGroups": ["default"]}, "InvalidParameterCombination"),
    ({"PrivateIpAddress": "10.0.0.1"}, "InvalidParameterValue"),
    ({"PrivateIpAddress": "172.31.0.1"}, "InvalidParameterValue"),
    ({"PrivateIpAddress": "here"}, "InvalidParameterValue"),
    ({"MetadataOptions": {"HttpPutResponseHopLimit": 0}}, "InvalidParameterValue"),
    ({"MetadataOptions": {"HttpPutResponseHopLimit": 65}}, "InvalidParameterValue"),
    ({"PrivateIpAddress": "172.31.0.9", "most": 2}, "InvalidParameterCombination"),
    ({"Placement": {"AvailabilityZone": "us-west-2a"}}, "InvalidParameterValue"),
    ({"Placement": {"Tenancy": "dedicated"}}, "UnsupportedOperation"),
    ({"Placement": {"GroupName": "g"}}, "InvalidPlacementGroup.Unknown"),
    ({"UserData": "x" * 16385}, "InvalidParameterValue"),
    ({"ClientToken": "t" * 65}, "InvalidParameterValue"),
    ({"TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "a"}]}]}, "InvalidParameterValue"),
    ({"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "aws:x"}]}]}, "InvalidParameterValue"),
    ({"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Value": "a"}]}]}, "MissingParameter"),
    (
        {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a"}]} for _ in range(2)]},
        "InvalidParameterValue",
    ),
    ({"BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1}}]}, "UnsupportedOperation"),
    ({"BlockDeviceMappings": [{"DeviceName": ROOT, "NoDevice": ""}]}, "UnsupportedOperation"),
    ({"BlockDeviceMappings": [{"DeviceName": ROOT, "Ebs": {"Encrypted": True}}]}, "UnsupportedOperation"),
    (
        {"BlockDeviceMappings": [{"DeviceName": ROOT, "Ebs": {"DeleteOnTermination": False}}]},
        "UnsupportedOperation",
    ),
    ({"BlockDeviceMappings": [{"DeviceName": ROOT, "Ebs": {"VolumeSize": 0}}]}, "InvalidParameterValue"),
    ({"BlockDeviceMappings": [{"DeviceName": ROOT, "Ebs": {"VolumeSize": 2**31 - 1}}]}, "InvalidParameterValue"),
    (
        {"BlockDeviceMappings": [{"DeviceName": ROOT, "Ebs": {"VolumeSize": 2}} for _ in range(2)]},
        "InvalidBlockDeviceMapping",
    ),
    ({"BlockDeviceMappings": [{"Ebs": {"VolumeSize": 1}}]}, "MissingParameter"),
    ({"NetworkInterfaces": [{"SubnetId": "subnet-" + "0" * 17}]}, "InvalidParameterValue"),
    ({"NetworkInterfaces": [{"DeviceIndex": 1}]}, "InvalidParameterValue"),
    ({"NetworkInterfaces": [INTERFACE, {"DeviceIndex": 0}]}, "InvalidParameterValue"),
    ({"NetworkInterfaces": [INTERFACE, {"DeviceIndex": 4}]}, "InvalidParameterValue"),
    ({"NetworkInterfaces": [{"DeviceIndex": index} for index in range(5)]}, "AttachmentLimitExceeded"),
    (
        {"NetworkInterfaces": [{**INTERFACE, "AssociatePublicIpAddress": True}, {"DeviceIndex": 1}]},
        "InvalidParameterCombination",
    ),
    (
        {"NetworkInterfaces": [INTERFACE, {"DeviceIndex": 1, "NetworkInterfaceId": "eni-" + "0" * 17}]},
        "InvalidNetworkInterfaceID.NotFound",
    ),
    ({"NetworkInterfaces": [{**INTERFACE, "NetworkInterfaceId": "eth0"}]}, "InvalidNetworkInterfaceId.Malformed"),
    ({"NetworkInterfaces": [{**INTERFACE, "Ipv6AddressCount": 1}]}, "InvalidParameterValue"),
    ({"NetworkInterfaces": [{**INTERFACE, "Description": "x" * 256}]}, "InvalidParameterValue"),
    ({"NetworkInterfaces": [INTERFACE], "SubnetId": "subnet-1"}, "InvalidParameterCombination"),
    ({"NetworkInterfaces": [INTERFACE], "SecurityGroupIds": ["sg-1"]}, "InvalidParameterCombination"),
    ({"NetworkInterfaces": [INTERFACE], "SecurityGroups": ["default"]}, "InvalidParameterCombination"),
    ({"NetworkInterfaces": [INTERFACE], "PrivateIpAddress": "172.31.0.9"}, "InvalidParameterCombination"),
    ({"IamInstanceProfile": {"Name": "role"}}, "InvalidParameterValue"),
    ({"LaunchTemplate": {"LaunchTemplateName": "t"}}, "InvalidLaunchTemplateName.NotFoundException"),
    ({"InstanceMarketOptions": {"MarketType": "spot"}}, "UnsupportedOperation"),
    ({"HibernationOptions": {"Configured": True}}, "UnsupportedOperation"),
    ({"Ipv6AddressCount": 1}, "InvalidParameterValue"),
    ({"EbsOptimized": True}, "UnsupportedOperation"),
    ({"Monitoring": {"Enabled": True}}, "UnsupportedOperation"),
    ({"CreditSpecification": {"CpuCredits": "unlimited"}}, "UnsupportedOperation"),
    ({"PrivateDnsNameOptions": {"HostnameType": "resource-name"}}, "UnsupportedOperation"),
    ({"BlockDeviceMappings": [{"DeviceName": ROOT, "Ebs": {"Iops": 3000}}]}, "UnsupportedOperation"),
    ({"NetworkInterfaces": [{**INTERFACE, "InterfaceType": "efa"}]}, "UnsupportedOperation"),
]


@pytest.mark.parametrize(("more", "code"), BAD)
def test_bad_requests_leave_nothing(account: Account, more: dict[str, Any], code: str) -> None:
    before = left_behind(account)
    with refused(code):
        account.run(**more)
    assert left_behind(account) == before


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"MinCount": "1"}, "MissingParameter"),
        ({"MinCount": "one", "MaxCount": "1"}, "InvalidParameterValue"),
        ({"MinCount": "1", "MaxCount": "99999999999"}, "InvalidParameterValue"),
        ({"MinCount": "1", "MaxCount": "1", "UserData": "!!"}, "InvalidUserData.Malformed"),
        ({"MinCount": "1", "MaxCount": "1", "UserData": "\u00fc"}, "InvalidUserData.Malformed"),
        ({"MinCount": "1", "MaxCount": "1", "DryRun": "perhaps"}, "InvalidParameterValue"),
        (
            {"MinCount": "1", "MaxCount": "1", "InstanceInitiatedShutdownBehavior": "explode"},
            "InvalidParameterValue",
        ),
        ({"MinCount": "1", "MaxCount": "1", "InstanceTyp": "m1.tiny"}, "UnknownParameter"),
    ],
)
def test_ill_typed_requests(account: Account, more: dict[str, str], code: str) -> None:
    response = account.post(Action="RunInstances", ImageId=account.cloud.image.ec2_id, params=more)
    assert response.status == 400
    assert f"<Code>{code}</Code>".encode() in response.body
    assert account.ec2.describe_instances()["Reservations"] == []


def test_address_in_use(account: Account) -> None:
    account.launch(PrivateIpAddress="172.31.0.50")
    before = left_behind(account)
    with refused("InvalidIPAddress.InUse"):
        account.launch(PrivateIpAddress="172.31.0.50")
    assert left_behind(account) == before


def test_image_needs_more_than_the_type_has(cloud: Cloud, account: Account) -> None:
    before = left_behind(account)
    with refused("InvalidParameterCombination", match="512 MiB"):
        account.launch(ImageId=cloud.large.ec2_id)
    with refused("InvalidBlockDeviceMapping"):
        account.launch(
            ImageId=cloud.large.ec2_id,
            InstanceType="m1.small",
            BlockDeviceMappings=[{"DeviceName": ROOT, "Ebs": {"VolumeSize": 2}}],
        )
    assert left_behind(account) == before


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"instances": 2}, "InstanceLimitExceeded"),
        ({"vcpus": 2}, "VcpuLimitExceeded"),
        ({"memory": 256}, "InstanceLimitExceeded"),
        ({"disk": 2}, "VolumeLimitExceeded"),
    ],
)
def test_quotas(cloud: Cloud, limits: dict[str, int], code: str) -> None:
    account = cloud.account(limits)
    before = left_behind(account)
    with refused(code):
        account.launch(3)
    assert left_behind(account) == before
    made = account.run(1, 5)
    assert len(made["Instances"]) == 2
    with refused(code):
        account.launch()


def test_no_capacity() -> None:
    cloud = Cloud(Capacity(vcpus=2, memory=1024, disk=100))
    account = cloud.account()
    before = left_behind(account)
    with refused("InsufficientInstanceCapacity", 500, match="m1.tiny"):
        account.launch(3)
    assert left_behind(account) == before
    assert len(account.launch(2)) == 2
    cloud.core.store.close()
