"""Users of an account, by boto3."""

from __future__ import annotations

from typing import Any

from tests.faces.ec2.cloud import Account, Cloud, refused
from tests.faces.ec2.test_roles import become
from tests.faces.iam.conftest import acting


def keyed(account: Account, name: str, *, make: bool = True) -> Account:
    """Return a user of an account, which is made without any right, with an access key."""
    iam = account.client("iam")
    if make:
        iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Account(account.cloud, key["AccessKeyId"], key["SecretAccessKey"])


def test_a_user_is_made_renamed_and_deleted(account: Account, iam: Any) -> None:
    user = iam.create_user(UserName="Ada.L")["User"]
    assert user["Arn"] == f"arn:aws:iam::{account.number}:user/Ada.L"
    assert user["UserId"].startswith("AIDA")
    assert user["Path"] == "/"
    assert iam.get_user(UserName="Ada.L")["User"] == user
    iam.update_user(UserName="Ada.L", NewUserName="Ada.K")
    assert [each["UserName"] for each in iam.list_users()["Users"]] == ["Ada.K", account.name]
    iam.delete_user(UserName="Ada.K")
    with refused("NoSuchEntity", 404, "Ada.K"):
        iam.get_user(UserName="Ada.K")


def test_the_caller_is_shown_without_a_name(account: Account, iam: Any) -> None:
    assert iam.get_user()["User"]["UserName"] == account.name


def test_names_are_checked(iam: Any) -> None:
    with refused("ValidationError"):
        iam.create_user(UserName="a b")
    iam.create_user(UserName="bob")
    with refused("EntityAlreadyExists", 409, "bob"):
        iam.create_user(UserName="bob")
    with refused("UnsupportedOperation", 400, "Path"):
        iam.create_user(UserName="eve", Path="/staff/")
    with refused("UnsupportedOperation", 400, "Tags"):
        iam.create_user(UserName="eve", Tags=[{"Key": "a", "Value": "b"}])
    iam.delete_user(UserName="bob")


def test_lists_come_in_pages(iam: Any) -> None:
    for number in range(3):
        iam.create_user(UserName=f"page-{number}")
    pages = list(iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["Users"]) for page in pages] == [2, 2]
    assert iam.list_users(PathPrefix="/staff/")["Users"] == []
    for number in range(3):
        iam.delete_user(UserName=f"page-{number}")


def test_another_accounts_users_are_not_there(cloud: Cloud, iam: Any) -> None:
    stranger = cloud.account(admin=True)
    stranger.client("iam").create_user(UserName="theirs")
    with refused("NoSuchEntity", 404):
        iam.get_user(UserName="theirs")
    with refused("NoSuchEntity", 404):
        iam.delete_user(UserName="theirs")


