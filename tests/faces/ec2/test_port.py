"""Network interfaces: those of instances, and those that were made alone, as boto3 sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pileus.model import bounds
from tests.faces.ec2.cloud import Account, Cloud, filtered, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[], object]


@pytest.fixture
def own(cloud: Cloud) -> Account:
    """An account of the test's own."""
    return cloud.account()


@pytest.fixture
def subnet(own: Account) -> str:
    """A subnet of a VPC of its own."""
    vpc = own.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    return own.ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]


def made(account: Account, subnet: str, **more: Any) -> dict[str, Any]:
    """A network interface without an instance."""
    return dict(account.ec2.create_network_interface(SubnetId=subnet, **more)["NetworkInterface"])


def shown(account: Account, ident: str) -> dict[str, Any]:
    """A network interface, as the list has it."""
    (item,) = account.ec2.describe_network_interfaces(NetworkInterfaceIds=[ident])["NetworkInterfaces"]
    return dict(item)


def addresses(item: dict[str, Any]) -> list[str]:
    """Its private addresses, the primary one first."""
    assert [each["Primary"] for each in item["PrivateIpAddresses"]].index(True) == 0
    assert item["PrivateIpAddresses"][0]["PrivateIpAddress"] == item["PrivateIpAddress"]
    return [each["PrivateIpAddress"] for each in item["PrivateIpAddresses"]]


def test_ports_of_instances(account: Account) -> None:
    first, second = account.launch(2)
    shown = account.show(first)
    ident = shown["NetworkInterfaces"][0]["NetworkInterfaceId"]
    (port,) = account.ec2.describe_network_interfaces(NetworkInterfaceIds=[ident])["NetworkInterfaces"]
    assert port["PrivateIpAddress"] == shown["PrivateIpAddress"]
    assert port["Attachment"]["InstanceId"] == first
    assert port["Groups"] == shown["SecurityGroups"]
    assert port["Association"]["PublicIp"] == shown["PublicIpAddress"]
    for name, value in (
        ("attachment.instance-id", first),
        ("mac-address", port["MacAddress"]),
        ("addresses.private-ip-address", port["PrivateIpAddress"]),
        ("association.public-ip", shown["PublicIpAddress"]),
    ):
        found = account.ec2.describe_network_interfaces(Filters=filtered(name, value))["NetworkInterfaces"]
        assert [each["NetworkInterfaceId"] for each in found] == [ident]
    group = shown["SecurityGroups"][0]["GroupId"]
    found = account.ec2.describe_network_interfaces(Filters=filtered("group-id", group))["NetworkInterfaces"]
    assert {each["Attachment"]["InstanceId"] for each in found} == {first, second}


def test_bad_ids(account: Account) -> None:
    with refused("InvalidNetworkInterfaceID.NotFound"):
        account.ec2.describe_network_interfaces(NetworkInterfaceIds=["eni-" + "0" * 17])
    with refused("InvalidNetworkInterfaceId.Malformed"):
        account.ec2.describe_network_interfaces(NetworkInterfaceIds=["eth0"])


def test_one_is_made_shown_and_deleted(own: Account, subnet: str) -> None:
    tags: Any = [{"ResourceType": "network-interface", "Tags": [{"Key": "Name", "Value": "spare"}]}]
    item = made(own, subnet, Description="d", TagSpecifications=tags, ClientToken="once")
    assert made(own, subnet, Description="d", TagSpecifications=tags, ClientToken="once") == item
    assert (item["Status"], item["SourceDestCheck"], addresses(item)) == ("available", True, ["10.1.1.4"])
    assert "Attachment" not in item
    assert [group["GroupName"] for group in item["Groups"]] == ["default"]
    with refused("IdempotentParameterMismatch"):
        made(own, subnet, Description="other", ClientToken="once")
    for name, value in (("tag:Name", "spare"), ("status", "available"), ("subnet-id", subnet), ("description", "d")):
        assert own.ec2.describe_network_interfaces(Filters=filtered(name, value))["NetworkInterfaces"] == [item]
    with refused("DependencyViolation"):
        own.ec2.delete_subnet(SubnetId=subnet)
    own.ec2.delete_network_interface(NetworkInterfaceId=item["NetworkInterfaceId"])
    assert own.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    with refused("InvalidNetworkInterfaceID.NotFound"):
        own.ec2.delete_network_interface(NetworkInterfaceId=item["NetworkInterfaceId"])


