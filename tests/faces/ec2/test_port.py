"""DescribeNetworkInterfaces."""

from tests.faces.ec2.cloud import Account, filtered, refused


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
