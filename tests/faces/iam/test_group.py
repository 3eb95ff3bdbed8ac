"""Groups of users, by boto3: their policies are those of their users."""

from __future__ import annotations

from typing import Any

from tests.faces.ec2.cloud import Account, Cloud, refused

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
POWER_USER = "arn:aws:iam::aws:policy/PowerUserAccess"


def test_a_group_is_made_renamed_and_deleted(account: Account, iam: Any) -> None:
    group = iam.create_group(GroupName="staff")["Group"]
    assert group["Arn"] == f"arn:aws:iam::{account.number}:group/staff"
    assert group["GroupId"].startswith("AGPA")
    assert iam.get_group(GroupName="staff")["Group"] == group
    with refused("EntityAlreadyExists", 409, "staff"):
        iam.create_group(GroupName="staff")
    with refused("ValidationError"):
        iam.create_group(GroupName="a b")
    with refused("UnsupportedOperation", 400, "Path"):
        iam.create_group(GroupName="other", Path="/staff/")
    iam.create_group(GroupName="other")
    with refused("EntityAlreadyExists", 409, "other"):
        iam.update_group(GroupName="staff", NewGroupName="other")
    iam.update_group(GroupName="staff", NewGroupName="people")
    assert [each["GroupName"] for each in iam.list_groups()["Groups"]] == ["other", "people"]
    for name in ("other", "people"):
        iam.delete_group(GroupName=name)
    with refused("NoSuchEntity", 404, "people"):
        iam.get_group(GroupName="people")


def test_a_group_has_users(iam: Any) -> None:
    iam.create_group(GroupName="team")
    for name in ("kim", "lou", "max"):
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="team", UserName=name)
    iam.add_user_to_group(GroupName="team", UserName="kim")
    pages = list(iam.get_paginator("get_group").paginate(GroupName="team", PaginationConfig={"PageSize": 2}))
    assert [[user["UserName"] for user in page["Users"]] for page in pages] == [["kim", "lou"], ["max"]]
    assert [each["GroupName"] for each in iam.list_groups_for_user(UserName="kim")["Groups"]] == ["team"]
    with refused("DeleteConflict", 409, "users"):
        iam.delete_group(GroupName="team")
    with refused("DeleteConflict", 409, "group"):
        iam.delete_user(UserName="kim")
    iam.remove_user_from_group(GroupName="team", UserName="kim")
    assert iam.list_groups_for_user(UserName="kim")["Groups"] == []
    iam.delete_user(UserName="kim")
    with refused("NoSuchEntity", 404, "kim"):
        iam.add_user_to_group(GroupName="team", UserName="kim")


def test_the_policy_of_a_group_is_that_of_its_users(account: Account, iam: Any) -> None:
    iam.create_group(GroupName="readers")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    ann = Account(account.cloud, key["AccessKeyId"], key["SecretAccessKey"])
    iam.attach_group_policy(GroupName="readers", PolicyArn=READ_ONLY)
    attached = iam.list_attached_group_policies(GroupName="readers")["AttachedPolicies"]
    assert attached == [{"PolicyName": "ReadOnlyAccess", "PolicyArn": READ_ONLY}]
    with refused("UnauthorizedOperation", 403):
        ann.ec2.describe_vpcs()
    iam.add_user_to_group(GroupName="readers", UserName="ann")
    assert ann.ec2.describe_vpcs()["Vpcs"]
    assert iam.list_attached_user_policies(UserName="ann")["AttachedPolicies"] == []
    with refused("UnauthorizedOperation", 403):
        ann.ec2.create_key_pair(KeyName="k")
    iam.attach_user_policy(UserName="ann", PolicyArn=POWER_USER)
    ann.ec2.create_key_pair(KeyName="k")
    iam.detach_user_policy(UserName="ann", PolicyArn=POWER_USER)
    iam.detach_group_policy(GroupName="readers", PolicyArn=READ_ONLY)
    with refused("UnauthorizedOperation", 403):
        ann.ec2.describe_vpcs()
    with refused("NoSuchEntity", 404, "readers"):
        iam.detach_group_policy(GroupName="readers", PolicyArn=READ_ONLY)
    assert iam.list_group_policies(GroupName="readers")["PolicyNames"] == []


def test_another_accounts_groups_are_not_there(cloud: Cloud, iam: Any) -> None:
    cloud.account(admin=True).client("iam").create_group(GroupName="theirs")
    with refused("NoSuchEntity", 404, "theirs"):
        iam.get_group(GroupName="theirs")
    with refused("NoSuchEntity", 404, "theirs"):
        iam.attach_group_policy(GroupName="theirs", PolicyArn=READ_ONLY)


def test_a_role_is_in_no_group(iam: Any) -> None:
    trust = '{"Statement": {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}}'
    iam.create_role(RoleName="servant", AssumeRolePolicyDocument=trust)
    iam.create_group(GroupName="crew")
    with refused("NoSuchEntity", 404, "servant"):
        iam.add_user_to_group(GroupName="crew", UserName="servant")
