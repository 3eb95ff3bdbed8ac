"""Security groups: made, listed, deleted."""

from typing import Any

import pytest

from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def test_default_group(account: Account) -> None:
    (group,) = account.ec2.describe_security_groups()["SecurityGroups"]
    assert (group["GroupName"], group["OwnerId"]) == ("default", account.number)
    (permission,) = group["IpPermissions"]
    assert permission["IpProtocol"] == "-1"
    assert "FromPort" not in permission
    assert permission["UserIdGroupPairs"] == [{"GroupId": group["GroupId"], "UserId": account.number}]
    (egress,) = group["IpPermissionsEgress"]
    assert egress["IpRanges"] == [{"CidrIp": "0.0.0.0/0"}]
    with refused("CannotDelete"):
        account.ec2.delete_security_group(GroupId=group["GroupId"])


def test_create_and_find(account: Account) -> None:
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = account.ec2.create_security_group(
        GroupName="web",
        Description="the front",
        VpcId=vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "b"}]}],
    )
    ident = made["GroupId"]
    assert made["SecurityGroupArn"].endswith(f"security-group/{ident}")
    ways: list[dict[str, Any]] = [
        {"GroupIds": [ident]},
        {"GroupNames": ["web"]},
        {"Filters": filtered("group-name", "w*")},
        {"Filters": filtered("tag:a", "b")},
        {"Filters": filtered("description", "the front")},
        {"Filters": [*filtered("vpc-id", vpc), *filtered("group-id", ident)]},
    ]
    for asked in ways:
        (group,) = account.ec2.describe_security_groups(**asked)["SecurityGroups"]
        assert (group["GroupId"], group["VpcId"], group["Description"]) == (ident, vpc, "the front")
        assert group["IpPermissions"] == []
    assert (
        account.ec2.describe_security_groups(Filters=filtered("ip-permission.from-port", "22"))["SecurityGroups"] == []
    )


def test_names_are_unique_in_a_vpc(account: Account) -> None:
    account.ec2.create_security_group(GroupName="web", Description="d")
    with refused("InvalidGroup.Duplicate"):
        account.ec2.create_security_group(GroupName="web", Description="d")


@pytest.mark.parametrize(
    ("name", "description"),
    [("", "d"), ("sg-web", "d"), ("n" * 256, "d"), ("web", ""), ("web", "d" * 256), ("web", "caf\u00e9")],
)
def test_bad_names_and_descriptions(account: Account, name: str, description: str) -> None:
    with refused("InvalidParameterValue"):
        account.ec2.create_security_group(GroupName=name, Description=description)


def test_unknown_groups(cloud: Cloud, account: Account) -> None:
    other = cloud.account().ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    for ident in (other, "sg-" + "0" * 17):
        with refused("InvalidGroup.NotFound"):
            account.ec2.describe_security_groups(GroupIds=[ident])
        with refused("InvalidGroup.NotFound"):
            account.ec2.delete_security_group(GroupId=ident)
    with refused("InvalidGroupId.Malformed"):
        account.ec2.describe_security_groups(GroupIds=["web"])
    with refused("InvalidGroup.NotFound"):
        account.ec2.describe_security_groups(GroupNames=["web"])
    with refused("InvalidGroup.NotFound"):
        account.ec2.delete_security_group(GroupName="web")
    with refused("MissingParameter"):
        account.ec2.delete_security_group()
    with refused("InvalidVpcID.NotFound"):
        account.ec2.create_security_group(GroupName="web", Description="d", VpcId="vpc-" + "0" * 17)
    with refused("InvalidVpcID.Malformed"):
        account.ec2.create_security_group(GroupName="web", Description="d", VpcId="mine")


def test_the_default_groups_name_is_taken(account: Account) -> None:
    with refused("InvalidGroup.Reserved"):
        account.ec2.create_security_group(GroupName="default", Description="d")


def test_groups_in_use_stay(account: Account) -> None:
    ident = account.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    account.launch(SecurityGroupIds=[ident])
    with refused("DependencyViolation"):
        account.ec2.delete_security_group(GroupId=ident)
    peer = account.ec2.create_security_group(GroupName="peer", Description="d")["GroupId"]
    permission: Any = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": peer}]}
    account.ec2.authorize_security_group_ingress(GroupId=ident, IpPermissions=[permission])
    with refused("DependencyViolation"):
        account.ec2.delete_security_group(GroupName="peer")


def test_deleted_groups_are_not_there(account: Account) -> None:
    ident = account.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    account.ec2.delete_security_group(GroupId=ident)
    assert len(account.ec2.describe_security_groups()["SecurityGroups"]) == 1
    with refused("InvalidGroup.NotFound"):
        account.ec2.describe_security_groups(GroupIds=[ident])
    with refused("InvalidGroup.NotFound"):
        account.ec2.delete_security_group(GroupId=ident)
    with refused("InvalidGroup.NotFound"):
        account.launch(SecurityGroupIds=[ident])


def test_quota(cloud: Cloud) -> None:
    limited = cloud.account({"securitygroups": 2})
    limited.ec2.create_security_group(GroupName="web", Description="d")
    with refused("SecurityGroupLimitExceeded"):
        limited.ec2.create_security_group(GroupName="more", Description="d")
