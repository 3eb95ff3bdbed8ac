"""VPCs with subnets, gateways and route tables, as boto3 makes them; and each refusal by Amazon's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model import quota
from tests.faces.ec2.cloud import Account, Cloud, filtered, refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Ask = Callable[[], object]

EVERYWHERE = "0.0.0.0/0"


@pytest.fixture
def account(cloud: Cloud) -> Account:
    """An account of the test's own."""
    return cloud.account()


@pytest.fixture
def vpc(account: Account) -> str:
    """A VPC without anything."""
    return account.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]


def routes(account: Account, table: str) -> dict[str, tuple[str, str]]:
    """Target and state of each route of a table, by destination."""
    (shown,) = account.ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    members = ("GatewayId", "NatGatewayId", "NetworkInterfaceId")
    return {
        route["DestinationCidrBlock"]: (next(str(route[name]) for name in members if name in route), route["State"])  # type: ignore[literal-required]
        for route in shown["Routes"]
    }


def main_table(account: Account, vpc: str) -> dict[str, Any]:
    """The VPC's main table, as it is shown."""
    chosen = [*filtered("vpc-id", vpc), *filtered("association.main", "true")]
    (table,) = account.ec2.describe_route_tables(Filters=chosen)["RouteTables"]
    return dict(table)


def test_a_vpc_is_made_shown_and_deleted(account: Account) -> None:
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "lab"}]}]
    made = account.ec2.create_vpc(CidrBlock="10.1.0.0/16", TagSpecifications=tags)["Vpc"]  # type: ignore[arg-type]
    assert (made["State"], made["CidrBlock"], made["IsDefault"]) == ("pending", "10.1.0.0/16", False)
    (shown,) = account.ec2.describe_vpcs(Filters=filtered("tag:Name", "lab"))["Vpcs"]
    assert shown == made | {"State": "available"}
    assert routes(account, main_table(account, made["VpcId"])["RouteTableId"]) == {"10.1.0.0/16": ("local", "active")}
    (group,) = account.ec2.describe_security_groups(Filters=filtered("vpc-id", made["VpcId"]))["SecurityGroups"]
    assert group["GroupName"] == "default"
    account.ec2.delete_vpc(VpcId=made["VpcId"])
    assert [vpc["IsDefault"] for vpc in account.ec2.describe_vpcs()["Vpcs"]] == [True]
    asks: tuple[Ask, ...] = (
        lambda: account.ec2.delete_vpc(VpcId=made["VpcId"]),
        lambda: account.ec2.create_subnet(VpcId=made["VpcId"], CidrBlock="10.1.0.0/24"),
    )
    for ask in asks:
        with refused("InvalidVpcID.NotFound"):
            ask()


@pytest.mark.parametrize(
    ("cidr", "code"),
    [
        ("10.0.0.0/8", "InvalidVpc.Range"),
        ("10.0.0.0/29", "InvalidVpc.Range"),
        ("127.0.0.0/16", "InvalidVpc.Range"),
        ("169.254.0.0/16", "InvalidVpc.Range"),
        ("224.0.0.0/16", "InvalidVpc.Range"),
        ("10.0.0.1/16", "InvalidParameterValue"),
        ("10.0/16", "InvalidParameterValue"),
        ("fd00::/56", "InvalidParameterValue"),
        ("x" * 300, "InvalidParameterValue"),
    ],
)
def test_a_vpc_needs_a_good_range(account: Account, cidr: str, code: str) -> None:
    with refused(code):
        account.ec2.create_vpc(CidrBlock=cidr)
    assert len(account.ec2.describe_vpcs()["Vpcs"]) == 1


