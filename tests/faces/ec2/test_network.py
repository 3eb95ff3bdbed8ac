"""VPCs, subnets, addresses."""

from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def test_default_vpc_and_subnet(account: Account) -> None:
    (vpc,) = account.ec2.describe_vpcs()["Vpcs"]
    assert (vpc["CidrBlock"], vpc["IsDefault"], vpc["OwnerId"]) == ("172.31.0.0/16", True, account.number)
    (subnet,) = account.ec2.describe_subnets()["Subnets"]
    assert (subnet["VpcId"], subnet["CidrBlock"]) == (vpc["VpcId"], "172.31.0.0/20")
    assert (subnet["AvailabilityZone"], subnet["DefaultForAz"]) == ("us-east-1a", True)
    assert subnet["AvailableIpAddressCount"] == 4091
    account.launch(3)
    assert account.ec2.describe_subnets()["Subnets"][0]["AvailableIpAddressCount"] == 4088


def test_filters(account: Account) -> None:
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    for name, value in (
        ("isDefault", "true"),
        ("is-default", "true"),
        ("cidr", "172.*"),
        ("vpc-id", vpc),
        ("cidr-block", "172.31.0.0/16"),
        ("cidrBlock", "172.31.0.0/16"),
    ):
        assert len(account.ec2.describe_vpcs(Filters=filtered(name, value))["Vpcs"]) == 1
    for name, value in (("vpc-id", vpc), ("default-for-az", "true"), ("availability-zone", "us-east-1a")):
        assert len(account.ec2.describe_subnets(Filters=filtered(name, value))["Subnets"]) == 1
    assert account.ec2.describe_subnets(Filters=filtered("cidr-block", "10.*"))["Subnets"] == []
    assert account.ec2.describe_vpcs(Filters=filtered("cidr-block-association.cidr-block", "10.*"))["Vpcs"] == []
    with refused("InvalidParameterValue"):
        account.ec2.describe_vpcs(Filters=filtered("colour", "red"))


def test_ids(cloud: Cloud, account: Account) -> None:
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = account.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    assert len(account.ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]) == 1
    assert len(account.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]) == 1
    other = cloud.account()
    with refused("InvalidVpcID.NotFound", match="The vpc ID"):
        other.ec2.describe_vpcs(VpcIds=[vpc])
    with refused("InvalidSubnetID.NotFound"):
        other.ec2.describe_subnets(SubnetIds=[subnet])


def test_vpc_attributes(account: Account) -> None:
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    found = account.ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")
    assert (found["VpcId"], found["EnableDnsSupport"]) == (vpc, {"Value": True})
    found = account.ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    assert found["EnableDnsHostnames"] == {"Value": True}
    with refused("InvalidVpcID.NotFound"):
        account.ec2.describe_vpc_attribute(VpcId="vpc-0123456789abcdef0", Attribute="enableDnsSupport")
    with refused("InvalidParameterValue"):
        account.ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableTelepathy")  # type: ignore[arg-type]
