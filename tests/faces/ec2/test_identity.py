"""GetCallerIdentity."""

from tests.faces.ec2.cloud import Account, Cloud


def test_caller_is_told_who_it_is(account: Account) -> None:
    found = account.sts.get_caller_identity()
    assert found["Account"] == account.number
    assert found["Arn"] == f"arn:aws:iam::{account.number}:user/{account.name}"
    assert found["UserId"].startswith("AIDA")


def test_accounts_differ(cloud: Cloud) -> None:
    assert len({cloud.account().sts.get_caller_identity()["Account"] for _ in range(3)}) == 3
