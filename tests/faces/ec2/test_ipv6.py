"""IPv6 of VPCs, subnets, network interfaces, routes and rules, as boto3 has it; and each refusal by Amazon's code."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import pytest

from pileus.loops import engine
from pileus.model.network import Network
from pileus.model.noun import Noun
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.spec import NetworkSpec, OneWayRange, RouterSpec
from pileus.model.subnet import Subnet
from tests.faces.ec2.cloud import Account, Cloud, filtered, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[], object]

EVERYWHERE = "::/0"


class Lab:
    """A VPC with ranges of IPv4 and IPv6, and a subnet with a part of each."""

    def __init__(self, account: Account) -> None:
        self.account, ec2 = account, account.ec2
        self.shown = ec2.create_vpc(CidrBlock="10.1.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
        self.vpc = self.shown["VpcId"]
        self.cidr = self.shown["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
        self.subnet = self.dual(1)["SubnetId"]

    def part(self, number: int) -> str:
        return str([*ipaddress.ip_network(self.cidr).subnets(new_prefix=64)][number])

    def dual(self, number: int) -> Any:
        answer = self.account.ec2.create_subnet(
            VpcId=self.vpc, CidrBlock=f"10.1.{number}.0/24", Ipv6CidrBlock=self.part(number)
        )
        return answer["Subnet"]

    def table(self) -> str:
        return self.account.ec2.describe_route_tables(Filters=filtered("vpc-id", self.vpc))["RouteTables"][0][
            "RouteTableId"
        ]

    def routes(self) -> dict[str, Any]:
        (table,) = self.account.ec2.describe_route_tables(RouteTableIds=[self.table()])["RouteTables"]
        return {
            route["DestinationIpv6CidrBlock"]: route for route in table["Routes"] if "DestinationIpv6CidrBlock" in route
        }


@pytest.fixture
def lab(account: Account) -> Lab:
    """A VPC of the test's own."""
    return Lab(account)


def ordered(cloud: Cloud, cls: type[Noun], ident: str) -> Any:
    """The order of the noun with this id, as the engine would get it now."""
    with cloud.core.store.write() as tx:
        (row,) = [each for each in tx.list(cls) if each.ec2_id == ident]
        kind = engine.KINDS[cls.KIND]
        return kind.spec(tx, kind.prepare(cloud.core, tx, row), cloud.core.place)


def test_a_vpc_has_a_range_of_the_clouds(cloud: Cloud, lab: Lab, account: Account) -> None:
    cloud_range = ipaddress.ip_network(cloud.core.place.ipv6_cidr)
    own = ipaddress.ip_network(lab.cidr)
    assert own.prefixlen == 56
    assert own.subnet_of(cloud_range)  # type: ignore[arg-type]
    assert own.network_address != cloud_range.network_address, "the first is the outside network's"
    (shown,) = account.ec2.describe_vpcs(Filters=filtered("ipv6-cidr-block-association.ipv6-cidr-block", lab.cidr))[
        "Vpcs"
    ]
    assert shown == lab.shown | {"State": "available"}
    assert shown["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlockState"] == {"State": "associated"}
    assert list(lab.routes()) == [lab.cidr]
    (group,) = account.ec2.describe_security_groups(Filters=filtered("vpc-id", lab.vpc))["SecurityGroups"]
    assert group["IpPermissionsEgress"][0]["Ipv6Ranges"] == [{"CidrIpv6": EVERYWHERE}]
    (acl,) = account.ec2.describe_network_acls(Filters=filtered("vpc-id", lab.vpc))["NetworkAcls"]
    numbers = {entry["RuleNumber"] for entry in acl["Entries"] if "Ipv6CidrBlock" in entry}
    assert numbers == {101, 32768}
    assert not ordered(cloud, Router, lab.vpc).acls, "its default ACL is open"


