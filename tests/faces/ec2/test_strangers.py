"""What one project can do with the ids, names and addresses of another: the same as with ids of nothing."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from pileus.faces.ec2 import setting
from pileus.faces.ec2.call import ACTIONS
from pileus.faces.ec2.listed import EMPTY
from pileus.faces.wire.model import ServiceModel
from tests.faces.ec2 import profiles, transit
from tests.faces.ec2.cloud import code_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.faces.wire.http import Response
    from tests.faces.ec2.cloud import Account, Cloud

WITHOUT = {
    "AllocateAddress",
    "CreateDefaultSubnet",
    "CreateDefaultVpc",
    "CreateDhcpOptions",
    "CreateInternetGateway",
    "CreateKeyPair",
    "CreateLaunchTemplate",
    "CreateManagedPrefixList",
    "CreatePlacementGroup",
    "CreateTransitGateway",
    "CreateVpc",
    "DescribeAccountAttributes",
    "DescribeAvailabilityZones",
    "DescribeInstanceTypeOfferings",
    "DescribeInstanceTypes",
    *("DescribeRegions", "DescribeSecurityGroupVpcAssociations"),
    "DescribeTags",
    "ImportKeyPair",
    *EMPTY,
    *(name for (_, name), entry in ACTIONS.items() if entry.run.__module__ == setting.__name__),
}
"""Actions that name nothing of anybody's."""

