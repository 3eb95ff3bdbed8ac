"""Roles, instance profiles and managed policies, by boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faces.ec2.cloud import Account, Cloud, refused
from tests.faces.iam.conftest import trust

EC2 = trust(service="ec2.amazonaws.com")
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
POWER_USER = "arn:aws:iam::aws:policy/PowerUserAccess"


def test_a_role_is_made_changed_and_deleted(account: Account, iam: Any) -> None:
    role = iam.create_role(RoleName="web", AssumeRolePolicyDocument=EC2, Description="a web server")["Role"]
    assert role["Arn"] == f"arn:aws:iam::{account.number}:role/web"
    assert role["AssumeRolePolicyDocument"] == json.loads(EC2)
    assert role["MaxSessionDuration"] == 3600
    assert iam.get_role(RoleName="web")["Role"] == role
    iam.update_role(RoleName="web", Description="another", MaxSessionDuration=7200)
    other = trust(account.number)
    iam.update_assume_role_policy(RoleName="web", PolicyDocument=other)
    changed = iam.get_role(RoleName="web")["Role"]
    assert (changed["Description"], changed["MaxSessionDuration"]) == ("another", 7200)
    assert changed["AssumeRolePolicyDocument"] == json.loads(other)
    assert [each["RoleName"] for each in iam.list_roles()["Roles"]] == ["web"]
    assert all(each["UserName"] != "web" for each in iam.list_users()["Users"])
    iam.delete_role(RoleName="web")
    with refused("NoSuchEntity", 404, "web"):
        iam.get_role(RoleName="web")


def test_two_accounts_have_a_role_of_one_name(cloud: Cloud, iam: Any) -> None:
    iam.create_role(RoleName="twin", AssumeRolePolicyDocument=EC2)
    with refused("EntityAlreadyExists", 409):
        iam.create_role(RoleName="twin", AssumeRolePolicyDocument=EC2)
    other = cloud.account(admin=True).client("iam")
    with refused("NoSuchEntity", 404):
        other.get_role(RoleName="twin")
    other.create_role(RoleName="twin", AssumeRolePolicyDocument=EC2)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("no json", "JSON"),
        ("[]", "JSON"),
        ('{"Statement": []}', "Statement"),
        (
            '{"Statement": {"Effect": "Deny", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}}',
            "Allow",
        ),
        ('{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}}', "Principal"),
        ('{"Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}}', "account"),
        ('{"Statement": {"Effect": "Allow", "Principal": {"AWS": 5}, "Action": "sts:AssumeRole"}}', "account"),
        (
            '{"Statement": {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:*"}}',
            "Service",
        ),
        ('{"Statement": {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "*"}}', "sts:AssumeRole"),
        (
            '{"Statement": {"Effect": "Allow", "Principal": {"AWS": "1"}, "Action": "sts:*", "Condition": {}}}',
            "Condition",
        ),
    ],
)
def test_a_trust_policy_beyond_principals_is_refused(iam: Any, document: str, words: str) -> None:
    with refused("MalformedPolicyDocument", 400, words):
        iam.create_role(RoleName="bad", AssumeRolePolicyDocument=document)


def test_a_role_has_no_lasting_credentials(iam: Any) -> None:
    iam.create_role(RoleName="plain", AssumeRolePolicyDocument=EC2)
    with refused("NoSuchEntity", 404):
        iam.create_access_key(UserName="plain")


def test_a_profile_has_one_role(account: Account, iam: Any) -> None:
    iam.create_role(RoleName="first", AssumeRolePolicyDocument=EC2)
    iam.create_role(RoleName="second", AssumeRolePolicyDocument=EC2)
    profile = iam.create_instance_profile(InstanceProfileName="web")["InstanceProfile"]
    assert profile["Arn"] == f"arn:aws:iam::{account.number}:instance-profile/web"
    assert profile["Roles"] == []
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="first")
    with refused("LimitExceeded", 409):
        iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="second")
    shown = iam.get_instance_profile(InstanceProfileName="web")["InstanceProfile"]
    assert [role["RoleName"] for role in shown["Roles"]] == ["first"]
    listed = iam.list_instance_profiles_for_role(RoleName="first")["InstanceProfiles"]
    assert [each["InstanceProfileName"] for each in listed] == ["web"]
    with refused("DeleteConflict", 409, "instance profile"):
        iam.delete_role(RoleName="first")
    with refused("DeleteConflict", 409, "roles"):
        iam.delete_instance_profile(InstanceProfileName="web")
    with refused("NoSuchEntity", 404):
        iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="second")
    iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="first")
    iam.delete_instance_profile(InstanceProfileName="web")
    iam.delete_role(RoleName="first")
    assert iam.list_instance_profiles()["InstanceProfiles"] == []


def test_three_managed_policies_are_attached(iam: Any) -> None:
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument=EC2)
    iam.attach_role_policy(RoleName="reader", PolicyArn=READ_ONLY)
    iam.attach_role_policy(RoleName="reader", PolicyArn=READ_ONLY)
    attached = iam.list_attached_role_policies(RoleName="reader")["AttachedPolicies"]
    assert attached == [{"PolicyName": "ReadOnlyAccess", "PolicyArn": READ_ONLY}]
    counts = {each["PolicyName"]: each["AttachmentCount"] for each in iam.list_policies()["Policies"]}
    # The administrator has the second.
    assert counts == {"AdministratorAccess": 0, "PowerUserAccess": 1, "ReadOnlyAccess": 1}
    assert iam.get_policy(PolicyArn=READ_ONLY)["Policy"]["AttachmentCount"] == 1
    with refused("DeleteConflict", 409, "policies"):
        iam.delete_role(RoleName="reader")
    iam.detach_role_policy(RoleName="reader", PolicyArn=READ_ONLY)
    with refused("NoSuchEntity", 404):
        iam.detach_role_policy(RoleName="reader", PolicyArn=READ_ONLY)
    iam.attach_role_policy(RoleName="reader", PolicyArn=POWER_USER)
    with refused("LimitExceeded", 409, "reader has PowerUserAccess: detach it first"):
        iam.attach_role_policy(RoleName="reader", PolicyArn=READ_ONLY)
    assert [each["PolicyName"] for each in iam.list_attached_role_policies(RoleName="reader")["AttachedPolicies"]] == [
        "PowerUserAccess"
    ]
    with refused("NoSuchEntity", 404, "AdministratorAccess"):
        iam.attach_role_policy(RoleName="reader", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    iam.create_user(UserName="reading")
    iam.attach_user_policy(UserName="reading", PolicyArn=READ_ONLY)
    assert iam.list_attached_user_policies(UserName="reading")["AttachedPolicies"] == attached
    assert iam.list_user_policies(UserName="reading")["PolicyNames"] == []
    assert iam.list_role_policies(RoleName="reader")["PolicyNames"] == []


def test_inline_policies_are_refused_with_the_page_that_says_so(iam: Any) -> None:
    iam.create_role(RoleName="inline", AssumeRolePolicyDocument=EC2)
    with refused("UnsupportedOperation", 400, "docs/reference/iam.md"):
        iam.put_role_policy(RoleName="inline", PolicyName="p", PolicyDocument="{}")