def test_a_vpc_is_given_a_range_later_and_gives_it_back(cloud: Cloud, account: Account) -> None:
    ec2 = account.ec2
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    own = ec2.create_security_group(GroupName="own", Description="d", VpcId=vpc)["GroupId"]
    added = ec2.associate_vpc_cidr_block(VpcId=vpc, AmazonProvidedIpv6CidrBlock=True)["Ipv6CidrBlockAssociation"]
    assert added["Ipv6CidrBlockState"] == {"State": "associating"}
    for group in ec2.describe_security_groups(Filters=filtered("vpc-id", vpc))["SecurityGroups"]:
        assert group["IpPermissionsEgress"][0]["Ipv6Ranges"] == [{"CidrIpv6": EVERYWHERE}]
    assert not ordered(cloud, Router, vpc).acls
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
    part = added["Ipv6CidrBlock"].replace("/56", "/64")
    block = ec2.associate_subnet_cidr_block(SubnetId=subnet, Ipv6CidrBlock=part)["Ipv6CidrBlockAssociation"]
    (shown,) = ec2.describe_subnets(Filters=filtered("ipv6-cidr-block-association.ipv6-cidr-block", part))["Subnets"]
    assert shown["Ipv6CidrBlockAssociationSet"][0]["AssociationId"] == block["AssociationId"]
    with refused("DependencyViolation"):
        ec2.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
    with refused("InvalidSubnet.Conflict"):
        ec2.associate_subnet_cidr_block(SubnetId=subnet, Ipv6CidrBlock=part)
    port = ec2.create_network_interface(SubnetId=subnet, Ipv6AddressCount=1)["NetworkInterface"]
    with refused("DependencyViolation"):
        ec2.disassociate_subnet_cidr_block(AssociationId=block["AssociationId"])
    ec2.unassign_ipv6_addresses(
        NetworkInterfaceId=port["NetworkInterfaceId"], Ipv6Addresses=[port["Ipv6Addresses"][0]["Ipv6Address"]]
    )
    gone = ec2.disassociate_subnet_cidr_block(AssociationId=block["AssociationId"])["Ipv6CidrBlockAssociation"]
    assert gone["Ipv6CidrBlockState"] == {"State": "disassociating"}
    ec2.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
    assert not ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"]
    ec2.delete_security_group(GroupId=own)


def test_bad_ranges_of_subnets_are_refused(lab: Lab) -> None:
    ec2 = lab.account.ec2

    def dual(cidr: str) -> Ask:
        return lambda: ec2.create_subnet(VpcId=lab.vpc, CidrBlock="10.1.9.0/24", Ipv6CidrBlock=cidr)

    for code, cidr in (
        ("InvalidSubnet.Conflict", lab.part(1)),
        ("InvalidSubnet.Range", "2001:db8::/64"),
        ("InvalidSubnet.Range", lab.cidr),
        ("InvalidParameterValue", "10.1.9.0/24"),
    ):
        with refused(code):
            dual(cidr)()


def test_network_interfaces_have_addresses(cloud: Cloud, lab: Lab) -> None:
    ec2, subnet = lab.account.ec2, lab.subnet
    base = ipaddress.ip_network(lab.part(1))
    plain = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]
    assert plain["Ipv6Addresses"] == []
    ec2.modify_subnet_attribute(SubnetId=subnet, AssignIpv6AddressOnCreation={"Value": True})
    assert ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AssignIpv6AddressOnCreation"]
    wide = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]
    (own,) = (each["Ipv6Address"] for each in wide["Ipv6Addresses"])
    assert ipaddress.ip_address(own) in base
    named = ec2.create_network_interface(SubnetId=subnet, Ipv6Addresses=[{"Ipv6Address": f"{base[16]}"}])
    assert named["NetworkInterface"]["Ipv6Addresses"][0]["Ipv6Address"] == str(base[16])
    ident = plain["NetworkInterfaceId"]
    assigned = ec2.assign_ipv6_addresses(NetworkInterfaceId=ident, Ipv6AddressCount=2)["AssignedIpv6Addresses"]
    ec2.assign_ipv6_addresses(NetworkInterfaceId=ident, Ipv6Addresses=[base[17].exploded])
    assert ordered(cloud, Port, ident).ipv6 == (*assigned, str(base[17]))
    (found,) = ec2.describe_network_interfaces(Filters=filtered("ipv6-addresses.ipv6-address", str(base[17])))[
        "NetworkInterfaces"
    ]
    assert found["NetworkInterfaceId"] == ident
    refusals: list[tuple[str, Ask]] = [
        (
            "InvalidIPAddress.InUse",
            lambda: ec2.assign_ipv6_addresses(NetworkInterfaceId=ident, Ipv6Addresses=[str(base[16])]),
        ),
        (
            "InvalidParameterValue",
            lambda: ec2.assign_ipv6_addresses(NetworkInterfaceId=ident, Ipv6Addresses=["2001:db8::1"]),
        ),
        (
            "InvalidParameterValue",
            lambda: ec2.assign_ipv6_addresses(NetworkInterfaceId=ident, Ipv6Addresses=[str(base[1])]),
        ),
        ("InvalidParameterCombination", lambda: ec2.assign_ipv6_addresses(NetworkInterfaceId=ident)),
        (
            "InvalidParameterValue",
            lambda: ec2.unassign_ipv6_addresses(NetworkInterfaceId=ident, Ipv6Addresses=[str(base[16])]),
        ),
        (
            "PrivateIpAddressLimitExceeded",
            lambda: ec2.assign_ipv6_addresses(NetworkInterfaceId=ident, Ipv6AddressCount=1000),
        ),
    ]
    for code, ask in refusals:
        with refused(code):
            ask()
    default = ec2.describe_subnets(Filters=filtered("default-for-az", "true"))["Subnets"][0]["SubnetId"]
    with refused("InvalidParameterValue"):
        ec2.create_network_interface(SubnetId=default, Ipv6AddressCount=1)
    with refused("InvalidParameterValue"):
        ec2.modify_subnet_attribute(SubnetId=default, AssignIpv6AddressOnCreation={"Value": True})