def test_its_addresses_are_named_or_counted(own: Account, subnet: str) -> None:
    both = [{"Primary": False, "PrivateIpAddress": "10.1.1.9"}, {"Primary": True, "PrivateIpAddress": "10.1.1.8"}]
    assert addresses(made(own, subnet, PrivateIpAddresses=both)) == ["10.1.1.8", "10.1.1.9"]
    assert addresses(made(own, subnet, SecondaryPrivateIpAddressCount=2)) == ["10.1.1.4", "10.1.1.5", "10.1.1.6"]
    assert addresses(made(own, subnet, PrivateIpAddresses=[{"PrivateIpAddress": "10.1.1.7"}])) == [
        "10.1.1.10",
        "10.1.1.7",
    ]
    for code, more in (
        ("InvalidIPAddress.InUse", {"PrivateIpAddress": "10.1.1.9"}),
        ("InvalidParameterValue", {"PrivateIpAddress": "10.1.2.9"}),
        ("InvalidParameterValue", {"PrivateIpAddress": "10.1.1.1"}),
        ("InvalidParameterCombination", {"PrivateIpAddress": "10.1.1.20", "PrivateIpAddresses": both}),
        ("InvalidParameterCombination", {"PrivateIpAddresses": both, "SecondaryPrivateIpAddressCount": 1}),
        ("PrivateIpAddressLimitExceeded", {"SecondaryPrivateIpAddressCount": bounds.ADDRESSES.most}),
        ("InvalidParameterValue", {"SecondaryPrivateIpAddressCount": -1}),
        ("InvalidParameterValue", {"Description": "x" * 256}),
        ("InvalidParameterValue", {"Ipv6AddressCount": 1}),
    ):
        with refused(code):
            made(own, subnet, **more)
    with refused("DependencyViolation"):
        own.ec2.delete_subnet(SubnetId=subnet)


def test_secondary_addresses_come_and_go(own: Account, subnet: str) -> None:
    ec2 = own.ec2
    ident, other = (made(own, subnet)["NetworkInterfaceId"] for _ in range(2))
    given = ec2.assign_private_ip_addresses(NetworkInterfaceId=ident, SecondaryPrivateIpAddressCount=2)
    assert [each["PrivateIpAddress"] for each in given["AssignedPrivateIpAddresses"]] == ["10.1.1.6", "10.1.1.7"]
    ec2.assign_private_ip_addresses(NetworkInterfaceId=ident, PrivateIpAddresses=["10.1.1.20"])
    assert addresses(shown(own, ident)) == ["10.1.1.4", "10.1.1.6", "10.1.1.7", "10.1.1.20"]
    with refused("InvalidIPAddress.InUse"):
        ec2.assign_private_ip_addresses(NetworkInterfaceId=other, PrivateIpAddresses=["10.1.1.20"])
    ec2.assign_private_ip_addresses(NetworkInterfaceId=other, PrivateIpAddresses=["10.1.1.20"], AllowReassignment=True)
    ec2.unassign_private_ip_addresses(NetworkInterfaceId=ident, PrivateIpAddresses=["10.1.1.6"])
    assert (addresses(shown(own, ident)), addresses(shown(own, other))) == (
        ["10.1.1.4", "10.1.1.7"],
        ["10.1.1.5", "10.1.1.20"],
    )
    asks: tuple[tuple[str, Ask], ...] = (
        (
            "InvalidParameterValue",
            lambda: ec2.unassign_private_ip_addresses(NetworkInterfaceId=ident, PrivateIpAddresses=["10.1.1.4"]),
        ),
        ("InvalidParameterCombination", lambda: ec2.assign_private_ip_addresses(NetworkInterfaceId=ident)),
        (
            "PrivateIpAddressLimitExceeded",
            lambda: ec2.assign_private_ip_addresses(NetworkInterfaceId=ident, SecondaryPrivateIpAddressCount=15),
        ),
        (
            "InvalidIPAddress.InUse",
            lambda: ec2.assign_private_ip_addresses(
                NetworkInterfaceId=ident, PrivateIpAddresses=["10.1.1.5"], AllowReassignment=True
            ),
        ),
    )
    for code, ask in asks:
        with refused(code):
            ask()


