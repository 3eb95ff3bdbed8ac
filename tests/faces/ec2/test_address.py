"""Elastic IP addresses, by a real client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faces.ec2.cloud import Cloud, filtered, refused

if TYPE_CHECKING:
    from tests.faces.ec2.cloud import Account


def test_life(account: Account) -> None:
    (ident,) = account.launch()
    before = account.show(ident).get("PublicIpAddress")
    tags = [{"ResourceType": "elastic-ip", "Tags": [{"Key": "t", "Value": "v"}]}]
    made = account.ec2.allocate_address(Domain="vpc", TagSpecifications=tags)  # type: ignore[arg-type]
    assert made["Domain"] == "vpc"
    answer = account.ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=ident)
    (shown,) = account.ec2.describe_addresses()["Addresses"]
    instance = account.show(ident)
    assert shown["InstanceId"] == ident
    assert shown["AssociationId"] == answer["AssociationId"]
    assert shown["PrivateIpAddress"] == instance["PrivateIpAddress"]
    assert shown["Tags"] == [{"Key": "t", "Value": "v"}]
    assert instance["PublicIpAddress"] == shown["PublicIp"] == made["PublicIp"]
    assert {"Key": "aws:pileus:address", "Value": before} in instance["Tags"], "and the address of before is shown too"
    association = instance["NetworkInterfaces"][0]["Association"]
    assert (association["PublicIp"], association["IpOwnerId"]) == (made["PublicIp"], account.number)
    with refused("InvalidIPAddress.InUse"):
        account.ec2.release_address(AllocationId=made["AllocationId"])
    account.ec2.disassociate_address(AssociationId=answer["AssociationId"])
    assert account.show(ident).get("PublicIpAddress") == before
    (shown,) = account.ec2.describe_addresses(AllocationIds=[made["AllocationId"]])["Addresses"]
    assert "AssociationId" not in shown
    account.ec2.release_address(AllocationId=made["AllocationId"])
    assert account.ec2.describe_addresses()["Addresses"] == []


def test_each_private_address_has_one(cloud: Cloud) -> None:
    account = cloud.account()
    (ident,) = account.launch()
    ec2, (interface,) = account.ec2, account.show(ident)["NetworkInterfaces"]
    eni, primary = interface["NetworkInterfaceId"], interface["PrivateIpAddress"]
    answer = ec2.assign_private_ip_addresses(NetworkInterfaceId=eni, SecondaryPrivateIpAddressCount=1)
    secondary = answer["AssignedPrivateIpAddresses"][0]["PrivateIpAddress"]
    first, second = ec2.allocate_address(), ec2.allocate_address()
    for made, private in ((first, primary), (second, secondary)):
        ec2.associate_address(AllocationId=made["AllocationId"], NetworkInterfaceId=eni, PrivateIpAddress=private)

    def public_addresses() -> list[str]:
        (shown,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"]
        return [each.get("Association", {}).get("PublicIp", "") for each in shown["PrivateIpAddresses"]]

    assert public_addresses() == [first["PublicIp"], second["PublicIp"]]
    listed = ec2.describe_addresses(Filters=filtered("private-ip-address", secondary))["Addresses"]
    assert [each["PublicIp"] for each in listed] == [second["PublicIp"]]
    of_instance = account.show(ident)["NetworkInterfaces"][0]["PrivateIpAddresses"][1]
    assert of_instance["Association"]["PublicIp"] == second["PublicIp"]
    ec2.associate_address(AllocationId=first["AllocationId"], NetworkInterfaceId=eni, PrivateIpAddress=secondary)
    assert public_addresses()[1] == first["PublicIp"]
    assert "AssociationId" not in ec2.describe_addresses(PublicIps=[second["PublicIp"]])["Addresses"][0]
    ec2.unassign_private_ip_addresses(NetworkInterfaceId=eni, PrivateIpAddresses=[secondary])
    ec2.release_address(AllocationId=first["AllocationId"])
    with refused("InvalidParameterValue"):
        ec2.associate_address(AllocationId=second["AllocationId"], NetworkInterfaceId=eni, PrivateIpAddress=secondary)


def test_termination_frees_it(account: Account) -> None:
    (ident,) = account.launch()
    made = account.ec2.allocate_address()
    account.ec2.associate_address(PublicIp=made["PublicIp"], InstanceId=ident)
    account.ec2.terminate_instances(InstanceIds=[ident])
    (shown,) = account.ec2.describe_addresses(PublicIps=[made["PublicIp"]])["Addresses"]
    assert "InstanceId" not in shown
    account.ec2.release_address(PublicIp=made["PublicIp"])


@pytest.mark.parametrize("name", ["allocation-id", "instance-id", "public-ip", "private-ip-address", "tag:k"])
def test_filters(account: Account, name: str) -> None:
    (ident,) = account.launch()
    made, _ = account.ec2.allocate_address(), account.ec2.allocate_address()
    account.ec2.create_tags(Resources=[made["AllocationId"]], Tags=[{"Key": "k", "Value": "v"}])
    account.ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=ident)
    values = {
        "allocation-id": made["AllocationId"],
        "instance-id": ident,
        "public-ip": made["PublicIp"],
        "private-ip-address": account.show(ident)["PrivateIpAddress"],
        "tag:k": "v",
    }
    found = account.ec2.describe_addresses(Filters=filtered(name, values[name]))["Addresses"]
    assert [each["AllocationId"] for each in found] == [made["AllocationId"]]


def test_refusals(cloud: Cloud, account: Account) -> None:
    one, other = account.launch(2)
    made = account.ec2.allocate_address()
    account.ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=one)
    with refused("Resource.AlreadyAssociated"):
        account.ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=other, AllowReassociation=False)
    with refused("InvalidAllocationID.NotFound"):
        account.ec2.associate_address(AllocationId="eipalloc-" + "0" * 17, InstanceId=other)
    with refused("InvalidAssociationID.NotFound"):
        account.ec2.disassociate_address(AssociationId="eipassoc-" + "0" * 17)
    with refused("InvalidAddress.NotFound"):
        account.ec2.release_address(PublicIp="198.51.100.250")
    with refused("InvalidParameterValue", match="198.51.100"):
        account.ec2.describe_addresses(PublicIps=["198.51.100"])
    with refused("InvalidParameterCombination"):
        account.ec2.release_address(PublicIp=made["PublicIp"], AllocationId=made["AllocationId"])
    with refused("InvalidParameterCombination"):
        account.ec2.associate_address(PublicIp=made["PublicIp"], AllocationId=made["AllocationId"], InstanceId=other)
    assert account.ec2.allocate_address(Domain="standard")["Domain"] == "vpc"
    with refused("InvalidIPAddress.InUse"):
        account.ec2.allocate_address(Address=made["PublicIp"])
    with refused("MissingParameter"):
        account.ec2.associate_address(AllocationId=made["AllocationId"])
    with refused("InvalidAllocationID.NotFound"):
        cloud.account().ec2.release_address(AllocationId=made["AllocationId"])
    poor = cloud.account({"floatingips": 1}).ec2
    poor.allocate_address()
    with refused("AddressLimitExceeded"):
        poor.allocate_address()


def test_the_pool_has_an_end() -> None:
    greedy = Cloud().account().ec2
    with refused("InsufficientAddressCapacity", 500):
        for _ in range(256):
            greedy.allocate_address()
    assert len(greedy.describe_addresses()["Addresses"]) == 245


def test_no_address_has_a_domain_name(cloud: Cloud) -> None:
    """The AWS provider of OpenTofu asks for the domain name of each address that it makes."""
    ec2 = cloud.account().ec2
    allocation = ec2.allocate_address()["AllocationId"]
    answer = ec2.describe_addresses_attribute(AllocationIds=[allocation], Attribute="domain-name")
    assert answer["Addresses"] == []
    with refused("InvalidAllocationID.NotFound"):
        ec2.describe_addresses_attribute(AllocationIds=["eipalloc-" + "0" * 17])
