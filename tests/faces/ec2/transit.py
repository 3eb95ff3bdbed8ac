"""The transit gateways of one project, and what another project attempts with their ids, for `test_strangers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faces.ec2.cloud import Account

NO_GATEWAY, NO_ATTACHMENT = "InvalidTransitGatewayID.NotFound", "InvalidTransitGatewayAttachmentID.NotFound"
NO_SUBNET, NO_TABLE, NO_VPC = "InvalidSubnetID.NotFound", "InvalidRouteTableID.NotFound", "InvalidVpcID.NotFound"

ATTEMPTS: list[tuple[str, dict[str, str], str]] = [
    *(
        (f"{verb}TransitGateway{of}", {"TransitGatewayId": "{hub}"}, NO_GATEWAY)
        for verb, of in (("Create", "RouteTable"), ("Delete", ""), ("Modify", ""))
    ),
    *(
        ("CreateTransitGatewayVpcAttachment", {"TransitGatewayId": hub, "VpcId": vpc, "SubnetIds.1": subnet}, code)
        for hub, vpc, subnet, code in (
            ("{hub}", "{my_spoke}", "{my_in_spoke}", NO_GATEWAY),
            ("{my_hub}", "{spoke}", "{my_in_spoke}", NO_VPC),
            ("{my_hub}", "{my_spoke}", "{in_spoke}", NO_SUBNET),
        )
    ),
    *(
        (f"{verb}TransitGatewayVpcAttachment", {"TransitGatewayAttachmentId": "{attached}"}, NO_ATTACHMENT)
        for verb in ("Accept", "Delete", "Modify", "Reject")
    ),
    ("GetTransitGatewayAttachmentPropagations", {"TransitGatewayAttachmentId": "{attached}"}, NO_ATTACHMENT),
    *(
        (
            f"{action}RouteTable{of}",
            {"TransitGatewayRouteTableId": f"{{{table}}}", "TransitGatewayAttachmentId": f"{{{attachment}}}"},
            code,
        )
        for action, of in (
            *(("AssociateTransitGateway", ""), ("DisassociateTransitGateway", "")),
            *(("EnableTransitGateway", "Propagation"), ("DisableTransitGateway", "Propagation")),
        )
        for table, attachment, code in (
            ("hub_table", "my_attached", NO_TABLE),
            ("my_hub_table", "attached", NO_ATTACHMENT),
        )
    ),
    *(
        (
            f"{verb}TransitGatewayRoute",
            {"TransitGatewayRouteTableId": "{hub_table}", "DestinationCidrBlock": "10.7.0.0/16", **target},
            NO_TABLE,
        )
        for verb, target in (("Create", {"Blackhole": "true"}), ("Replace", {"Blackhole": "true"}), ("Delete", {}))
    ),
    *(
        (
            f"{verb}TransitGatewayRoute",
            {
                "TransitGatewayRouteTableId": "{my_hub_table}",
                "DestinationCidrBlock": "10.7.0.0/16",
                "TransitGatewayAttachmentId": "{attached}",
            },
            NO_ATTACHMENT,
        )
        for verb in ("Create", "Replace")
    ),
    ("DeleteTransitGatewayRouteTable", {"TransitGatewayRouteTableId": "{hub_table}"}, NO_TABLE),
    *(
        (f"GetTransitGatewayRouteTable{of}", {"TransitGatewayRouteTableId": "{hub_table}"}, NO_TABLE)
        for of in ("Associations", "Propagations")
    ),
    (
        "SearchTransitGatewayRoutes",
        {"TransitGatewayRouteTableId": "{hub_table}", "Filter.1.Name": "state", "Filter.1.Value.1": "active"},
        NO_TABLE,
    ),
]
"""Action, parameters and code, as `test_strangers` has them."""


def holdings(account: Account) -> dict[str, str]:
    """A transit gateway with its table, and a VPC with a subnet that is attached; by the words of ATTEMPTS."""
    ec2 = account.ec2
    gateway = ec2.create_transit_gateway()["TransitGateway"]
    spoke = ec2.create_vpc(CidrBlock="10.5.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=spoke, CidrBlock="10.5.1.0/24")["Subnet"]["SubnetId"]
    attachment = ec2.create_transit_gateway_vpc_attachment(
        TransitGatewayId=gateway["TransitGatewayId"], VpcId=spoke, SubnetIds=[subnet]
    )["TransitGatewayVpcAttachment"]
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [spoke]}])["RouteTables"]
    return {
        "hub": gateway["TransitGatewayId"],
        "hub_table": gateway["Options"]["AssociationDefaultRouteTableId"],
        "spoke": spoke,
        "in_spoke": subnet,
        "spoke_table": table["RouteTableId"],
        "attached": attachment["TransitGatewayAttachmentId"],
    }