PERMISSION = {"IpPermissions.1.IpProtocol": "tcp", "IpPermissions.1.FromPort": "22", "IpPermissions.1.ToPort": "22"}
ANYONE = {**PERMISSION, "IpPermissions.1.IpRanges.1.CidrIp": "0.0.0.0/0"}
GROUP = "IpPermissions.1.Groups.1."
LISTED = "IpPermissions.1.PrefixListIds.1.PrefixListId"
LOGGED = {"TrafficType": "ALL", "LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::logs"}
ENTRY = {"Protocol": "-1", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0"}
LAUNCH = {"MinCount": "1", "MaxCount": "1", "InstanceType": "m1.tiny"}
NO_INSTANCE, NO_GROUP = "InvalidInstanceID.NotFound", "InvalidGroup.NotFound"
NO_ALLOCATION, NO_ADDRESS = "InvalidAllocationID.NotFound", "InvalidAddress.NotFound"
NO_TOGETHER = "InvalidPlacementGroup.Unknown"
NO_PORT, NO_KEY, NO_VPC = "InvalidNetworkInterfaceID.NotFound", "InvalidKeyPair.NotFound", "InvalidVpcID.NotFound"
NO_GATEWAY, NO_TABLE, NO_NAT = "InvalidInternetGatewayID.NotFound", "InvalidRouteTableID.NotFound", "NatGatewayNotFound"
NO_SUBNET, NO_ASSOCIATION = "InvalidSubnetID.NotFound", "InvalidAssociationID.NotFound"
NO_LIST, NO_EGRESS = "InvalidPrefixListID.NotFound", "InvalidEgressOnlyInternetGatewayId.NotFound"
NO_TEMPLATE, NO_TEMPLATE_NAME = "InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateName.NotFoundException"
NO_OPTIONS = "InvalidDhcpOptionID.NotFound"
NO_PEERING = "InvalidVpcPeeringConnectionID.NotFound"
NO_ACL, NO_OPTIONS = "InvalidNetworkAclID.NotFound", "InvalidDhcpOptionID.NotFound"
NO_RULE = "InvalidSecurityGroupRuleId.NotFound"
NO_ATTACHMENT, AT_ONE = "InvalidAttachmentID.NotFound", {"DeviceIndex": "1"}
DESCRIBED = "SecurityGroupRuleDescription.1.SecurityGroupRuleId"

Attempt = tuple[str, dict[str, str], str]
"""Action, parameters (words in braces stand for the other project's, `my_` ones for the caller's own), code."""


NAMED = {
    "AllocationIds": ("allocation", NO_ALLOCATION),
    "DhcpOptionsIds": ("options", NO_OPTIONS),
    "EgressOnlyInternetGatewayIds": ("egress_gateway", NO_EGRESS),
    "FlowLogIds": ("log", "InvalidFlowLogId.NotFound"),
    "ImageIds": ("image", "InvalidAMIID.NotFound"),
    "InstanceIds": ("instance", NO_INSTANCE),
    "InternetGatewayIds": ("gateway", "InvalidInternetGatewayID.NotFound"),
    "KeyNames": ("key", NO_KEY),
    "KeyPairIds": ("key_id", NO_KEY),
    "LaunchTemplateIds": ("template", "InvalidLaunchTemplateId.NotFound"),
    "LaunchTemplateNames": ("template_name", "InvalidLaunchTemplateName.NotFoundException"),
    "NatGatewayIds": ("nat", "NatGatewayNotFound"),
    "NetworkAclIds": ("acl", NO_ACL),
    "NetworkInterfaceIds": ("port", NO_PORT),
    "PrefixListIds": ("list", "InvalidPrefixListID.NotFound"),
    "PublicIps": ("address", NO_ADDRESS),
    "RouteTableIds": ("table", "InvalidRouteTableID.NotFound"),
    "SecurityGroupRuleIds": ("rule", NO_RULE),
    "SnapshotIds": ("snapshot", "InvalidSnapshot.NotFound"),
    "SubnetIds": ("subnet", "InvalidSubnetID.NotFound"),
    "TransitGatewayAttachmentIds": ("attached", transit.NO_ATTACHMENT),
    "TransitGatewayIds": ("hub", transit.NO_GATEWAY),
    "TransitGatewayRouteTableIds": ("hub_table", NO_TABLE),
    "VolumeIds": ("volume", "InvalidVolume.NotFound"),
    "VpcIds": ("vpc", NO_VPC),
    "VpcPeeringConnectionIds": ("peering", NO_PEERING),
}
"""The members by which Describe actions name what they list: the word for it, and the code for an unknown one."""


def lists_by_name() -> Iterator[Attempt]:
    """Attempts of each Describe action, by each member of its model that NAMED has."""
    service = ServiceModel.load("ec2")
    for name in sorted(name for _, name in ACTIONS if name.startswith("Describe") and name not in EMPTY):
        reference = service.operation(name).input
        members = service.shapes[reference.shape].members if reference else {}
        for member in sorted(members.keys() & NAMED.keys()):
            word, code = NAMED[member]
            yield name, {f"{service.input_name(member, members[member])}.1": f"{{{word}}}"}, code


def changed(rule: str, **other: str) -> dict[str, str]:
    """A rule to be written anew, with this other side."""
    fields = {"IpProtocol": "tcp", "FromPort": "22", "ToPort": "22", **other}
    inner = {f"SecurityGroupRule.1.SecurityGroupRule.{name}": value for name, value in fields.items()}
    return {"SecurityGroupRule.1.SecurityGroupRuleId": rule, **inner}


ROOT = {"BlockDeviceMapping.1.DeviceName": "/dev/sda1", "BlockDeviceMapping.1.Ebs.SnapshotId": "{snapshot}"}

ATTEMPTS: list[Attempt] = [
    *lists_by_name(),
    ("StartInstances", {"InstanceId.1": "{instance}"}, NO_INSTANCE),
    ("StopInstances", {"InstanceId.1": "{instance}"}, NO_INSTANCE),
    ("RebootInstances", {"InstanceId.1": "{instance}"}, NO_INSTANCE),
    ("TerminateInstances", {"InstanceId.1": "{my_instance}", "InstanceId.2": "{instance}"}, NO_INSTANCE),
    ("GetConsoleOutput", {"InstanceId": "{instance}"}, NO_INSTANCE),
    ("DescribeInstanceTopology", {"GroupName.1": "{together}"}, NO_TOGETHER),
    ("GetConsoleScreenshot", {"InstanceId": "{instance}"}, NO_INSTANCE),
    ("GetPasswordData", {"InstanceId": "{instance}"}, NO_INSTANCE),
    ("MonitorInstances", {"InstanceId.1": "{instance}"}, NO_INSTANCE),
    ("UnmonitorInstances", {"InstanceId.1": "{my_instance}", "InstanceId.2": "{instance}"}, NO_INSTANCE),
    ("ModifyInstanceMetadataOptions", {"InstanceId": "{instance}", "HttpTokens": "required"}, NO_INSTANCE),
    ("ModifyInstancePlacement", {"InstanceId": "{instance}", "GroupName": ""}, NO_INSTANCE),
    ("ModifyInstancePlacement", {"InstanceId": "{my_instance}", "GroupName": "{together}"}, NO_TOGETHER),
    ("ModifyInstancePlacement", {"InstanceId": "{my_instance}", "GroupId": "{together_id}"}, NO_TOGETHER),
    ("ResetInstanceAttribute", {"InstanceId": "{instance}", "Attribute": "kernel"}, NO_INSTANCE),
    ("DescribeInstanceAttribute", {"InstanceId": "{instance}", "Attribute": "userData"}, NO_INSTANCE),
    ("ModifyInstanceAttribute", {"InstanceId": "{instance}", "DisableApiTermination.Value": "true"}, NO_INSTANCE),
    ("ModifyInstanceAttribute", {"InstanceId": "{my_instance}", "GroupId.1": "{group}"}, NO_GROUP),
    ("RunInstances", {**LAUNCH, "ImageId": "{image}"}, "InvalidAMIID.NotFound"),
    ("RunInstances", {**LAUNCH, "ImageId": "{my_image}", "KeyName": "{key}"}, NO_KEY),
    ("RunInstances", {**LAUNCH, "ImageId": "{my_image}", "SecurityGroupId.1": "{group}"}, NO_GROUP),
    ("RunInstances", {**LAUNCH, "ImageId": "{my_image}", "SecurityGroup.1": "{group_name}"}, NO_GROUP),
    ("RunInstances", {**LAUNCH, "ImageId": "{my_image}", "SubnetId": "{subnet}"}, "InvalidSubnetID.NotFound"),
    ("CreateImage", {"InstanceId": "{instance}", "Name": "taken over"}, NO_INSTANCE),
    ("DeregisterImage", {"ImageId": "{image}"}, "InvalidAMIID.NotFound"),
    ("DescribeImageAttribute", {"ImageId": "{image}", "Attribute": "launchPermission"}, "InvalidAMIID.NotFound"),
    ("ModifyImageAttribute", {"ImageId": "{image}", "Description.Value": "mine"}, "InvalidAMIID.NotFound"),
    ("ResetImageAttribute", {"ImageId": "{image}", "Attribute": "launchPermission"}, "InvalidAMIID.NotFound"),
    ("RunInstances", {**LAUNCH, "ImageId": "{my_image}", "Placement.GroupName": "{together}"}, NO_TOGETHER),
    ("RunInstances", {**LAUNCH, "ImageId": "{my_image}", "Placement.GroupId": "{together_id}"}, NO_TOGETHER),
    ("DescribePlacementGroups", {"GroupName.1": "{together}"}, NO_TOGETHER),
    ("DescribePlacementGroups", {"GroupId.1": "{together_id}"}, NO_TOGETHER),
    ("DeletePlacementGroup", {"GroupName": "{together}"}, NO_TOGETHER),
    ("DescribeSecurityGroups", {"GroupId.1": "{group}"}, NO_GROUP),
    ("DescribeSecurityGroups", {"GroupName.1": "{group_name}"}, NO_GROUP),
    ("CreateSecurityGroup", {"GroupName": "mine", "GroupDescription": "d", "VpcId": "{vpc}"}, NO_VPC),
    ("DescribeSecurityGroupReferences", {"GroupId.1": "{group}"}, NO_GROUP),
    ("GetSecurityGroupsForVpc", {"VpcId": "{vpc}"}, NO_VPC),
    ("DeleteSecurityGroup", {"GroupId": "{group}"}, NO_GROUP),
    ("DeleteSecurityGroup", {"GroupName": "{group_name}"}, NO_GROUP),
    ("AuthorizeSecurityGroupIngress", {"GroupId": "{group}", **ANYONE}, NO_GROUP),
    ("AuthorizeSecurityGroupIngress", {"GroupId": "{my_group}", **PERMISSION, GROUP + "GroupId": "{group}"}, NO_GROUP),
    (
        "AuthorizeSecurityGroupIngress",
        {"GroupId": "{my_group}", **PERMISSION, GROUP + "GroupId": "{group}", GROUP + "UserId": "{number}"},
        NO_GROUP,
    ),
    (
        "AuthorizeSecurityGroupIngress",
        {"GroupId": "{my_group}", "SourceSecurityGroupName": "{group_name}", "SourceSecurityGroupOwnerId": "{number}"},
        NO_GROUP,
    ),
    ("AuthorizeSecurityGroupEgress", {"GroupId": "{group}", **ANYONE}, NO_GROUP),
    ("AuthorizeSecurityGroupEgress", {"GroupId": "{my_group}", **PERMISSION, GROUP + "GroupId": "{group}"}, NO_GROUP),
    ("RevokeSecurityGroupIngress", {"GroupId": "{group}", **ANYONE}, NO_GROUP),
    ("RevokeSecurityGroupEgress", {"GroupId": "{group}", **ANYONE}, NO_GROUP),
    (
        "RevokeSecurityGroupIngress",
        {"GroupId": "{my_group}", "SecurityGroupRuleId.1": "{rule}"},
        NO_RULE,
    ),
    ("ModifySecurityGroupRules", {"GroupId": "{group}", **changed("{rule}", CidrIpv4="0.0.0.0/0")}, NO_GROUP),
    ("ModifySecurityGroupRules", {"GroupId": "{my_group}", **changed("{rule}", CidrIpv4="0.0.0.0/0")}, NO_RULE),
    (
        "ModifySecurityGroupRules",
        {"GroupId": "{my_group}", **changed("{my_rule}", ReferencedGroupId="{group}")},
        NO_GROUP,
    ),
    *(
        (f"UpdateSecurityGroupRuleDescriptions{way}", {"GroupId": f"{{{group}}}", DESCRIBED: f"{{{rule}}}"}, code)
        for way, rule in (("Ingress", "rule"), ("Egress", "egress"))
        for group, code in (("group", NO_GROUP), ("my_group", NO_RULE))
    ),
    ("AssociateDhcpOptions", {"DhcpOptionsId": "{options}", "VpcId": "{my_vpc}"}, NO_OPTIONS),
    ("AssociateDhcpOptions", {"DhcpOptionsId": "{my_options}", "VpcId": "{vpc}"}, NO_VPC),
    ("DeleteDhcpOptions", {"DhcpOptionsId": "{options}"}, NO_OPTIONS),
    ("DeleteVpc", {"VpcId": "{vpc}"}, NO_VPC),
    ("ModifyVpcAttribute", {"VpcId": "{vpc}", "EnableDnsSupport.Value": "false"}, NO_VPC),
    ("AssociateVpcCidrBlock", {"VpcId": "{vpc}", "CidrBlock": "10.9.0.0/16"}, NO_VPC),
    (
        "DisassociateVpcCidrBlock",
        {"AssociationId": "{range}"},
        "InvalidVpcCidrBlockAssociationIdError.NotFound",
    ),
    ("CreateNetworkAcl", {"VpcId": "{vpc}"}, NO_VPC),
    ("DeleteNetworkAcl", {"NetworkAclId": "{acl}"}, NO_ACL),
    *(
        (action, {"NetworkAclId": "{acl}", "RuleNumber": "7", "Egress": "false", **entry}, NO_ACL)
        for action, entry in (
            ("CreateNetworkAclEntry", ENTRY),
            ("ReplaceNetworkAclEntry", ENTRY),
            ("DeleteNetworkAclEntry", {}),
        )
    ),
    ("ReplaceNetworkAclAssociation", {"AssociationId": "{listed}", "NetworkAclId": "{my_acl}"}, NO_ASSOCIATION),
    ("ReplaceNetworkAclAssociation", {"AssociationId": "{my_listed}", "NetworkAclId": "{acl}"}, NO_ACL),
    ("CreateSubnet", {"VpcId": "{vpc}", "CidrBlock": "172.31.128.0/24"}, NO_VPC),
    ("RegisterImage", {"Name": "taken over", **ROOT}, "InvalidSnapshot.NotFound"),
    ("ModifyVpcTenancy", {"VpcId": "{vpc}", "InstanceTenancy": "default"}, NO_VPC),
    ("GetSubnetCidrReservations", {"SubnetId": "{subnet}"}, NO_SUBNET),
    ("DeleteSnapshot", {"SnapshotId": "{snapshot}"}, "InvalidSnapshot.NotFound"),
    ("DeleteSubnet", {"SubnetId": "{subnet}"}, NO_SUBNET),
    ("ModifySubnetAttribute", {"SubnetId": "{subnet}", "MapPublicIpOnLaunch.Value": "false"}, NO_SUBNET),
    ("AttachInternetGateway", {"InternetGatewayId": "{gateway}", "VpcId": "{my_vpc}"}, NO_GATEWAY),
    ("AttachInternetGateway", {"InternetGatewayId": "{my_gateway}", "VpcId": "{vpc}"}, NO_VPC),
    ("DetachInternetGateway", {"InternetGatewayId": "{gateway}", "VpcId": "{my_vpc}"}, NO_GATEWAY),
    ("DetachInternetGateway", {"InternetGatewayId": "{my_gateway}", "VpcId": "{vpc}"}, NO_VPC),
    ("DeleteInternetGateway", {"InternetGatewayId": "{gateway}"}, NO_GATEWAY),
    ("CreateEgressOnlyInternetGateway", {"VpcId": "{vpc}"}, NO_VPC),
    ("DeleteEgressOnlyInternetGateway", {"EgressOnlyInternetGatewayId": "{egress_gateway}"}, NO_EGRESS),
    ("AssociateSubnetCidrBlock", {"SubnetId": "{subnet}", "Ipv6CidrBlock": "2001:db8::/64"}, NO_SUBNET),
    (
        "DisassociateSubnetCidrBlock",
        {"AssociationId": "{subnet_range}"},
        "InvalidSubnetCidrBlockAssociationID.NotFound",
    ),
    ("AssociateVpcCidrBlock", {"VpcId": "{vpc}", "AmazonProvidedIpv6CidrBlock": "true"}, NO_VPC),
    ("AssignIpv6Addresses", {"NetworkInterfaceId": "{port}", "Ipv6AddressCount": "1"}, NO_PORT),
    ("UnassignIpv6Addresses", {"NetworkInterfaceId": "{port}", "Ipv6Addresses.1": "2001:db8::1"}, NO_PORT),
    ("CreateNatGateway", {"SubnetId": "{subnet}", "AllocationId": "{my_allocation}"}, NO_SUBNET),
    ("CreateNatGateway", {"SubnetId": "{my_subnet}", "AllocationId": "{allocation}"}, NO_ALLOCATION),
    ("DeleteNatGateway", {"NatGatewayId": "{nat}"}, NO_NAT),
    ("CreateRouteTable", {"VpcId": "{vpc}"}, NO_VPC),
    ("DeleteRouteTable", {"RouteTableId": "{table}"}, NO_TABLE),
    ("AssociateRouteTable", {"RouteTableId": "{table}", "SubnetId": "{my_subnet}"}, NO_TABLE),
    ("AssociateRouteTable", {"RouteTableId": "{my_table}", "SubnetId": "{subnet}"}, NO_SUBNET),
    ("DisassociateRouteTable", {"AssociationId": "{tabled}"}, NO_ASSOCIATION),
    ("ReplaceRouteTableAssociation", {"AssociationId": "{tabled}", "RouteTableId": "{my_table}"}, NO_ASSOCIATION),
    ("ReplaceRouteTableAssociation", {"AssociationId": "{my_tabled}", "RouteTableId": "{table}"}, NO_TABLE),
    *(
        (action, {"RouteTableId": f"{{{table}}}", "DestinationCidrBlock": "10.7.0.0/16", **target}, code)
        for action in ("CreateRoute", "ReplaceRoute")
        for table, target, code in (
            ("table", {"GatewayId": "{my_gateway}"}, NO_TABLE),
            ("my_table", {"GatewayId": "{gateway}"}, NO_GATEWAY),
            ("my_table", {"NatGatewayId": "{nat}"}, NO_NAT),
            ("my_table", {"EgressOnlyInternetGatewayId": "{egress_gateway}"}, NO_EGRESS),
            ("my_table", {"NetworkInterfaceId": "{port}"}, NO_PORT),
            ("my_table", {"InstanceId": "{instance}"}, NO_INSTANCE),
            ("my_table", {"VpcPeeringConnectionId": "{peering}"}, NO_PEERING),
            ("my_spoke_table", {"TransitGatewayId": "{hub}"}, transit.NO_GATEWAY),
        )
    ),
    ("DeleteRoute", {"RouteTableId": "{table}", "DestinationCidrBlock": "0.0.0.0/0"}, NO_TABLE),
    ("DeleteRoute", {"RouteTableId": "{my_table}", "DestinationPrefixListId": "{list}"}, NO_LIST),
    *(
        (
            action,
            {"RouteTableId": "{my_table}", "DestinationPrefixListId": "{list}", "GatewayId": "{my_gateway}"},
            NO_LIST,
        )
        for action in ("CreateRoute", "ReplaceRoute")
    ),
    *(
        (f"{verb}SecurityGroup{way}", {"GroupId": "{my_group}", **PERMISSION, LISTED: "{list}"}, NO_LIST)
        for verb in ("Authorize", "Revoke")
        for way in ("Ingress", "Egress")
    ),
    ("GetLaunchTemplateData", {"InstanceId": "{instance}"}, NO_INSTANCE),
    *(
        (action, {f"{prefix}{member}": f"{{{word}}}", **params}, code)
        for action, prefix, params in (
            ("CreateLaunchTemplateVersion", "", {"LaunchTemplateData.InstanceType": "m1.tiny"}),
            ("DeleteLaunchTemplate", "", {}),
            ("DeleteLaunchTemplateVersions", "", {"LaunchTemplateVersion.1": "1"}),
            ("DescribeLaunchTemplateVersions", "", {}),
            ("ModifyLaunchTemplate", "", {"SetDefaultVersion": "1"}),
            ("RunInstances", "LaunchTemplate.", {**LAUNCH, "ImageId": "{my_image}"}),
        )
        for member, word, code in (
            ("LaunchTemplateId", "template", NO_TEMPLATE),
            ("LaunchTemplateName", "template_name", NO_TEMPLATE_NAME),
        )
    ),
    ("DeleteManagedPrefixList", {"PrefixListId": "{list}"}, NO_LIST),
    ("GetManagedPrefixListAssociations", {"PrefixListId": "{list}"}, NO_LIST),
    ("GetManagedPrefixListEntries", {"PrefixListId": "{list}"}, NO_LIST),
    ("ModifyManagedPrefixList", {"PrefixListId": "{list}", "PrefixListName": "mine"}, NO_LIST),
    (
        "RestoreManagedPrefixListVersion",
        {"PrefixListId": "{list}", "PreviousVersion": "1", "CurrentVersion": "1"},
        NO_LIST,
    ),
    ("CreateVpcPeeringConnection", {"VpcId": "{vpc}", "PeerVpcId": "{my_peer_vpc}"}, NO_VPC),
    ("CreateVpcPeeringConnection", {"VpcId": "{my_vpc}", "PeerVpcId": "{peer_vpc}"}, NO_VPC),
    *(
        (f"{verb}VpcPeeringConnection{more}", {"VpcPeeringConnectionId": "{peering}"}, NO_PEERING)
        for verb, more in (("Accept", ""), ("Reject", ""), ("Delete", ""), ("Modify", "Options"))
    ),
    *transit.ATTEMPTS,
    *profiles.ATTEMPTS,
    ("CreateFlowLogs", {"ResourceType": "VPC", "ResourceId.1": "{vpc}", **LOGGED}, NO_VPC),
    ("DeleteFlowLogs", {"FlowLogId.1": "{log}"}, "InvalidFlowLogId.NotFound"),
    ("CreateNetworkInterface", {"SubnetId": "{subnet}"}, NO_SUBNET),
    ("CreateNetworkInterface", {"SubnetId": "{my_subnet}", "SecurityGroupId.1": "{group}"}, NO_GROUP),
    ("DeleteNetworkInterface", {"NetworkInterfaceId": "{port}"}, NO_PORT),
    ("AttachNetworkInterface", {**AT_ONE, "NetworkInterfaceId": "{port}", "InstanceId": "{my_instance}"}, NO_PORT),
    ("AttachNetworkInterface", {**AT_ONE, "NetworkInterfaceId": "{my_eni}", "InstanceId": "{instance}"}, NO_INSTANCE),
    ("DetachNetworkInterface", {"AttachmentId": "{attachment}"}, NO_ATTACHMENT),
    ("DescribeNetworkInterfaceAttribute", {"NetworkInterfaceId": "{port}", "Attribute": "groupSet"}, NO_PORT),
    ("ModifyNetworkInterfaceAttribute", {"NetworkInterfaceId": "{port}", "Description.Value": "x"}, NO_PORT),
    ("ModifyNetworkInterfaceAttribute", {"NetworkInterfaceId": "{my_port}", "SecurityGroupId.1": "{group}"}, NO_GROUP),
    (
        "ModifyNetworkInterfaceAttribute",
        {
            "NetworkInterfaceId": "{my_port}",
            "Attachment.AttachmentId": "{attachment}",
            "Attachment.DeleteOnTermination": "false",
        },
        NO_ATTACHMENT,
    ),
    ("ResetNetworkInterfaceAttribute", {"NetworkInterfaceId": "{port}", "SourceDestCheck": "true"}, NO_PORT),
    ("AssignPrivateIpAddresses", {"NetworkInterfaceId": "{port}", "SecondaryPrivateIpAddressCount": "1"}, NO_PORT),
    ("UnassignPrivateIpAddresses", {"NetworkInterfaceId": "{port}", "PrivateIpAddress.1": "172.31.9.9"}, NO_PORT),
    ("DescribeVpcAttribute", {"VpcId": "{vpc}", "Attribute": "enableDnsSupport"}, NO_VPC),
    ("DescribeStaleSecurityGroups", {"VpcId": "{vpc}"}, NO_VPC),
    ("AssociateAddress", {"AllocationId": "{allocation}", "InstanceId": "{my_instance}"}, NO_ALLOCATION),
    ("AssociateAddress", {"PublicIp": "{address}", "InstanceId": "{my_instance}"}, NO_ADDRESS),
    ("AssociateAddress", {"AllocationId": "{my_allocation}", "InstanceId": "{instance}"}, NO_INSTANCE),
    ("AssociateAddress", {"AllocationId": "{my_allocation}", "NetworkInterfaceId": "{port}"}, NO_PORT),
    ("DisassociateAddress", {"AssociationId": "{association}"}, "InvalidAssociationID.NotFound"),
    ("DisassociateAddress", {"PublicIp": "{address}"}, NO_ADDRESS),
    ("ReleaseAddress", {"AllocationId": "{allocation}"}, NO_ALLOCATION),
    ("ReleaseAddress", {"PublicIp": "{address}"}, NO_ADDRESS),
    *(
        (action, {"ResourceId.1": "{my_instance}", "ResourceId.2": f"{{{word}}}", "Tag.1.Key": "owned"}, code)
        for action in ("CreateTags", "DeleteTags")
        for word, code in (
            ("instance", NO_INSTANCE),
            ("group", NO_GROUP),
            ("rule", NO_RULE),
            ("key_id", NO_KEY),
            ("volume", "InvalidVolume.NotFound"),
            ("port", NO_PORT),
            ("allocation", NO_ALLOCATION),
            ("image", "InvalidAMIID.NotFound"),
            ("subnet", "InvalidSubnetID.NotFound"),
            ("vpc", NO_VPC),
            ("list", NO_LIST),
            ("template", NO_TEMPLATE),
        )
    ),
]

_OF_ONE = {
    "DescribeImageAttribute",
    "DescribeInstanceAttribute",
    "DescribeLaunchTemplateVersions",
    "DescribeSecurityGroupReferences",
    "DescribeNetworkInterfaceAttribute",
    "DescribeStaleSecurityGroups",
    "DescribeVpcAttribute",
}
LISTS = sorted(name for _, name in ACTIONS if name.startswith("Describe") and name not in _OF_ONE)
_REQUEST = re.compile(r"<requestId>.*?</requestId>|<RequestI[dD]>.*?</RequestI[dD]>", re.IGNORECASE)


def parts_of_a_vpc(account: Account, vpc: str) -> dict[str, str]:
    """DHCP options, the default ACL, a peering with another VPC, and IPv6 of that; by the words of ATTEMPTS."""
    ec2 = account.ec2
    options = ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": ["lab"]}])["DhcpOptions"]
    listed = ec2.describe_network_acls()["NetworkAcls"][0]["Associations"][0]
    peer = ec2.create_vpc(CidrBlock="10.6.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    peer_vpc = peer["VpcId"]
    wide = peer["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"].replace("/56", "/64")
    wide_subnet = ec2.create_subnet(VpcId=peer_vpc, CidrBlock="10.6.0.0/24", Ipv6CidrBlock=wide)["Subnet"]
    egress = ec2.create_egress_only_internet_gateway(VpcId=peer_vpc)["EgressOnlyInternetGateway"]
    peering = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=peer_vpc)["VpcPeeringConnection"]
    log: Any = {"TrafficType": "ALL", "LogDestinationType": "s3", "LogDestination": "arn:aws:s3:::all"}
    return {
        "log": ec2.create_flow_logs(ResourceIds=[vpc], ResourceType="VPC", **log)["FlowLogIds"][0],
        "options": options["DhcpOptionsId"],
        "acl": listed["NetworkAclId"],
        "listed": listed["NetworkAclAssociationId"],
        "peer_vpc": peer_vpc,
        "peering": peering["VpcPeeringConnectionId"],
        "egress_gateway": egress["EgressOnlyInternetGatewayId"],
        "subnet_range": wide_subnet["Ipv6CidrBlockAssociationSet"][0]["AssociationId"],
    }


def holdings(cloud: Cloud, account: Account, name: str) -> dict[str, str]:
    """One of everything, in the project of `account`; by the words of ATTEMPTS."""
    ec2 = account.ec2
    image = cloud.add_image(f"image-{name}", account.caller, public=False)
    key = ec2.create_key_pair(KeyName=f"key-{name}")
    together = ec2.create_placement_group(GroupName=f"together-{name}")["PlacementGroup"]
    group = ec2.create_security_group(GroupName=f"group-{name}", Description="d")["GroupId"]
    rule = account.post(params={"Action": "AuthorizeSecurityGroupIngress", "GroupId": group, **ANYONE})
    assert rule.status == 200
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    (ident,) = account.launch(ImageId=image.ec2_id, SecurityGroupIds=[group], UserData=f"data of {name}")
    cloud.observe(ident)
    shown = account.show(ident)
    allocation = ec2.allocate_address()
    nat = ec2.create_nat_gateway(SubnetId=shown["SubnetId"], AllocationId=ec2.allocate_address()["AllocationId"])
    table = ec2.create_route_table(VpcId=shown["VpcId"])["RouteTable"]["RouteTableId"]
    tabled = ec2.associate_route_table(RouteTableId=table, SubnetId=shown["SubnetId"])
    added = ec2.associate_vpc_cidr_block(VpcId=shown["VpcId"], CidrBlock="10.8.0.0/16")
    prefixlist = ec2.create_managed_prefix_list(
        PrefixListName=f"list-{name}", MaxEntries=1, AddressFamily="IPv4", Entries=[{"Cidr": "192.0.2.0/24"}]
    )
    template = ec2.create_launch_template(
        LaunchTemplateName=f"template-{name}", LaunchTemplateData={"KeyName": f"key-{name}"}
    )
    linked = ec2.associate_address(AllocationId=allocation["AllocationId"], InstanceId=ident)
    eni = ec2.create_network_interface(SubnetId=shown["SubnetId"])["NetworkInterface"]
    return {
        "image": image.ec2_id,
        "key": f"key-{name}",
        "key_id": key["KeyPairId"],
        "together": together["GroupName"],
        "together_id": together["GroupId"],
        "group": group,
        "group_name": f"group-{name}",
        "rule": next(rule["SecurityGroupRuleId"] for rule in rules if not rule["IsEgress"]),
        "egress": next(rule["SecurityGroupRuleId"] for rule in rules if rule["IsEgress"]),
        "instance": ident,
        "subnet": shown["SubnetId"],
        "vpc": shown["VpcId"],
        "snapshot": image.ec2_id.replace("ami-", "snap-"),
        "gateway": shown["VpcId"].replace("vpc-", "igw-"),
        "nat": nat["NatGateway"]["NatGatewayId"],
        "range": added["CidrBlockAssociation"]["AssociationId"],
        "table": table,
        "tabled": tabled["AssociationId"],
        "volume": shown["BlockDeviceMappings"][0]["Ebs"]["VolumeId"],
        "port": shown["NetworkInterfaces"][0]["NetworkInterfaceId"],
        "eni": eni["NetworkInterfaceId"],
        "attachment": shown["NetworkInterfaces"][0]["Attachment"]["AttachmentId"],
        "allocation": allocation["AllocationId"],
        "address": allocation["PublicIp"],
        "association": linked["AssociationId"],
        "list": prefixlist["PrefixList"]["PrefixListId"],
        "template": template["LaunchTemplate"]["LaunchTemplateId"],
        "template_name": f"template-{name}",
        "number": account.number,
        **parts_of_a_vpc(account, shown["VpcId"]),
        **transit.holdings(account),
        **profiles.holdings(account, ident, name),
    }


def nothings(theirs: dict[str, str]) -> dict[str, str]:
    """Words of the same shapes that name nothing at all."""

    def other(word: str) -> str:
        prefix, dash, rest = word.rpartition("-")
        if dash and len(rest) == 17:
            return f"{prefix}-{secrets.token_hex(9)[:17]}"
        return "203.0.113.77" if word.count(".") == 3 else f"no-{word}"

    return {name: word if name == "number" else other(word) for name, word in theirs.items()}


def ask(account: Account, attempt: Attempt, words: dict[str, str]) -> tuple[Response, str]:
    """The answer, and its text without what is different in every one of them: request id, and the words."""
    action, params, _ = attempt
    response = account.post(params={"Action": action, **{name: text.format(**words) for name, text in params.items()}})
    text = _REQUEST.sub("", response.body.decode())
    for name, word in sorted(words.items(), key=lambda item: -len(item[1])):
        text = text.replace(word, f"[{name}]")
    return response, text


def everything(account: Account) -> list[str]:
    """All that an account can list."""
    answers = [account.post(params={"Action": name}) for name in LISTS]
    assert all(answer.status == 200 for answer in answers), [answer.body for answer in answers if answer.status != 200]
    return [_REQUEST.sub("", answer.body.decode()) for answer in answers]


@pytest.fixture(scope="module")
def owner(cloud: Cloud) -> tuple[Account, dict[str, str]]:
    """An account with one of everything."""
    account = cloud.account()
    return account, holdings(cloud, account, "own")


@pytest.fixture(scope="module")
def both(cloud: Cloud) -> tuple[Account, dict[str, str], Account, dict[str, str]]:
    """Two accounts, each with one of everything."""
    one, other = cloud.account(), cloud.account()
    return one, holdings(cloud, one, "one"), other, holdings(cloud, other, "other")


def test_every_action_is_attempted() -> None:
    attempted = {action for action, _, _ in ATTEMPTS}
    assert attempted | WITHOUT | {"DeleteKeyPair", "ModifyInstanceCreditSpecification"} == {name for _, name in ACTIONS}
    assert not attempted & WITHOUT


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: "-".join((attempt[0], *attempt[1].values()))[:70])
def test_what_is_anothers_is_not_there(both: tuple[Any, ...], attempt: Attempt) -> None:
    stranger, own, victim, theirs = both
    mine = {f"my_{name}": word for name, word in own.items()}
    before = victim.cloud.database()
    refusal, text = ask(stranger, attempt, theirs | mine)
    assert code_of(refusal) == attempt[2], text
    assert refusal.status == 400
    # Not a word tells it from what never was.
    assert text == ask(stranger, attempt, nothings(theirs) | mine)[1]
    assert victim.cloud.database() == before, "something was written"


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: "-".join((attempt[0], *attempt[1].values()))[:70])
def test_its_owner_finds_it(owner: tuple[Account, dict[str, str]], attempt: Attempt) -> None:
    account, own = owner
    with account.cloud.undone():
        answer, text = ask(account, attempt, own | {f"my_{name}": word for name, word in own.items()})
    assert code_of(answer) != attempt[2], text