def test_subnets_share_a_vpcs_ranges(account: Account, vpc: str) -> None:
    ec2 = account.ec2
    first = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24", AvailabilityZone="us-east-1a")["Subnet"]
    assert (first["AvailableIpAddressCount"], first["MapPublicIpOnLaunch"], first["DefaultForAz"]) == (
        251,
        False,
        False,
    )
    for cidr, code in (
        ("10.1.1.128/25", "InvalidSubnet.Conflict"),
        ("10.1.0.0/16", "InvalidSubnet.Conflict"),
        ("10.2.1.0/24", "InvalidSubnet.Range"),
        ("10.1.2.0/29", "InvalidSubnet.Range"),
        ("10.1.2.1/24", "InvalidParameterValue"),
    ):
        with refused(code):
            ec2.create_subnet(VpcId=vpc, CidrBlock=cidr)
    with refused("InvalidParameterValue", match="zone"):
        ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.2.0/24", AvailabilityZone="us-east-1z")
    with refused("InvalidVpc.Range"):
        ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.1.128.0/17")
    added = ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.2.0.0/16")["CidrBlockAssociation"]
    other = ec2.create_subnet(VpcId=vpc, CidrBlock="10.2.1.0/24")["Subnet"]["SubnetId"]
    with refused("DependencyViolation"):
        ec2.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
    with refused("DependencyViolation"):
        ec2.delete_vpc(VpcId=vpc)
    ec2.delete_subnet(SubnetId=other)
    ec2.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
    (shown,) = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    assert [each["CidrBlock"] for each in shown["CidrBlockAssociationSet"]] == ["10.1.0.0/16"]
    ec2.modify_subnet_attribute(SubnetId=first["SubnetId"], MapPublicIpOnLaunch={"Value": True})
    (subnet,) = ec2.describe_subnets(Filters=filtered("map-public-ip-on-launch", "true") + filtered("vpc-id", vpc))[
        "Subnets"
    ]
    assert subnet["SubnetId"] == first["SubnetId"]


def test_an_instance_has_a_public_address_as_its_subnet_or_its_launch_says(cloud: Cloud, account: Account) -> None:
    vpc = account.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = account.ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]

    def public(**launch: Any) -> bool:
        (ident,) = account.launch(**launch)
        cloud.observe(ident)
        return "PublicIpAddress" in account.show(ident)

    interface = {"DeviceIndex": 0, "SubnetId": subnet}
    assert not public(SubnetId=subnet)
    assert public(NetworkInterfaces=[interface | {"AssociatePublicIpAddress": True}])
    account.ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    assert public(SubnetId=subnet)
    assert not public(NetworkInterfaces=[interface | {"AssociatePublicIpAddress": False}])
    asks: tuple[Ask, ...] = (
        lambda: account.ec2.delete_subnet(SubnetId=subnet),
        lambda: account.ec2.delete_vpc(VpcId=vpc),
    )
    for ask in asks:
        with refused("DependencyViolation"):
            ask()


def test_a_gateway_is_attached_to_one_vpc_and_a_vpc_has_one(account: Account, vpc: str) -> None:
    ec2 = account.ec2
    gateway, other = (ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"] for _ in range(2))
    with refused("Gateway.NotAttached"):
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    (shown,) = ec2.describe_internet_gateways(Filters=filtered("attachment.vpc-id", vpc))["InternetGateways"]
    assert shown["Attachments"] == [{"VpcId": vpc, "State": "available"}]
    with refused("Resource.AlreadyAssociated"):
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    with refused("InvalidParameterValue", match=vpc):
        ec2.attach_internet_gateway(InternetGatewayId=other, VpcId=vpc)
    asks: tuple[Ask, ...] = (
        lambda: ec2.delete_internet_gateway(InternetGatewayId=gateway),
        lambda: ec2.delete_vpc(VpcId=vpc),
    )
    for ask in asks:
        with refused("DependencyViolation"):
            ask()
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    with refused("InvalidInternetGatewayID.NotFound"):
        ec2.describe_internet_gateways(InternetGatewayIds=[gateway])


def test_routes_are_made_replaced_and_lead_nowhere_without_their_targets(account: Account, vpc: str) -> None:
    ec2 = account.ec2
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    with refused("InvalidParameterValue", match="different networks"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE, GatewayId=gateway)
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE, GatewayId=gateway)
    with refused("RouteAlreadyExists"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE, GatewayId=gateway)
    for cidr in ("10.1.0.0/16", "10.1.5.0/24", "169.254.169.0/24", "words"):
        with refused("InvalidParameterValue"):
            ec2.create_route(RouteTableId=table, DestinationCidrBlock=cidr, GatewayId=gateway)
    with refused("InvalidParameterCombination"):
        ec2.create_route(
            RouteTableId=table, DestinationCidrBlock="10.9.0.0/16", GatewayId=gateway, InstanceId="i-12345678"
        )
    with refused("MissingParameter"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.9.0.0/16")
    with refused("InvalidRoute.NotFound"):
        ec2.replace_route(RouteTableId=table, DestinationCidrBlock="10.9.0.0/16", GatewayId=gateway)
    assert routes(account, table) == {"10.1.0.0/16": ("local", "active"), EVERYWHERE: (gateway, "active")}
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    assert routes(account, table)[EVERYWHERE] == (gateway, "blackhole")
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE)
    with refused("InvalidRoute.NotFound"):
        ec2.delete_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE)