def test_its_attributes(own: Account, subnet: str) -> None:
    ec2, ident = own.ec2, made(own, subnet)["NetworkInterfaceId"]
    vpc = shown(own, ident)["VpcId"]
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=ident, Description={"Value": "new"})
    ec2.modify_network_interface_attribute(NetworkInterfaceId=ident, Groups=[group])
    ec2.modify_network_interface_attribute(NetworkInterfaceId=ident, SourceDestCheck={"Value": False})

    def attribute(name: Any, member: str) -> Any:
        return ec2.describe_network_interface_attribute(NetworkInterfaceId=ident, Attribute=name).get(member)

    assert attribute("description", "Description") == {"Value": "new"}
    assert [each["GroupId"] for each in attribute("groupSet", "Groups")] == [group]
    assert attribute("sourceDestCheck", "SourceDestCheck") == {"Value": False}
    assert attribute("attachment", "Attachment") is None
    assert attribute("associatePublicIpAddress", "AssociatePublicIpAddress") is False
    ec2.reset_network_interface_attribute(NetworkInterfaceId=ident, SourceDestCheck="true")
    assert shown(own, ident)["SourceDestCheck"]
    with refused("InvalidParameterCombination"):
        ec2.modify_network_interface_attribute(NetworkInterfaceId=ident)
    with refused("InvalidParameter"):
        foreign = ec2.describe_security_groups(Filters=filtered("group-name", "default"))["SecurityGroups"]
        groups = [each["GroupId"] for each in foreign if each["VpcId"] != vpc]
        ec2.modify_network_interface_attribute(NetworkInterfaceId=ident, Groups=groups[:1])


def test_the_source_dest_check_of_an_instance(own: Account) -> None:
    (ident,) = own.launch()
    own.ec2.modify_instance_attribute(InstanceId=ident, SourceDestCheck={"Value": False})
    told = own.ec2.describe_instance_attribute(InstanceId=ident, Attribute="sourceDestCheck")
    assert told["SourceDestCheck"] == {"Value": False}
    assert not own.show(ident)["SourceDestCheck"]
    assert not own.show(ident)["NetworkInterfaces"][0]["SourceDestCheck"]


def test_one_is_attached_and_detached(cloud: Cloud, own: Account) -> None:
    ec2 = own.ec2
    (instance,) = own.launch()
    cloud.observe(instance)
    subnet = own.show(instance)["SubnetId"]
    eni = made(own, subnet)["NetworkInterfaceId"]
    attachment = ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=instance, DeviceIndex=1)
    cloud.observe(instance)
    item = shown(own, eni)
    assert (item["Status"], item["Attachment"]["AttachmentId"]) == ("in-use", attachment["AttachmentId"])
    assert (item["Attachment"]["DeviceIndex"], item["Attachment"]["DeleteOnTermination"]) == (1, False)
    both = own.show(instance)["NetworkInterfaces"]
    assert [each["Attachment"]["DeviceIndex"] for each in both] == [0, 1]
    spare = made(own, subnet)["NetworkInterfaceId"]
    first = both[0]["Attachment"]["AttachmentId"]
    asks: tuple[tuple[str, Ask], ...] = (
        (
            "InvalidParameterValue",
            lambda: ec2.attach_network_interface(NetworkInterfaceId=spare, InstanceId=instance, DeviceIndex=1),
        ),
        (
            "InvalidParameterValue",
            lambda: ec2.attach_network_interface(NetworkInterfaceId=spare, InstanceId=instance, DeviceIndex=9),
        ),
        (
            "InvalidNetworkInterface.InUse",
            lambda: ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=instance, DeviceIndex=2),
        ),
        ("InvalidNetworkInterface.InUse", lambda: ec2.delete_network_interface(NetworkInterfaceId=eni)),
        ("OperationNotPermitted", lambda: ec2.detach_network_interface(AttachmentId=first)),
        ("InvalidAttachmentID.NotFound", lambda: ec2.detach_network_interface(AttachmentId="eni-attach-0")),
        (
            "InvalidInstanceID",
            lambda: ec2.modify_instance_attribute(InstanceId=instance, SourceDestCheck={"Value": True}),
        ),
    )
    for code, ask in asks:
        with refused(code):
            ask()
    change: Any = {"AttachmentId": attachment["AttachmentId"], "DeleteOnTermination": True}
    ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Attachment=change)
    assert shown(own, eni)["Attachment"]["DeleteOnTermination"]
    ec2.detach_network_interface(AttachmentId=attachment["AttachmentId"])
    assert shown(own, eni)["Status"] == "detaching"
    with refused("InvalidNetworkInterface.InUse"):
        ec2.delete_network_interface(NetworkInterfaceId=eni)
    with refused("InvalidAttachmentID.NotFound"):
        ec2.detach_network_interface(AttachmentId=attachment["AttachmentId"])
    assert len(own.show(instance)["NetworkInterfaces"]) == 1


