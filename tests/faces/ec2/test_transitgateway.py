"""Transit gateways, as boto3 makes them: VPCs are attached, tables lead among them; each refusal by Amazon's code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pileus.loops.router import ENGINE_KIND as ROUTER
from pileus.loops.transitgateway import ENGINE_KIND
from pileus.model.router import Router
from pileus.model.transitgateway import TransitGateway
from tests.faces.ec2.cloud import Account, Cloud, filtered, refused

if TYPE_CHECKING:
    from pileus.model.spec import RouterSpec, TransitGatewaySpec


@pytest.fixture
def account(cloud: Cloud) -> Account:
    """An account of the test's own."""
    return cloud.account()


def new_vpc(account: Account, number: int) -> tuple[str, str]:
    """A VPC with a range of its own, and its only subnet."""
    vpc = account.ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"]
    return vpc, account.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.{number}.1.0/24")["Subnet"]["SubnetId"]


def new_gateway(account: Account, **options: Any) -> tuple[str, str]:
    """A transit gateway and its default route table, empty if it has none."""
    chosen: Any = options
    answer = account.ec2.create_transit_gateway(Options=chosen)["TransitGateway"]
    return answer["TransitGatewayId"], answer["Options"].get("AssociationDefaultRouteTableId", "")


def attached(account: Account, gateway: str, vpc: str, subnet: str) -> str:
    """A new attachment."""
    answer = account.ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=gateway, VpcId=vpc, SubnetIds=[subnet])
    return str(answer["TransitGatewayVpcAttachment"]["TransitGatewayAttachmentId"])


def routes(account: Account, table: str, name: str = "state", value: str = "*") -> list[tuple[str, str, str]]:
    """Range, type and state of the routes of a transit gateway's table that fit a filter."""
    search = account.ec2.search_transit_gateway_routes(TransitGatewayRouteTableId=table, Filters=filtered(name, value))
    return [(route["DestinationCidrBlock"], route["Type"], route["State"]) for route in search["Routes"]]


def ordered(account: Account, gateway: str) -> TransitGatewaySpec:
    """The order of a transit gateway."""
    core = account.cloud.core
    with core.store.read() as tx:
        (row,) = tx.by_ec2(TransitGateway, [gateway]).values()
        return ENGINE_KIND.spec(tx, row, core.place)


def ordered_vpc(account: Account, vpc: str) -> RouterSpec:
    """The order of a VPC's router."""
    core = account.cloud.core
    with core.store.read() as tx:
        (row,) = tx.by_ec2(Router, [vpc]).values()
        return ROUTER.spec(tx, row, core.place)