def test_only_an_administrator_makes_users(cloud: Cloud) -> None:
    member = cloud.account()
    become(cloud, member, "member")
    iam = member.client("iam")
    with refused("AccessDenied", 403, "takes the role 'admin'"):
        iam.create_user(UserName="x")
    with refused("AccessDenied", 403):
        iam.delete_user(UserName=member.name)
    with refused("AccessDenied", 403):
        iam.create_role(RoleName="x", AssumeRolePolicyDocument="{}")
    with refused("AccessDenied", 403):
        iam.create_instance_profile(InstanceProfileName="x")
    with refused("AccessDenied", 403):
        iam.create_account_alias(AccountAlias="alias")
    with refused("AccessDenied", 403):
        iam.attach_user_policy(UserName=member.name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


def test_nobody_deletes_itself(account: Account, iam: Any) -> None:
    with refused("DeleteConflict", 409, "yourself"):
        iam.delete_user(UserName=account.name)


def test_an_admin_of_a_project_makes_its_users(cloud: Cloud) -> None:
    """No administrator of the cloud."""
    account = cloud.account()
    become(cloud, account, "admin")
    iam = account.client("iam")
    iam.create_user(UserName=f"made-{account.number}")
    iam.attach_user_policy(UserName=f"made-{account.number}", PolicyArn="arn:aws:iam::aws:policy/PowerUserAccess")
    keyed(account, f"made-{account.number}", make=False).ec2.create_key_pair(KeyName="k")


def test_an_access_key_works_until_it_is_deleted(account: Account, iam: Any) -> None:
    iam.create_user(UserName="keyed")
    key = iam.create_access_key(UserName="keyed")["AccessKey"]
    assert key["Status"] == "Active"
    own = Account(account.cloud, key["AccessKeyId"], key["SecretAccessKey"])
    assert own.sts.get_caller_identity()["Arn"].endswith(":user/keyed")
    listed = iam.list_access_keys(UserName="keyed")["AccessKeyMetadata"]
    assert [each["AccessKeyId"] for each in listed] == [key["AccessKeyId"]]
    assert iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["UserName"] == "keyed"
    with refused("DeleteConflict", 409, "access keys"):
        iam.delete_user(UserName="keyed")
    with refused("NoSuchEntity", 404):
        iam.delete_access_key(AccessKeyId=key["AccessKeyId"])  # of the administrator itself, which has no such one
    iam.delete_access_key(UserName="keyed", AccessKeyId=key["AccessKeyId"])
    with refused("InvalidClientTokenId", 403):
        own.sts.get_caller_identity()
    iam.delete_user(UserName="keyed")


def test_a_user_has_keys_of_its_own(account: Account, iam: Any) -> None:
    iam.create_user(UserName="self")
    iam.attach_user_policy(UserName="self", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    key = iam.create_access_key(UserName="self")["AccessKey"]
    own = Account(account.cloud, key["AccessKeyId"], key["SecretAccessKey"]).client("iam")
    second = own.create_access_key()["AccessKey"]
    assert len(own.list_access_keys()["AccessKeyMetadata"]) == 2
    with refused("AccessDenied", 403):
        own.list_access_keys(UserName=account.name)
    with refused("AccessDenied", 403):
        own.create_access_key(UserName=account.name)
    own.delete_access_key(AccessKeyId=second["AccessKeyId"])


def test_a_user_without_a_policy_shows_who_it_is_and_does_nothing_else(account: Account, iam: Any) -> None:
    own = keyed(account, "plain")
    assert own.sts.get_caller_identity()["Arn"].endswith(":user/plain")
    with refused("UnauthorizedOperation", 403, "yours is 'none'"):
        own.ec2.describe_instances()
    with refused("AccessDenied", 403, "yours is 'none'"):
        own.client("iam").get_user()
    iam.attach_user_policy(UserName="plain", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert own.ec2.describe_vpcs()["Vpcs"]
    with refused("UnauthorizedOperation", 403, "takes the role 'member'"):
        own.ec2.create_vpc(CidrBlock="10.0.0.0/16")
    iam.detach_user_policy(UserName="plain", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    with refused("UnauthorizedOperation", 403):
        own.ec2.describe_vpcs()


def test_an_inactive_access_key_is_refused_with_its_sessions(account: Account, iam: Any) -> None:
    own = keyed(account, "resting")
    named: dict[str, str] = {"UserName": "resting", "AccessKeyId": own.access_key}
    session = acting(account, "sts", own.sts.get_session_token()["Credentials"])
    session.get_caller_identity()
    for _ in range(2):
        iam.update_access_key(**named, Status="Inactive")
        assert [key["Status"] for key in iam.list_access_keys(UserName="resting")["AccessKeyMetadata"]] == ["Inactive"]
        for client in (own.sts, session):
            with refused("InvalidClientTokenId", 403):
                client.get_caller_identity()
        iam.update_access_key(**named, Status="Active")
        own.sts.get_caller_identity()
        session.get_caller_identity()
    with refused("ValidationError", 400):
        account.client("iam", parameter_validation=False).update_access_key(**named, Status="Expired")


def test_the_last_use_of_an_access_key_is_shown(account: Account, iam: Any) -> None:
    own = keyed(account, "used")
    assert "LastUsedDate" not in iam.get_access_key_last_used(AccessKeyId=own.access_key)["AccessKeyLastUsed"]
    own.sts.get_caller_identity()
    account.cloud.authority.uses.write()
    last = iam.get_access_key_last_used(AccessKeyId=own.access_key)["AccessKeyLastUsed"]
    # The test's own look for the key's caller came first, and a use is written once a minute.
    assert (last["ServiceName"], last["Region"]) == ("test", "us-east-1")
    assert abs(last["LastUsedDate"].timestamp() - account.cloud.core.store.now()) < 120
    with refused("NoSuchEntity", 404):
        iam.get_access_key_last_used(AccessKeyId="AKIAAAAAAAAAAAAAAAAA")


def test_the_alias_is_the_clouds(cloud: Cloud, account: Account, iam: Any) -> None:
    alias = f"lab-{account.number}"
    iam.create_account_alias(AccountAlias=alias)
    assert iam.list_account_aliases()["AccountAliases"] == [alias]
    with refused("EntityAlreadyExists", 409):
        cloud.account(admin=True).client("iam").create_account_alias(AccountAlias=alias)
    with refused("ValidationError"):
        iam.create_account_alias(AccountAlias="a--b")
    iam.delete_account_alias(AccountAlias=alias)
    with refused("NoSuchEntity", 404):
        iam.delete_account_alias(AccountAlias=alias)
    assert iam.list_account_aliases()["AccountAliases"] == []


def test_the_summary_counts(iam: Any) -> None:
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["Users"] == 1
    assert summary["Roles"] == 0
    assert summary["UsersQuota"] > 1
