"""STS: names of callers, and temporary credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest

from pileus.faces.wire import signing, sigv2
from pileus.faces.wire.http import Request
from pileus.model.caller import SYSTEM
from pileus.rules.session import Session, seal
from pileus.verbs import credential, user
from tests.faces.ec2.cloud import Account, Cloud, refused
from tests.faces.ec2.test_roles import become
from tests.faces.iam.conftest import acting, trust

if TYPE_CHECKING:
    from collections.abc import Mapping


def test_caller_is_told_who_it_is(account: Account) -> None:
    identity = account.sts.get_caller_identity()
    assert identity["Account"] == account.number
    assert identity["Arn"] == f"arn:aws:iam::{account.number}:user/{account.name}"
    assert identity["UserId"].startswith("AIDA")


def test_accounts_differ(cloud: Cloud) -> None:
    assert len({cloud.account().sts.get_caller_identity()["Account"] for _ in range(3)}) == 3


def test_a_session_of_the_caller_acts_as_the_caller(account: Account) -> None:
    credentials = account.sts.get_session_token(DurationSeconds=900)["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    assert acting(account, "sts", credentials).get_caller_identity()["Arn"].endswith(f":user/{account.name}")
    assert acting(account, "ec2", credentials).describe_vpcs()["Vpcs"]
    with refused("AccessDenied", 403, "session credentials"):
        acting(account, "sts", credentials).get_session_token()
    with refused("AccessDenied", 403, "lasting"):
        acting(account, "iam", credentials).create_access_key()


def test_no_row_is_written(account: Account) -> None:
    before = account.cloud.database()
    account.sts.get_session_token()
    assert account.cloud.database() == before


@pytest.mark.parametrize(
    ("service", "unknown"), [("ec2", ("AuthFailure", 401)), ("sts", ("InvalidClientTokenId", 403))]
)
def test_damaged_and_foreign_tokens_are_refused(
    cloud: Cloud, account: Account, service: str, unknown: tuple[str, int]
) -> None:
    def ask(credentials: Mapping[str, Any]) -> None:
        client = acting(account, service, credentials)
        client.describe_vpcs() if service == "ec2" else client.get_caller_identity()

    mine, other = (each.sts.get_session_token()["Credentials"] for each in (account, cloud.account()))
    ask(mine)
    token = mine["SessionToken"]
    for wrong in (other["SessionToken"], token[:-5] + "AAAA=", token[:40], "x" * 5000):
        with refused(*unknown):
            ask({**mine, "SessionToken": wrong})
    with refused(*unknown):
        ask({**mine, "SessionToken": None})
    wrong_secret = {**mine, "SecretAccessKey": other["SecretAccessKey"]}
    with refused("AuthFailure" if service == "ec2" else "SignatureDoesNotMatch", unknown[1]):
        ask(wrong_secret)


def test_a_session_ends(account: Account) -> None:
    core, caller = account.cloud.core, account.caller

    def until(seconds: float) -> dict[str, str]:
        """Credentials of a session that ends so many seconds from now."""
        contents = Session(user=caller.user, project=caller.project, until=core.store.now() + seconds)
        new = seal(core, contents)
        return {"AccessKeyId": new.access_key, "SecretAccessKey": new.secret_key, "SessionToken": new.token}

    acting(account, "sts", until(1)).get_caller_identity()
    with refused("ExpiredToken", 403):
        acting(account, "sts", until(0)).get_caller_identity()
    with refused("RequestExpired", 400):
        acting(account, "ec2", until(0)).describe_vpcs()


def test_a_session_ends_with_its_user(account: Account) -> None:
    iam = account.client("iam")
    iam.create_user(UserName="leaving")
    key = iam.create_access_key(UserName="leaving")["AccessKey"]
    own = Account(account.cloud, key["AccessKeyId"], key["SecretAccessKey"])
    credentials = own.sts.get_session_token()["Credentials"]
    acting(account, "sts", credentials).get_caller_identity()
    iam.delete_access_key(UserName="leaving", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="leaving")
    with refused("InvalidClientTokenId", 403):
        acting(account, "sts", credentials).get_caller_identity()


@pytest.mark.parametrize("seconds", [899, 129601])
def test_durations_are_bounded(account: Account, seconds: int) -> None:
    with refused("ValidationError"):
        account.client("sts", parameter_validation=False).get_session_token(DurationSeconds=seconds)


def test_signature_version_two_carries_the_token_too(account: Account) -> None:
    credentials = account.sts.get_session_token()["Credentials"]
    params = {
        "Action": "DescribeVpcs",
        "Version": "2016-11-15",
        sigv2.TOKEN_PARAMETER: credentials["SessionToken"],
    }

    request = signing.RawRequest("GET", "/", "", {"host": "cloud.test"})
    secret, now = credentials["SecretAccessKey"].encode(), account.cloud.core.store.now()
    signed = sigv2.sign(request, params, credentials["AccessKeyId"], secret, now)
    answer = account.cloud.handle(Request("GET", "/", urlencode(signed), {"host": "cloud.test"}, b""))
    assert answer.status == 200, answer.body


def test_a_presigned_url_of_a_session_works(account: Account) -> None:
    credentials = account.sts.get_session_token()["Credentials"]
    url = acting(account, "sts", credentials).generate_presigned_url("get_caller_identity", HttpMethod="GET")

    query = urlsplit(url).query
    answer = account.cloud.handle(Request("GET", "/", query, {"host": "cloud.test"}, b""))
    assert answer.status == 200, answer.body


class TestRoles:
    """AssumeRole."""

    def test_a_trusted_account_assumes_a_role(self, cloud: Cloud, account: Account) -> None:
        guest = cloud.account()
        role = account.client("iam").create_role(RoleName="shared", AssumeRolePolicyDocument=trust(guest.number))[
            "Role"
        ]
        assumed = guest.sts.assume_role(RoleArn=role["Arn"], RoleSessionName="visit")
        assert assumed["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{account.number}:assumed-role/shared/visit"
        client = acting(account, "sts", assumed["Credentials"])
        identity = client.get_caller_identity()
        assert identity["Arn"] == assumed["AssumedRoleUser"]["Arn"]
        assert identity["UserId"] == assumed["AssumedRoleUser"]["AssumedRoleId"]
        assert identity["Account"] == account.number
        # It acts in the account of the role, with the rights of the role's policies: without one by STS alone.
        with refused("UnauthorizedOperation", 403, "yours is 'none'"):
            acting(account, "ec2", assumed["Credentials"]).describe_vpcs()
        policy = "arn:aws:iam::aws:policy/ReadOnlyAccess"
        account.client("iam").attach_role_policy(RoleName="shared", PolicyArn=policy)
        ours = acting(account, "ec2", assumed["Credentials"]).describe_vpcs()["Vpcs"]
        assert [vpc["OwnerId"] for vpc in ours] == [account.number]
        with refused("AccessDenied", 403):
            acting(account, "iam", assumed["Credentials"]).create_user(UserName="x")
        with refused("ValidationError"):
            acting(account, "iam", assumed["Credentials"]).get_user()

    def test_others_are_refused_as_for_no_role(self, cloud: Cloud, account: Account) -> None:
        iam, stranger = account.client("iam"), cloud.account()
        arn = iam.create_role(RoleName="closed", AssumeRolePolicyDocument=trust(account.number))["Role"]["Arn"]
        with refused("AccessDenied", 403, "not authorized"):
            stranger.sts.assume_role(RoleArn=arn, RoleSessionName="visit")
        with refused("AccessDenied", 403, "not authorized"):
            account.sts.assume_role(RoleArn=arn + "x", RoleSessionName="visit")

    def test_a_user_is_trusted_by_its_arn(self, cloud: Cloud, account: Account) -> None:
        guest = cloud.account()
        document = trust(f"arn:aws:iam::{guest.number}:user/{guest.name}")
        arn = account.client("iam").create_role(RoleName="one", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        guest.sts.assume_role(RoleArn=arn, RoleSessionName="visit")
        with refused("AccessDenied", 403):
            account.sts.assume_role(RoleArn=arn, RoleSessionName="visit")

    def test_an_account_is_trusted_for_its_members_alone(self, cloud: Cloud, account: Account) -> None:
        guest = cloud.account()
        become(cloud, guest, "admin")
        own = f"arn:aws:iam::{guest.number}:user/{guest.name}"
        iam, ours = account.client("iam"), guest.client("iam")
        shared = iam.create_role(RoleName="members", AssumeRolePolicyDocument=trust(guest.number))["Role"]["Arn"]
        named = ours.create_role(RoleName="named", AssumeRolePolicyDocument=trust(own))["Role"]["Arn"]
        guest.sts.assume_role(RoleArn=shared, RoleSessionName="visit")
        become(cloud, guest, "reader")
        with refused("AccessDenied", 403, "not authorized"):
            guest.sts.assume_role(RoleArn=shared, RoleSessionName="visit")
        guest.sts.assume_role(RoleArn=named, RoleSessionName="visit")

    def test_a_session_ends_with_the_access_key_that_it_descends_from(self, cloud: Cloud, account: Account) -> None:
        guest, iam = cloud.account(), account.client("iam")
        session = acting(guest, "sts", guest.sts.get_session_token()["Credentials"])
        arn = iam.create_role(RoleName="far", AssumeRolePolicyDocument=trust(guest.number))["Role"]["Arn"]
        chained = session.assume_role(RoleArn=arn, RoleSessionName="visit")["Credentials"]
        acting(guest, "sts", chained).get_caller_identity()
        credential.modify(SYSTEM, cloud.core, guest.access_key, enabled=False)
        with refused("InvalidClientTokenId", 403):
            acting(guest, "sts", chained).get_caller_identity()
        credential.modify(SYSTEM, cloud.core, guest.access_key, enabled=True)
        acting(guest, "sts", chained).get_caller_identity()
        user.modify(SYSTEM, cloud.core, guest.caller.user, enabled=False)
        for client in (acting(guest, "sts", chained), session, guest.sts):
            with refused("InvalidClientTokenId", 403):
                client.get_caller_identity()

    def test_a_role_says_how_long(self, account: Account) -> None:
        iam = account.client("iam")
        arn = iam.create_role(RoleName="short", AssumeRolePolicyDocument=trust(account.number))["Role"]["Arn"]
        with refused("ValidationError", 400, "3600"):
            account.sts.assume_role(RoleArn=arn, RoleSessionName="visit", DurationSeconds=3601)
        with refused("UnsupportedOperation", 400, "ExternalId"):
            account.sts.assume_role(RoleArn=arn, RoleSessionName="visit", ExternalId="abc")

    def test_a_session_ends_with_its_role(self, account: Account) -> None:
        iam = account.client("iam")
        arn = iam.create_role(RoleName="ending", AssumeRolePolicyDocument=trust(account.number))["Role"]["Arn"]
        credentials = account.sts.assume_role(RoleArn=arn, RoleSessionName="visit")["Credentials"]
        acting(account, "sts", credentials).get_caller_identity()
        iam.delete_role(RoleName="ending")
        with refused("InvalidClientTokenId", 403):
            acting(account, "sts", credentials).get_caller_identity()


def test_the_account_of_a_key(cloud: Cloud, account: Account) -> None:
    member = cloud.account()
    assert member.sts.get_access_key_info(AccessKeyId=member.access_key)["Account"] == member.number
    with refused("NoSuchEntity", 404):
        member.sts.get_access_key_info(AccessKeyId=account.access_key)
    with refused("UnsupportedOperation", 400, "docs/reference/iam.md"):
        member.sts.decode_authorization_message(EncodedMessage="x")


def test_credentials_that_are_given_out_are_audited(account: Account) -> None:
    account.sts.get_session_token()
    assert account.cloud.last is not None
    assert not account.cloud.last.reads
    account.sts.get_caller_identity()
    assert account.cloud.last.reads