def test_vpcs_are_attached_and_their_ranges_propagated(account: Account) -> None:
    ec2, (gateway, table) = account.ec2, new_gateway(account, AmazonSideAsn=64600)
    (one, in_one), (other, in_other) = new_vpc(account, 1), new_vpc(account, 2)
    near, far = attached(account, gateway, one, in_one), attached(account, gateway, other, in_other)
    assert routes(account, table) == [("10.1.0.0/16", "propagated", "active"), ("10.2.0.0/16", "propagated", "active")]
    spec = ordered(account, gateway)
    assert {link.table for link in spec.links} == {spec.tables[0].uuid}
    assert {route.peering for route in spec.tables[0].routes} == {link.uuid for link in spec.links}
    (end,) = ordered_vpc(account, one).peerings
    assert (end.address, end.other) == (spec.links[0].other, spec.links[0].address)

    main = ec2.describe_route_tables(Filters=filtered("vpc-id", one))["RouteTables"][0]["RouteTableId"]
    ec2.create_route(RouteTableId=main, DestinationCidrBlock="10.0.0.0/8", TransitGatewayId=gateway)
    assert ordered_vpc(account, one).tables[0].routes[0].peering == end.uuid

    def route() -> tuple[str, str]:
        shown = ec2.describe_route_tables(Filters=filtered("route.transit-gateway-id", gateway))["RouteTables"]
        (leading,) = (each for each in shown[0]["Routes"] if "TransitGatewayId" in each)
        return leading["TransitGatewayId"], leading["State"]

    assert route() == (gateway, "active")
    with refused("IncorrectState"):
        ec2.delete_transit_gateway(TransitGatewayId=gateway)
    for vpc, subnet in ((one, in_one), (other, in_other)):
        with refused("DependencyViolation"):
            ec2.delete_subnet(SubnetId=subnet)
        with refused("DependencyViolation"):
            ec2.delete_vpc(VpcId=vpc)
    added = ec2.associate_vpc_cidr_block(VpcId=other, CidrBlock="10.9.0.0/16")["CidrBlockAssociation"]
    assert ("10.9.0.0/16", "propagated", "active") in routes(account, table)
    ec2.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
    for attachment in (near, far):
        ec2.delete_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=attachment)
    assert route() == (gateway, "blackhole")
    assert ordered_vpc(account, one).peerings == ()
    assert routes(account, table) == []
    ec2.delete_transit_gateway(TransitGatewayId=gateway)
    (gone,) = ec2.describe_transit_gateways(TransitGatewayIds=[gateway])["TransitGateways"]
    assert gone["State"] == "deleting"
    with refused("InvalidTransitGatewayID.NotFound"):
        ec2.delete_transit_gateway(TransitGatewayId=gateway)
    with refused("InvalidRouteTableID.NotFound"):
        ec2.delete_transit_gateway_route_table(TransitGatewayRouteTableId=table)


def test_tables_are_associated_propagated_to_and_given_routes(account: Account) -> None:
    off: Any = {"DefaultRouteTableAssociation": "disable", "DefaultRouteTablePropagation": "disable"}
    ec2, (gateway, none) = account.ec2, new_gateway(account, **off)
    assert none == ""
    vpc, subnet = new_vpc(account, 1)
    ident = attached(account, gateway, vpc, subnet)
    assert ordered(account, gateway).links[0].table == ""
    answer = ec2.create_transit_gateway_route_table(TransitGatewayId=gateway)["TransitGatewayRouteTable"]
    table = answer["TransitGatewayRouteTableId"]
    both: Any = {"TransitGatewayRouteTableId": table, "TransitGatewayAttachmentId": ident}
    with refused("InvalidAssociation.NotFound"):
        ec2.disassociate_transit_gateway_route_table(**both)
    with refused("TransitGatewayRouteTablePropagation.NotFound"):
        ec2.disable_transit_gateway_route_table_propagation(**both)
    ec2.associate_transit_gateway_route_table(**both)
    with refused("Resource.AlreadyAssociated"):
        ec2.associate_transit_gateway_route_table(**both)
    ec2.enable_transit_gateway_route_table_propagation(**both)
    with refused("TransitGatewayRouteTablePropagation.Duplicate"):
        ec2.enable_transit_gateway_route_table_propagation(**both)
    with refused("IncorrectState"):
        ec2.delete_transit_gateway_route_table(TransitGatewayRouteTableId=table)
    end: Any = {"TransitGatewayAttachmentId": ident, "ResourceId": vpc, "ResourceType": "vpc"}
    listed: Any = {"TransitGatewayRouteTableId": table}
    shown: Any = ec2.get_transit_gateway_route_table_associations(**listed)["Associations"]
    assert shown == [{**end, "State": "associated"}]
    shown = ec2.get_transit_gateway_route_table_propagations(**listed)["TransitGatewayRouteTablePropagations"]
    assert shown == [{**end, "State": "enabled"}]
    shown = ec2.get_transit_gateway_attachment_propagations(TransitGatewayAttachmentId=ident)
    assert shown["TransitGatewayAttachmentPropagations"] == [{**listed, "State": "enabled"}]
    shown = ec2.describe_transit_gateway_attachments(TransitGatewayAttachmentIds=[ident])["TransitGatewayAttachments"]
    assert shown[0]["Association"] == {**listed, "State": "associated"}

    ec2.delete_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=ident)
    assert ec2.get_transit_gateway_route_table_associations(**listed)["Associations"] == []
    ec2.delete_transit_gateway_route_table(**listed)
    assert ec2.describe_transit_gateway_route_tables()["TransitGatewayRouteTables"] == []