def test_no_list_and_no_filter_shows_anothers(both: tuple[Any, ...]) -> None:
    stranger, own, victim, theirs = both
    seen, by_owner = "".join(everything(stranger)), "".join(everything(victim))
    for name, word in theirs.items():
        assert word not in seen, name
        assert word in by_owner, name
        assert own[name] in seen
    for kind in ("instance", "volume", "group", "subnet", "vpc", "port", "allocation", "key"):
        filter_name, action = {
            "instance": ("instance-id", "DescribeInstances"),
            "volume": ("volume-id", "DescribeVolumes"),
            "group": ("group-id", "DescribeSecurityGroups"),
            "subnet": ("subnet-id", "DescribeSubnets"),
            "vpc": ("vpc-id", "DescribeVpcs"),
            "port": ("network-interface-id", "DescribeNetworkInterfaces"),
            "allocation": ("allocation-id", "DescribeAddresses"),
            "key": ("key-name", "DescribeKeyPairs"),
        }[kind]
        asked = {"Action": action, "Filter.1.Name": filter_name}
        found = [
            who.post(params={**asked, "Filter.1.Value.1": theirs[kind]}).body.decode().count(theirs[kind])
            for who in (stranger, victim)
        ]
        assert found[0] == 0, kind
        assert found[1] > 0, kind