def test_a_route_leads_to_an_instance_until_that_is_gone(cloud: Cloud, account: Account) -> None:
    ec2 = account.ec2
    (vpc,) = (each["VpcId"] for each in ec2.describe_vpcs()["Vpcs"])
    (ident,) = account.launch()
    cloud.observe(ident)
    (interface,) = account.show(ident)["NetworkInterfaces"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.9.0.0/16", InstanceId=ident)
    ec2.create_route(
        RouteTableId=table, DestinationCidrBlock="10.8.0.0/16", NetworkInterfaceId=interface["NetworkInterfaceId"]
    )
    shown = routes(account, table)
    assert shown["10.9.0.0/16"] == shown["10.8.0.0/16"] == (interface["NetworkInterfaceId"], "active")
    ec2.terminate_instances(InstanceIds=[ident])
    assert {state for cidr, (_, state) in routes(account, table).items() if cidr.startswith("10.")} == {"blackhole"}


def test_a_subnet_goes_by_one_table_and_the_main_one_can_change(account: Account, vpc: str) -> None:
    ec2 = account.ec2
    subnet, other = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{number}.0/24")["Subnet"]["SubnetId"] for number in (1, 2)
    )
    main = main_table(account, vpc)
    table, spare = (ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2))
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
    assert ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"] == association
    with refused("Resource.AlreadyAssociated"):
        ec2.associate_route_table(RouteTableId=spare, SubnetId=subnet)
    (foreign,) = (
        each["SubnetId"] for each in ec2.describe_subnets(Filters=filtered("default-for-az", "true"))["Subnets"]
    )
    with refused("InvalidParameterValue", match="different networks"):
        ec2.associate_route_table(RouteTableId=table, SubnetId=foreign)
    moved = ec2.replace_route_table_association(AssociationId=association, RouteTableId=spare)["NewAssociationId"]
    (shown,) = ec2.describe_route_tables(Filters=filtered("association.subnet-id", subnet))["RouteTables"]
    assert (shown["RouteTableId"], shown["Associations"][0]["RouteTableAssociationId"]) == (spare, moved)
    for doomed in (spare, main["RouteTableId"]):
        with refused("DependencyViolation"):
            ec2.delete_route_table(RouteTableId=doomed)
    with refused("InvalidParameterValue"):
        ec2.disassociate_route_table(AssociationId=main["Associations"][0]["RouteTableAssociationId"])
    ec2.disassociate_route_table(AssociationId=moved)
    with refused("InvalidAssociationID.NotFound"):
        ec2.disassociate_route_table(AssociationId=moved)
    ec2.replace_route_table_association(
        AssociationId=main["Associations"][0]["RouteTableAssociationId"], RouteTableId=table
    )
    assert main_table(account, vpc)["RouteTableId"] == table
    ec2.delete_route_table(RouteTableId=main["RouteTableId"])
    ec2.associate_route_table(RouteTableId=spare, SubnetId=other)
    ec2.delete_subnet(SubnetId=other)
    ec2.delete_route_table(RouteTableId=spare)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)