def test_a_table_has_static_routes_and_blackholes(account: Account) -> None:
    ec2, (gateway, table) = account.ec2, new_gateway(account)
    vpc, subnet = new_vpc(account, 1)
    ident = attached(account, gateway, vpc, subnet)
    both: Any = {"TransitGatewayRouteTableId": table, "TransitGatewayAttachmentId": ident}
    listed: Any = {"TransitGatewayRouteTableId": table}
    ec2.create_transit_gateway_route(DestinationCidrBlock="0.0.0.0/0", **both)
    ec2.create_transit_gateway_route(DestinationCidrBlock="10.1.1.0/24", Blackhole=True, **listed)
    with refused("RouteAlreadyExists"):
        ec2.create_transit_gateway_route(DestinationCidrBlock="0.0.0.0/0", Blackhole=True, **listed)
    with refused("InvalidParameterCombination"):
        ec2.create_transit_gateway_route(DestinationCidrBlock="10.5.0.0/16", Blackhole=True, **both)
    with refused("MissingParameter"):
        ec2.create_transit_gateway_route(DestinationCidrBlock="10.5.0.0/16", **listed)
    with refused("InvalidParameterValue"):
        ec2.create_transit_gateway_route(DestinationCidrBlock="10.5.0.0.0", Blackhole=True, **listed)
    everywhere, range_of_vpc = ("0.0.0.0/0", "static", "active"), ("10.1.0.0/16", "propagated", "active")
    blackhole = ("10.1.1.0/24", "static", "blackhole")
    assert routes(account, table) == [everywhere, range_of_vpc, blackhole]
    assert [route.target for route in ordered(account, gateway).tables[0].routes] == ["peering", "peering", "nowhere"]
    assert routes(account, table, "type", "propagated") == [range_of_vpc]
    assert routes(account, table, "attachment.resource-id", vpc) == [everywhere, range_of_vpc]
    assert routes(account, table, "route-search.exact-match", "10.1.0.0/16") == [range_of_vpc]
    assert routes(account, table, "route-search.longest-prefix-match", "10.1.1.7") == [blackhole]
    assert routes(account, table, "route-search.longest-prefix-match", "10.1.2.7") == [range_of_vpc]
    assert routes(account, table, "route-search.subnet-of-match", "10.0.0.0/8") == [range_of_vpc, blackhole]
    assert routes(account, table, "route-search.supernet-of-match", "10.1.0.0/16") == [everywhere, range_of_vpc]
    part = ec2.search_transit_gateway_routes(Filters=filtered("state", "*"), MaxResults=5, **listed)
    assert part["AdditionalRoutesAvailable"] is False

    ec2.replace_transit_gateway_route(DestinationCidrBlock="0.0.0.0/0", Blackhole=True, **listed)
    assert ("0.0.0.0/0", "static", "blackhole") in routes(account, table)
    with refused("InvalidRoute.NotFound"):
        ec2.replace_transit_gateway_route(DestinationCidrBlock="10.5.0.0/16", Blackhole=True, **listed)
    ec2.delete_transit_gateway_route(DestinationCidrBlock="0.0.0.0/0", **listed)
    with refused("InvalidRoute.NotFound"):
        ec2.delete_transit_gateway_route(DestinationCidrBlock="0.0.0.0/0", **listed)
    ec2.disable_transit_gateway_route_table_propagation(**both)
    ec2.disassociate_transit_gateway_route_table(**both)
    assert routes(account, table) == [blackhole]


