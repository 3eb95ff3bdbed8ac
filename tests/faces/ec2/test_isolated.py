"""EC2's view of networks and groups that EC2 does not have: those without a router, and rules in an order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model.securitygroup import Rule
from pileus.rules.instance.interface import LaunchInterface
from pileus.verbs import network, securitygroup, subnet
from pileus.verbs.instance import launch
from tests.faces.ec2.cloud import filtered

if TYPE_CHECKING:
    from tests.faces.ec2.cloud import Account, Cloud


@pytest.fixture
def isolated(cloud: Cloud, account: Account) -> str:
    """The id of an instance on a network without a router."""
    on = network.create(account.caller, cloud.core)
    own = subnet.add(account.caller, cloud.core, on.uuid, "10.9.0.0/24")
    request = launch.Launch(image=cloud.image.uuid, interfaces=(LaunchInterface(subnet=own.uuid),))
    launch.launch(account.caller, cloud.core, request)
    (instance,) = account.ec2.describe_instances()["Reservations"][0]["Instances"]
    return instance["InstanceId"]


def test_an_instance_on_an_isolated_network_is_in_no_vpc(cloud: Cloud, account: Account, isolated: str) -> None:
    (instance,) = account.ec2.describe_instances(InstanceIds=[isolated])["Reservations"][0]["Instances"]
    assert instance["PrivateIpAddress"] == "10.9.0.4"
    assert "VpcId" not in instance
    (interface,) = account.ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert interface["PrivateIpAddress"] == "10.9.0.4"
    assert "VpcId" not in interface
    default = network.routers(account.caller, cloud.core)[0].ec2_id
    assert account.ec2.describe_instances(Filters=filtered("vpc-id", default))["Reservations"] == []
    assert "10.9.0.0/24" not in {each["CidrBlock"] for each in account.ec2.describe_subnets()["Subnets"]}


def test_groups_of_the_project_and_ordered_rules_are_not_shown(cloud: Cloud, account: Account) -> None:
    everywhere = securitygroup.create(account.caller, cloud.core, "all", "for all networks", None)
    assert everywhere.ec2_id not in {
        each["GroupId"] for each in account.ec2.describe_security_groups()["SecurityGroups"]
    }
    group = securitygroup.create(account.caller, cloud.core, "web", "for tests")
    rules = [
        Rule(id="", action="deny", priority=1, cidr="10.0.0.0/8"),
        Rule(id="", priority=2, cidr="10.0.0.0/8"),
        Rule(id="", tag="web"),
        Rule(id="", cidr="192.0.2.0/24", targets=("web",)),
        Rule(id="", cidr="198.51.100.0/24"),
    ]
    added = securitygroup.authorize(account.caller, cloud.core, rules, group.uuid)
    (shown,) = account.ec2.describe_security_groups(GroupIds=[group.ec2_id])["SecurityGroups"]
    (permission,) = shown["IpPermissions"]
    assert [each["CidrIp"] for each in permission["IpRanges"]] == ["198.51.100.0/24"]
    listed = account.ec2.describe_security_group_rules(Filters=filtered("group-id", group.ec2_id))
    ids = {each["SecurityGroupRuleId"] for each in listed["SecurityGroupRules"]}
    assert {rule.id for rule in added} & ids == {added[-1].id}