def test_a_nat_gateway_has_an_address_and_is_shown_when_deleted(account: Account, vpc: str) -> None:
    ec2 = account.ec2
    public, private = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{number}.0/24")["Subnet"]["SubnetId"] for number in (1, 2)
    )
    allocation = ec2.allocate_address()
    wanted = {"SubnetId": public, "AllocationId": allocation["AllocationId"], "ClientToken": "once"}
    with refused("Gateway.NotAttached", match=vpc):
        ec2.create_nat_gateway(**wanted)  # type: ignore[arg-type]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    made = ec2.create_nat_gateway(**wanted)["NatGateway"]  # type: ignore[arg-type]
    assert ec2.create_nat_gateway(**wanted)["NatGateway"]["NatGatewayId"] == made["NatGatewayId"]  # type: ignore[arg-type]
    with refused("IdempotentParameterMismatch"):
        ec2.create_nat_gateway(**wanted | {"SubnetId": private})  # type: ignore[arg-type]
    with refused("Resource.AlreadyAssociated"):
        ec2.create_nat_gateway(**wanted | {"ClientToken": "twice"})  # type: ignore[arg-type]
    asks: tuple[Ask, ...] = (
        lambda: ec2.release_address(AllocationId=allocation["AllocationId"]),
        lambda: ec2.associate_address(AllocationId=allocation["AllocationId"], InstanceId=account.launch()[0]),
    )
    for ask in asks:
        with refused("InvalidIPAddress.InUse"):
            ask()
    (address,) = made["NatGatewayAddresses"]
    assert address["PublicIp"] == allocation["PublicIp"]
    (shown,) = ec2.describe_subnets(SubnetIds=[public])["Subnets"]
    assert shown["AvailableIpAddressCount"] == 250
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE, NatGatewayId=made["NatGatewayId"])
    assert routes(account, table)[EVERYWHERE] == (made["NatGatewayId"], "active")
    asks = (
        lambda: ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc),
        lambda: ec2.delete_subnet(SubnetId=public),
    )
    for ask in asks:
        with refused("DependencyViolation"):
            ask()
    ec2.delete_nat_gateway(NatGatewayId=made["NatGatewayId"])
    (left,) = ec2.describe_nat_gateways(Filters=filtered("vpc-id", vpc))["NatGateways"]
    assert left["State"] == "deleted"
    assert routes(account, table)[EVERYWHERE] == (made["NatGatewayId"], "blackhole")
    with refused("NatGatewayNotFound"):
        ec2.delete_nat_gateway(NatGatewayId=made["NatGatewayId"])
    ec2.release_address(AllocationId=allocation["AllocationId"])
    ec2.delete_subnet(SubnetId=public)


def test_the_default_vpc_goes_and_comes_back(account: Account) -> None:
    ec2 = account.ec2
    with refused("DefaultVpcAlreadyExists"):
        ec2.create_default_vpc()
    with refused("DefaultSubnetAlreadyExistsInAvailabilityZone"):
        ec2.create_default_subnet(AvailabilityZone="us-east-1a")
    (vpc,) = (each["VpcId"] for each in ec2.describe_vpcs()["Vpcs"])
    (subnet,) = (each["SubnetId"] for each in ec2.describe_subnets()["Subnets"])
    (gateway,) = (each["InternetGatewayId"] for each in ec2.describe_internet_gateways()["InternetGateways"])
    ec2.delete_subnet(SubnetId=subnet)
    with refused("MissingInput"):
        account.launch()
    ec2.create_default_subnet(AvailabilityZone="us-east-1a")
    account.ec2.delete_subnet(SubnetId=ec2.describe_subnets()["Subnets"][0]["SubnetId"])
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_vpc(VpcId=vpc)
    with refused("DefaultVpcDoesNotExist"):
        ec2.create_default_subnet(AvailabilityZone="us-east-1a")
    made = ec2.create_default_vpc()["Vpc"]
    assert made["IsDefault"]
    assert account.launch()
    assert routes(account, main_table(account, made["VpcId"])["RouteTableId"])[EVERYWHERE][1] == "active"


def test_attributes_of_a_vpc_are_kept(account: Account, vpc: str) -> None:
    ec2 = account.ec2
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": False})
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    support = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")["EnableDnsSupport"]
    hostnames = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")["EnableDnsHostnames"]
    assert (support["Value"], hostnames["Value"]) == (False, True)


def test_limits_of_a_project(cloud: Cloud) -> None:
    account = cloud.account(quota.DEFAULTS)
    ec2 = account.ec2
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    for number in range(3):
        ec2.create_vpc(CidrBlock=f"10.{number + 2}.0.0/16")
    with refused("VpcLimitExceeded"):
        ec2.create_vpc(CidrBlock="10.100.0.0/16")
    for _ in range(4):
        ec2.create_internet_gateway()
    with refused("InternetGatewayLimitExceeded"):
        ec2.create_internet_gateway()
    gateway = ec2.describe_internet_gateways()["InternetGateways"][-1]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    for number in range(50):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock=f"11.{number}.0.0/16", GatewayId=gateway)
    with refused("RouteLimitExceeded"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="12.0.0.0/16", GatewayId=gateway)


def test_a_vpc_that_is_to_go_is_not_there(account: Account) -> None:
    vpc = account.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    account.ec2.delete_vpc(VpcId=vpc)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: account.ec2.describe_vpcs(VpcIds=[vpc]),
        lambda: account.ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport"),
        lambda: account.ec2.delete_vpc(VpcId=vpc),
    )
    for attempt in attempts:
        with refused("InvalidVpcID.NotFound", match=f"The vpc ID '{vpc}' does not exist"):
            attempt()