def test_instances_have_addresses(cloud: Cloud, lab: Lab) -> None:
    account, base = lab.account, ipaddress.ip_network(lab.part(1))
    image = cloud.add_image("wide", account.caller, public=False)
    (one,) = account.launch(ImageId=image.ec2_id, SubnetId=lab.subnet, Ipv6Addresses=[{"Ipv6Address": str(base[20])}])
    shown = account.show(one)
    assert shown["Ipv6Address"] == str(base[20])
    interfaces = [{"DeviceIndex": 0, "SubnetId": lab.subnet, "Ipv6AddressCount": 2}]
    several = account.launch(ImageId=image.ec2_id, MinCount=2, MaxCount=2, NetworkInterfaces=interfaces)
    own = [
        each["Ipv6Address"]
        for ident in several
        for each in account.show(ident)["NetworkInterfaces"][0]["Ipv6Addresses"]
    ]
    assert len(set(own)) == 4
    (found,) = account.ec2.describe_instances(Filters=filtered("ipv6-address", str(base[20])))["Reservations"]
    assert found["Instances"][0]["InstanceId"] == one
    with refused("InvalidParameterCombination"):
        account.launch(
            ImageId=image.ec2_id, MinCount=2, MaxCount=2, SubnetId=lab.subnet,
            Ipv6Addresses=[{"Ipv6Address": str(base[30])}],
        )  # fmt: skip


def test_routes_lead_outside_both_ways_or_one_way(cloud: Cloud, lab: Lab) -> None:
    ec2, table = lab.account.ec2, lab.table()
    port = ec2.create_network_interface(SubnetId=lab.subnet, Ipv6AddressCount=1)["NetworkInterface"]
    network = _network_of(cloud, lab.subnet)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=lab.vpc)
    ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock=EVERYWHERE, GatewayId=gateway)
    assert lab.routes()[EVERYWHERE]["State"] == "active"
    order: RouterSpec = ordered(cloud, Router, lab.vpc)
    assert order.ipv6 is not None
    assert order.ipv6.admitted == (lab.part(1),)
    assert not order.sources, "a route of IPv6 translates nothing"
    tags = [{"ResourceType": "egress-only-internet-gateway", "Tags": [{"Key": "Name", "Value": "out"}]}]
    answer = ec2.create_egress_only_internet_gateway(VpcId=lab.vpc, TagSpecifications=tags, ClientToken="t")  # type: ignore[arg-type]  # the stubs want literals
    again = ec2.create_egress_only_internet_gateway(VpcId=lab.vpc, TagSpecifications=tags, ClientToken="t")  # type: ignore[arg-type]
    assert answer["EgressOnlyInternetGateway"] == again["EgressOnlyInternetGateway"]
    egress = answer["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"]
    ec2.replace_route(RouteTableId=table, DestinationIpv6CidrBlock=EVERYWHERE, EgressOnlyInternetGatewayId=egress)
    ec2.create_route(
        RouteTableId=table, DestinationIpv6CidrBlock="2001:db8:9::1/48", NetworkInterfaceId=port["NetworkInterfaceId"]
    )
    (shown,) = ec2.describe_route_tables(Filters=filtered("route.egress-only-internet-gateway-id", egress))[
        "RouteTables"
    ]
    assert shown["RouteTableId"] == table
    spec: NetworkSpec = ordered(cloud, Network, network)
    assert spec.subnets[0].ipv6 is not None
    assert spec.subnets[0].ipv6.one_way == (OneWayRange(cidr=EVERYWHERE, others=(lab.cidr, "2001:db8:9::/48")),)
    (led,) = (route for route in ordered(cloud, Router, lab.vpc).tables[0].routes if route.target == "address")
    assert led.address == port["Ipv6Addresses"][0]["Ipv6Address"]
    (listed,) = ec2.describe_egress_only_internet_gateways(Filters=filtered("tag:Name", "out"))[
        "EgressOnlyInternetGateways"
    ]
    assert listed["Attachments"] == [{"VpcId": lab.vpc, "State": "attached"}]
    ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=egress)
    assert lab.routes()[EVERYWHERE]["State"] == "blackhole"
    ec2.delete_route(RouteTableId=table, DestinationIpv6CidrBlock=EVERYWHERE)
    assert EVERYWHERE not in lab.routes()