def test_credits_of_anothers_instance_are_refused_as_of_none(both: tuple[Any, ...]) -> None:
    stranger, _, _, theirs = both
    for words in (theirs, nothings(theirs)):
        spec: Any = [{"InstanceId": words["instance"], "CpuCredits": "standard"}]
        answer = stranger.ec2.modify_instance_credit_specification(InstanceCreditSpecifications=spec)
        assert answer["SuccessfulInstanceCreditSpecifications"] == []
        (refusal,) = answer["UnsuccessfulInstanceCreditSpecifications"]
        assert refusal["Error"]["Code"] == NO_INSTANCE
        assert refusal["Error"]["Message"] == f"The instance ID '{words['instance']}' does not exist"


def test_deleting_anothers_key_pair_deletes_nothing(both: tuple[Any, ...]) -> None:
    stranger, _, victim, theirs = both
    # EC2 says yes to the deletion of a key pair that is not there.
    for params in ({"KeyName": theirs["key"]}, {"KeyPairId": theirs["key_id"]}):
        assert stranger.post(params={"Action": "DeleteKeyPair", **params}).status == 200
    assert victim.ec2.describe_key_pairs(KeyNames=[theirs["key"]])["KeyPairs"]


def test_anothers_client_token_and_page_mean_nothing(cloud: Cloud) -> None:
    victim, stranger = cloud.account(), cloud.account()
    (theirs,) = victim.launch(ClientToken="shared")
    (own,) = stranger.launch(ClientToken="shared")
    assert theirs != own
    assert victim.launch(ClientToken="shared") == [theirs]
    victim.launch(6)
    token = victim.ec2.describe_instances(MaxResults=5)["NextToken"]
    page = stranger.ec2.describe_instances(MaxResults=5, NextToken=token)
    shown = {one["InstanceId"] for each in page["Reservations"] for one in each["Instances"]}
    assert shown <= {own}
