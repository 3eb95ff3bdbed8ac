"""Lists of what every VPC has by itself, and of what there is none of."""

from __future__ import annotations

import pytest

from pileus.faces.ec2.listed import EMPTY
from pileus.faces.wire.model import ServiceModel
from tests.faces.ec2.cloud import Account, Cloud, code_of, filtered, refused


@pytest.mark.parametrize("name", sorted(EMPTY))
def test_a_list_is_empty_and_no_id_is_in_it(account: Account, name: str) -> None:
    listed, service = EMPTY[name], ServiceModel.load("ec2")
    operation = service.operation(name)
    assert operation.input is not None
    assert operation.output is not None
    assert listed.member in service.shapes[operation.output.shape].members
    members = service.shapes[operation.input.shape].members
    ids = service.input_name(listed.ids, members[listed.ids])
    assert account.post(params={"Action": name}).status == 200
    filtered = {"Filter.1.Name": "state", "Filter.1.Value.1": "x"}
    assert account.post(params={"Action": name, **filtered}).status == 200
    assert code_of(account.post(params={"Action": name, f"{ids}.1": "x-" + "0" * 17})) == listed.absent


def test_each_vpc_has_its_ways(account: Account) -> None:
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    (subnet,) = account.ec2.describe_subnets()["Subnets"]
    (gateway,) = account.ec2.describe_internet_gateways(Filters=filtered("attachment.vpc-id", vpc))["InternetGateways"]
    assert gateway["Attachments"] == [{"State": "available", "VpcId": vpc}]
    (table,) = account.ec2.describe_route_tables(Filters=filtered("association.main", "true"))["RouteTables"]
    routes = {route["DestinationCidrBlock"]: route["GatewayId"] for route in table["Routes"]}
    assert routes == {"172.31.0.0/16": "local", "0.0.0.0/0": gateway["InternetGatewayId"]}
    assert table["VpcId"] == vpc
    (acl,) = account.ec2.describe_network_acls(Filters=filtered("default", "true"))["NetworkAcls"]
    assert [each["SubnetId"] for each in acl["Associations"]] == [subnet["SubnetId"]]
    assert [entry["RuleAction"] for entry in acl["Entries"] if entry["Egress"]] == ["allow", "deny"]
    options = account.ec2.describe_dhcp_options(DhcpOptionsIds=["default"])["DhcpOptions"]
    assert options[0]["DhcpConfigurations"][0] == {"Key": "domain-name", "Values": [{"Value": "internal"}]}
    found = account.ec2.describe_route_tables(RouteTableIds=[table["RouteTableId"]])["RouteTables"]
    assert found == [table]


def test_named_instances_have_standard_credits_and_none_is_unlimited(cloud: Cloud, account: Account) -> None:
    first, second = account.launch(2)
    ask = account.ec2.describe_instance_credit_specifications
    assert ask()["InstanceCreditSpecifications"] == []
    found = ask(InstanceIds=[first, second])["InstanceCreditSpecifications"]
    assert sorted(found, key=lambda item: item["InstanceId"]) == [
        {"InstanceId": ident, "CpuCredits": "standard"} for ident in sorted((first, second))
    ]
    found = ask(InstanceIds=[first, second], Filters=filtered("instance-id", second))["InstanceCreditSpecifications"]
    assert [item["InstanceId"] for item in found] == [second]
    for ident in (first, "i-0123456789abcdef0"):
        with refused("InvalidInstanceID.NotFound"):
            cloud.account().ec2.describe_instance_credit_specifications(InstanceIds=[ident])
    with refused("InvalidParameterCombination"):
        ask(InstanceIds=[first], MaxResults=5)


def test_no_group_of_a_vpc_is_stale(cloud: Cloud, account: Account) -> None:
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    assert account.ec2.describe_stale_security_groups(VpcId=vpc)["StaleSecurityGroupSet"] == []
    with refused("InvalidVpcID.NotFound"):
        cloud.account().ec2.describe_stale_security_groups(VpcId=vpc)


def test_the_groups_of_a_vpc(account: Account) -> None:
    (vpc,) = (item["VpcId"] for item in account.ec2.describe_vpcs()["Vpcs"])
    own = account.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    other = account.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    of_vpc = account.ec2.get_security_groups_for_vpc
    found = {group["GroupName"]: group for group in of_vpc(VpcId=vpc)["SecurityGroupForVpcs"]}
    assert set(found) == {"default", "web"}
    assert found["web"] == {
        "Description": "d",
        "GroupName": "web",
        "OwnerId": account.number,
        "GroupId": own,
        "Tags": [],
        "PrimaryVpcId": vpc,
    }
    (default,) = of_vpc(VpcId=other)["SecurityGroupForVpcs"]
    assert default["GroupName"] == "default"
    assert of_vpc(VpcId=vpc, Filters=filtered("group-id", own))["SecurityGroupForVpcs"] == [found["web"]]
    assert account.ec2.describe_security_group_references(GroupId=[own])["SecurityGroupReferenceSet"] == []
    assert account.ec2.describe_security_group_vpc_associations()["SecurityGroupVpcAssociations"] == []


def test_no_vpc_is_linked_to_ec2_classic(cloud: Cloud, account: Account) -> None:
    (vpc,) = (item["VpcId"] for item in account.ec2.describe_vpcs()["Vpcs"])
    account.ec2.create_tags(Resources=[vpc], Tags=[{"Key": "a", "Value": "b"}])
    link, dns = account.ec2.describe_vpc_classic_link, account.ec2.describe_vpc_classic_link_dns_support
    linked = {"VpcId": vpc, "ClassicLinkEnabled": False, "Tags": [{"Key": "a", "Value": "b"}]}
    assert link(Filters=filtered("tag:a", "b"))["Vpcs"] == link(VpcIds=[vpc])["Vpcs"] == [linked]
    assert link(Filters=filtered("is-classic-link-enabled", "true"))["Vpcs"] == []
    assert dns()["Vpcs"] == dns(VpcIds=[vpc])["Vpcs"] == [{"VpcId": vpc, "ClassicLinkDnsSupported": False}]
    for ask in (
        cloud.account().ec2.describe_vpc_classic_link,
        cloud.account().ec2.describe_vpc_classic_link_dns_support,
    ):
        with refused("InvalidVpcID.NotFound"):
            ask(VpcIds=[vpc])


def test_refusals(account: Account) -> None:
    with refused("InvalidInternetGatewayID.NotFound"):
        account.ec2.describe_internet_gateways(InternetGatewayIds=["igw-" + "0" * 17])
    with refused("InvalidRouteTableID.NotFound"):
        account.ec2.describe_route_tables(RouteTableIds=["rtb-" + "0" * 17])
    with refused("InvalidParameterValue", match="filter"):
        account.ec2.describe_network_acls(Filters=filtered("colour", "red"))
    with refused("UnsupportedOperation"):
        account.ec2.create_vpn_gateway(Type="ipsec.1")