def test_default_tables_can_be_others(account: Account) -> None:
    ec2, (gateway, table) = account.ec2, new_gateway(account)
    with refused("IncorrectState"):
        ec2.delete_transit_gateway_route_table(TransitGatewayRouteTableId=table)
    other = ec2.create_transit_gateway_route_table(TransitGatewayId=gateway)["TransitGatewayRouteTable"]
    ident = other["TransitGatewayRouteTableId"]
    options: Any = {"AssociationDefaultRouteTableId": ident, "PropagationDefaultRouteTableId": ident}
    ec2.modify_transit_gateway(TransitGatewayId=gateway, Description="hub", Options=options)
    (shown,) = ec2.describe_transit_gateways(Filters=filtered("options.association-default-route-table-id", ident))[
        "TransitGateways"
    ]
    assert (shown["Description"], shown["State"]) == ("hub", "pending")
    ec2.delete_transit_gateway_route_table(TransitGatewayRouteTableId=table)
    vpc, subnet = new_vpc(account, 1)
    attached(account, gateway, vpc, subnet)
    assert routes(account, ident) == [("10.1.0.0/16", "propagated", "active")]
    foreign = new_gateway(account)[1]
    with refused("InvalidParameterValue"):
        ec2.modify_transit_gateway(TransitGatewayId=gateway, Options={"AssociationDefaultRouteTableId": foreign})
    with refused("InvalidParameterValue"):
        ec2.create_transit_gateway(Options={"AmazonSideAsn": 7})


def test_bad_attachments_are_refused(account: Account) -> None:
    ec2, (gateway, _) = account.ec2, new_gateway(account)
    (vpc, subnet), (other, foreign) = new_vpc(account, 1), new_vpc(account, 2)
    neighbour = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.2.0/24")["Subnet"]["SubnetId"]
    for subnets, code in (([foreign], "InvalidSubnetID.NotFound"), ([subnet, neighbour], "DuplicateSubnetsInSameZone")):
        with refused(code):
            ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=gateway, VpcId=vpc, SubnetIds=subnets)
    main = ec2.describe_route_tables(Filters=filtered("vpc-id", other))["RouteTables"][0]["RouteTableId"]
    with refused("InvalidTransitGatewayID.NotFound"):
        ec2.create_route(RouteTableId=main, DestinationCidrBlock="10.1.0.0/16", TransitGatewayId=gateway)
    tags: Any = [{"ResourceType": "transit-gateway-attachment", "Tags": [{"Key": "Name", "Value": "lab"}]}]
    ident = ec2.create_transit_gateway_vpc_attachment(
        TransitGatewayId=gateway, VpcId=vpc, SubnetIds=[subnet], TagSpecifications=tags
    )["TransitGatewayVpcAttachment"]["TransitGatewayAttachmentId"]
    with refused("DuplicateTransitGatewayAttachment"):
        attached(account, gateway, vpc, subnet)
    with refused("IncorrectState"):
        ec2.accept_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=ident)
    with refused("UnsupportedOperation"):
        ec2.create_transit_gateway(Options={"AutoAcceptSharedAttachments": "enable"})
    changed = ec2.modify_transit_gateway_vpc_attachment(
        TransitGatewayAttachmentId=ident, AddSubnetIds=[neighbour], RemoveSubnetIds=[subnet]
    )["TransitGatewayVpcAttachment"]
    assert changed["SubnetIds"] == [neighbour]
    with refused("InvalidSubnetID.NotFound"):
        ec2.modify_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=ident, RemoveSubnetIds=[subnet])
    with refused("MissingParameter"):
        ec2.modify_transit_gateway_vpc_attachment(TransitGatewayAttachmentId=ident, RemoveSubnetIds=[neighbour])
    ec2.create_tags(Resources=[ident, gateway], Tags=[{"Key": "Owner", "Value": "ann"}])
    (shown,) = ec2.describe_transit_gateway_vpc_attachments(Filters=filtered("tag:Owner", "ann"))[
        "TransitGatewayVpcAttachments"
    ]
    assert shown["TransitGatewayAttachmentId"] == ident
    assert len(shown["Tags"]) == 2
    with refused("InvalidTransitGatewayID.Malformed"):
        ec2.describe_transit_gateways(TransitGatewayIds=[ident])