def _network_of(cloud: Cloud, subnet: str) -> str:
    with cloud.core.store.read() as tx:
        (row,) = [each for each in tx.list(Subnet) if each.ec2_id == subnet]
        return tx.need(Network, row.wanted.network).ec2_id


def test_bad_routes_are_refused(lab: Lab) -> None:
    ec2, table = lab.account.ec2, lab.table()
    egress = ec2.create_egress_only_internet_gateway(VpcId=lab.vpc)["EgressOnlyInternetGateway"]
    target = {"EgressOnlyInternetGatewayId": egress["EgressOnlyInternetGatewayId"]}
    refusals: list[Ask] = [
        lambda: ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target),  # type: ignore[arg-type]
        lambda: ec2.create_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE, **target),  # type: ignore[arg-type]
        lambda: ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock="10.0.0.0/8", **target),  # type: ignore[arg-type]
        lambda: ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock=lab.part(1), **target),  # type: ignore[arg-type]
    ]
    for ask in refusals:
        with refused("InvalidParameterValue"):
            ask()
    with refused("DependencyViolation"):
        ec2.delete_vpc(VpcId=lab.vpc)


def test_network_acls_have_entries_of_ipv6(cloud: Cloud, lab: Lab) -> None:
    ec2 = lab.account.ec2
    (acl,) = ec2.describe_network_acls(Filters=filtered("vpc-id", lab.vpc))["NetworkAcls"]
    ident = acl["NetworkAclId"]
    ec2.create_network_acl_entry(
        NetworkAclId=ident, RuleNumber=90, Egress=False, Protocol="58", RuleAction="deny",
        Ipv6CidrBlock="2001:DB8::/32", IcmpTypeCode={"Type": 128, "Code": -1},
    )  # fmt: skip
    (shown,) = ec2.describe_network_acls(Filters=filtered("entry.ipv6-cidr", "2001:db8::/32"))["NetworkAcls"]
    (entry,) = (each for each in shown["Entries"] if each["RuleNumber"] == 90)
    assert (entry["Ipv6CidrBlock"], entry["IcmpTypeCode"]) == ("2001:db8::/32", {"Type": 128, "Code": -1})
    (judged,) = ordered(cloud, Router, lab.vpc).acls
    assert len(judged.entries) == 5
    shared: dict[str, Any] = {
        "NetworkAclId": ident, "RuleNumber": 91, "Egress": False, "Protocol": "-1", "RuleAction": "deny",
    }  # fmt: skip
    for member, cidr in (("CidrBlock", "::/0"), ("Ipv6CidrBlock", "0.0.0.0/0")):
        with refused("InvalidParameterValue"):
            ec2.create_network_acl_entry(**{**shared, member: cidr})


def test_a_zone_is_refused_wherever_an_address_or_a_range_is(lab: Lab) -> None:
    ec2, subnet = lab.account.ec2, lab.subnet
    address, cidr = lab.part(1).replace("/64", "9%x || 1"), "2001:db8::%x || 1/64"
    (acl,) = ec2.describe_network_acls(Filters=filtered("vpc-id", lab.vpc))["NetworkAcls"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=lab.vpc)
    port = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    entry: dict[str, Any] = {"RuleNumber": 5, "Protocol": "-1", "RuleAction": "allow", "Egress": False}
    refusals: list[Ask] = [
        lambda: ec2.create_network_interface(SubnetId=subnet, Ipv6Addresses=[{"Ipv6Address": address}]),
        lambda: ec2.assign_ipv6_addresses(NetworkInterfaceId=port, Ipv6Addresses=[address]),
        lambda: ec2.create_route(RouteTableId=lab.table(), DestinationIpv6CidrBlock=cidr, GatewayId=gateway),
        lambda: ec2.create_network_acl_entry(NetworkAclId=acl["NetworkAclId"], Ipv6CidrBlock=cidr, **entry),
        lambda: ec2.create_subnet(
            VpcId=lab.vpc, CidrBlock="10.1.9.0/24", Ipv6CidrBlock=lab.part(9).replace("/64", "%x/64")
        ),
    ]
    for ask in refusals:
        with refused("InvalidParameterValue"):
            ask()
