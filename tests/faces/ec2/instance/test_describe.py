"""DescribeInstances: how an instance looks in each state, filters, pages."""

from typing import Any

import pytest

from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def ids(account: Account, **asked: Any) -> list[str]:
    found = account.ec2.describe_instances(**asked)["Reservations"]
    return [instance["InstanceId"] for reservation in found for instance in reservation["Instances"]]


def test_running(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    cloud.observe(ident)
    found = account.show(ident)
    assert found["State"] == {"Code": 16, "Name": "running"}
    assert found["StateTransitionReason"] == ""
    assert "StateReason" not in found
    assert found["PublicIpAddress"].startswith("127.77.")
    assert found["PublicDnsName"] == f"ec2-{found['PublicIpAddress'].replace('.', '-')}.internal"
    (interface,) = found["NetworkInterfaces"]
    assert interface["Association"]["PublicIp"] == found["PublicIpAddress"]
    assert interface["PrivateIpAddress"] == found["PrivateIpAddress"]
    assert interface["PrivateIpAddresses"][0]["Primary"] is True
    assert interface["Attachment"]["DeviceIndex"] == 0
    assert interface["Status"] == "in-use"
    assert interface["MacAddress"].count(":") == 5
    assert interface["Groups"] == found["SecurityGroups"]
    (disk,) = found["BlockDeviceMappings"]
    assert (disk["DeviceName"], disk["Ebs"]["Status"]) == ("/dev/vda", "attached")
    for member, expected in {
        "Architecture": "x86_64",
        "RootDeviceName": "/dev/vda",
        "RootDeviceType": "ebs",
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "UsageOperation": "RunInstances",
        "Monitoring": {"State": "disabled"},
        "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1},
        "EbsOptimized": False,
        "SourceDestCheck": True,
    }.items():
        assert found[member] == expected


def test_stopped_by_its_user(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    account.ec2.stop_instances(InstanceIds=[ident])
    assert account.show(ident)["State"]["Name"] == "stopping"
    cloud.observe(ident, running=False, since=86400.0)
    found = account.show(ident)
    assert found["State"] == {"Code": 80, "Name": "stopped"}
    assert found["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert found["StateTransitionReason"] == "User initiated (1970-01-02 00:00:00 GMT)"


def test_a_stopped_instance_keeps_its_elastic_address_alone(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    account.ec2.stop_instances(InstanceIds=[ident])
    cloud.observe(ident, running=False)
    found = account.show(ident)
    assert "PublicIpAddress" not in found
    assert found["PublicDnsName"] == ""
    assert "Association" not in found["NetworkInterfaces"][0]
    assert ids(account, Filters=filtered("ip-address", "*")) == []
    address = account.ec2.allocate_address(Domain="vpc")["PublicIp"]
    account.ec2.associate_address(PublicIp=address, InstanceId=ident)
    found = account.show(ident)
    assert found["PublicIpAddress"] == address
    assert found["PublicDnsName"] == f"ec2-{address.replace('.', '-')}.internal"
    assert ids(account, Filters=filtered("dns-name", found["PublicDnsName"])) == [ident]


def test_stopped_by_its_guest(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    cloud.observe(ident, running=False, satisfied=1)
    found = account.show(ident)
    assert found["State"]["Name"] == "stopped"
    assert found["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert found["StateTransitionReason"] == ""


def test_fault_is_shown(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    cloud.fail(ident, "ImageCorrupt", "The digest differs.")
    found = account.show(ident)
    assert found["State"]["Name"] == "pending"
    assert found["StateReason"] == {
        "Code": "Server.InternalError",
        "Message": "Server.InternalError: ImageCorrupt: The digest differs.",
    }


def test_terminated(cloud: Cloud, account: Account) -> None:
    ident = account.launch(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}])[0]
    cloud.observe(ident)
    account.ec2.terminate_instances(InstanceIds=[ident])
    found = account.show(ident)
    assert found["State"]["Name"] == "shutting-down"
    assert found["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    cloud.end(ident)
    found = account.show(ident)
    assert found["State"] == {"Code": 48, "Name": "terminated"}
    assert found["StateTransitionReason"].startswith("User initiated (")
    assert found["NetworkInterfaces"] == found["SecurityGroups"] == found["BlockDeviceMappings"] == []
    assert "PublicIpAddress" not in found
    assert "SubnetId" not in found
    assert found["PrivateDnsName"] == found["PublicDnsName"] == ""
    assert found["Tags"] == [{"Key": "a", "Value": "b"}]
    assert ids(account) == [ident]


def test_others_instances_are_not_there(cloud: Cloud, account: Account) -> None:
    ident = cloud.account().launch()[0]
    assert ids(account) == []
    with refused("InvalidInstanceID.NotFound", match=ident):
        ids(account, InstanceIds=[ident])
    assert ids(cloud.account(admin=True), InstanceIds=[ident]) == [ident]


def test_ids(account: Account) -> None:
    first, second, third = account.launch(3)
    assert set(ids(account, InstanceIds=[third, first])) == {first, third}
    with refused("InvalidInstanceID.NotFound", match="i-" + "0" * 17):
        ids(account, InstanceIds=[second, "i-" + "0" * 17])
    for bad in ("x", "i-", "i-xyz", "ami-" + "0" * 17, "I-" + "0" * 17, ""):
        with refused("InvalidInstanceID.Malformed"):
            ids(account, InstanceIds=[bad])


def test_pages(account: Account) -> None:
    made = account.launch(4) + account.launch(8)
    pages = list(account.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    parts = [[i["InstanceId"] for r in page["Reservations"] for i in r["Instances"]] for page in pages]
    assert [len(part) for part in parts] == [5, 5, 2]
    assert [ident for part in parts for ident in part] == made
    wanted = filtered("launch-index", "0", "1", "2", "3")
    kept = list(
        account.ec2.get_paginator("describe_instances").paginate(Filters=wanted, PaginationConfig={"PageSize": 5})
    )
    assert [sum(len(r["Instances"]) for r in page["Reservations"]) for page in kept] == [5, 3]
    assert len(ids(account, MaxResults=5000)) == 12
    with refused("InvalidParameterValue"):
        ids(account, MaxResults=4)
    with refused("InvalidParameterCombination"):
        ids(account, MaxResults=5, InstanceIds=made[:1])
    with refused("InvalidNextToken"):
        ids(account, NextToken="nonsense")


def two(account: Account) -> tuple[str, str]:
    """Launch a running instance that differs from a pending one in all it can."""
    account.ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    group = account.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    (ident,) = account.launch(
        KeyName="mine",
        SecurityGroupIds=[group],
        ClientToken="once",
        PrivateIpAddress="172.31.2.5",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "front-end"}]}],
    )
    (other,) = account.launch(InstanceType="m1.small")
    account.cloud.observe(ident)
    return ident, other


def test_filters_that_one_fits(account: Account) -> None:
    ident, other = two(account)
    shown = account.show(ident)
    group = shown["SecurityGroups"][0]["GroupId"]
    port = shown["NetworkInterfaces"][0]
    disk = shown["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    for name, value in {
        "block-device-mapping.volume-id": disk,
        "client-token": "once",
        "dns-name": shown["PublicDnsName"],
        "group-id": group,
        "group-name": "web",
        "instance-id": ident,
        "instance-state-code": "16",
        "instance-state-name": "run*",
        "instance-type": "m1.t?ny",
        "instance.group-id": group,
        "instance.group-name": "w*",
        "ip-address": shown["PublicIpAddress"],
        "key-name": "mine",
        "network-interface.addresses.association.public-ip": shown["PublicIpAddress"],
        "network-interface.addresses.private-ip-address": "172.31.2.5",
        "network-interface.attachment.attachment-id": port["Attachment"]["AttachmentId"],
        "network-interface.attachment.instance-id": ident,
        "network-interface.group-id": group,
        "network-interface.mac-address": port["MacAddress"],
        "network-interface.network-interface-id": port["NetworkInterfaceId"],
        "network-interface.private-dns-name": "ip-172-31-2-5.internal",
        "private-dns-name": "ip-172-31-2-5*",
        "private-ip-address": "172.31.2.*",
        "tag-key": "role",
        "tag:aws:pileus:address": shown["PublicIpAddress"],
        "tag:role": "front-*",
    }.items():
        assert ids(account, Filters=filtered(name, value)) == [ident], name
    assert ids(account, Filters=filtered("state-reason-code", "pending")) == [other]


def test_filters_that_all_fit(cloud: Cloud, account: Account) -> None:
    ident, other = two(account)
    shown = account.show(ident)
    for name, value in {
        "architecture": "x86_64",
        "availability-zone": "us-east-1a",
        "availability-zone-id": "use1-az1",
        "block-device-mapping.delete-on-termination": "true",
        "block-device-mapping.device-name": "/dev/vda",
        "block-device-mapping.status": "attached",
        "hypervisor": "xen",
        "image-id": cloud.image.ec2_id,
        "launch-index": "0",
        "launch-time": "20??-*",
        "monitoring-state": "disabled",
        "network-interface.attachment.device-index": "0",
        "network-interface.owner-id": account.number,
        "network-interface.status": "in-use",
        "network-interface.subnet-id": shown["SubnetId"],
        "network-interface.vpc-id": shown["VpcId"],
        "owner-id": account.number,
        "root-device-name": "/dev/vda",
        "root-device-type": "ebs",
        "source-dest-check": "true",
        "subnet-id": shown["SubnetId"],
        "tag:aws:pileus:login": "root",
        "tenancy": "default",
        "virtualization-type": "hvm",
        "vpc-id": shown["VpcId"],
    }.items():
        assert ids(account, Filters=filtered(name, value)) == [ident, other], name
        assert ids(account, Filters=filtered(name, "no such value")) == []


def test_filters_together(account: Account) -> None:
    ident, other = two(account)
    assert ids(account, Filters=filtered("instance-state-name", "pending", "running")) == [ident, other]
    both = [*filtered("instance-state-name", "running"), *filtered("instance-type", "m1.small")]
    assert ids(account, Filters=both) == []
    assert ids(account, InstanceIds=[other], Filters=filtered("instance-state-name", "running")) == []
    for name in ("platform", "spot-instance-request-id", "iam-instance-profile.arn", "ipv6-address"):
        assert ids(account, Filters=filtered(name, "*")) == []


def test_filter_by_reservation(account: Account) -> None:
    account.launch(2)
    made = account.launch(2)
    ident = account.ec2.describe_instances(InstanceIds=made)["Reservations"][0]["ReservationId"]
    assert ids(account, Filters=filtered("reservation-id", ident)) == made


def test_of_terminated_instances_filters_see_what_is_left(cloud: Cloud, account: Account) -> None:
    ident = account.launch()[0]
    vpc = account.show(ident)["VpcId"]
    cloud.end(ident)
    assert ids(account, Filters=filtered("instance-state-name", "terminated")) == [ident]
    assert ids(account, Filters=filtered("vpc-id", vpc)) == []
    assert ids(account, Filters=filtered("dns-name", "*")) == []


@pytest.mark.parametrize("name", ["colour", "instance-state", "tagkey", "", "Instance-Id", "network-interface"])
def test_unknown_filters(account: Account, name: str) -> None:
    with refused("InvalidParameterValue", match="filter"):
        ids(account, Filters=filtered(name, "x"))