def test_one_that_was_attached_stays_with_its_address(cloud: Cloud, own: Account) -> None:
    ec2 = own.ec2
    (instance,) = own.launch()
    cloud.observe(instance)
    kept, goes = (made(own, own.show(instance)["SubnetId"])["NetworkInterfaceId"] for _ in range(2))
    allocation = ec2.allocate_address()
    ec2.associate_address(AllocationId=allocation["AllocationId"], NetworkInterfaceId=kept)
    for index, eni in enumerate((kept, goes), 1):
        ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=instance, DeviceIndex=index)
    attachment = shown(own, goes)["Attachment"]["AttachmentId"]
    ec2.modify_network_interface_attribute(
        NetworkInterfaceId=goes, Attachment={"AttachmentId": attachment, "DeleteOnTermination": True}
    )
    with refused("InvalidInstanceID"):
        ec2.associate_address(AllocationId=allocation["AllocationId"], InstanceId=instance)
    ec2.terminate_instances(InstanceIds=[instance])
    (item,) = [each for each in ec2.describe_network_interfaces()["NetworkInterfaces"] if "Attachment" not in each]
    assert item["NetworkInterfaceId"] == kept
    assert item["Association"]["PublicIp"] == allocation["PublicIp"]
    assert item["Association"]["AllocationId"] == allocation["AllocationId"]


def test_a_launch_with_several(own: Account, subnet: str) -> None:
    """Two new ones with addresses of their own, and one that is there, at any index."""
    eni = made(own, subnet, Description="there")["NetworkInterfaceId"]
    vpc = shown(own, eni)["VpcId"]
    group = own.ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    (ident,) = own.launch(
        NetworkInterfaces=[
            {"DeviceIndex": 2, "NetworkInterfaceId": eni},
            {"DeviceIndex": 0, "SubnetId": subnet, "SecondaryPrivateIpAddressCount": 1},
            {
                "DeviceIndex": 1,
                "SubnetId": subnet,
                "Groups": [group],
                "PrivateIpAddress": "10.1.1.6",
                "Description": "second",
                "DeleteOnTermination": False,
            },
        ]
    )
    instance = own.show(ident)
    first, second, third = instance["NetworkInterfaces"]
    assert (instance["PrivateIpAddress"], "PublicIpAddress" in instance) == ("10.1.1.5", False)
    assert addresses(dict(first)) == ["10.1.1.5", "10.1.1.7"]
    assert (second["Description"], second["Groups"][0]["GroupId"]) == ("second", group)
    assert (second["PrivateIpAddress"], third["NetworkInterfaceId"]) == ("10.1.1.6", eni)
    stays = [each["Attachment"]["DeleteOnTermination"] for each in (first, second, third)]
    assert stays == [True, False, False]
    assert [each["Attachment"]["Status"] for each in (first, second, third)] == ["attached"] * 3
    with refused("InvalidNetworkInterface.InUse"):
        own.launch(NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": eni}])
    own.ec2.terminate_instances(InstanceIds=[ident])
    left = {each["NetworkInterfaceId"] for each in own.ec2.describe_network_interfaces()["NetworkInterfaces"]}
    assert {eni, second["NetworkInterfaceId"]} <= left


def test_many_launches_with_several(own: Account, subnet: str) -> None:
    interfaces: Any = [{"DeviceIndex": index, "SubnetId": subnet} for index in (0, 1)]
    idents = own.launch(3, NetworkInterfaces=interfaces)
    pairs = [[nic["PrivateIpAddress"] for nic in own.show(ident)["NetworkInterfaces"]] for ident in idents]
    assert len({address for pair in pairs for address in pair}) == 6
    eni = made(own, subnet)["NetworkInterfaceId"]
    given: Any = [{"DeviceIndex": 0, "NetworkInterfaceId": eni}]
    with refused("InvalidParameterCombination"):
        own.launch(2, NetworkInterfaces=given)
    (ident,) = own.launch(NetworkInterfaces=given)
    assert own.show(ident)["PrivateIpAddress"] == shown(own, eni)["PrivateIpAddress"]
