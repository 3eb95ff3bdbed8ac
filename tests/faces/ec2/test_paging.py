"""Pages, as one simple list shows them."""

import base64

import pytest

from tests.faces.ec2.cloud import Account, filtered, refused


def test_pages_join_to_the_whole(account: Account) -> None:
    whole = [t["InstanceType"] for t in account.ec2.describe_instance_types()["InstanceTypes"]]
    pages = account.ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 5})
    parts = [[t["InstanceType"] for t in page["InstanceTypes"]] for page in pages]
    assert [name for part in parts for name in part] == whole
    assert [len(part) for part in parts] == [5] * (len(whole) // 5) + [len(whole) % 5] * (len(whole) % 5 > 0)


def test_last_page_has_no_token(account: Account) -> None:
    found = account.ec2.describe_instance_types(MaxResults=100)
    assert "NextToken" not in found
    found = account.ec2.describe_instance_types(MaxResults=5, Filters=filtered("instance-type", "m1.tiny"))
    assert [t["InstanceType"] for t in found["InstanceTypes"]] == ["m1.tiny"]
    assert "NextToken" not in found


BEYOND = base64.urlsafe_b64encode(f"pileus/{1 << 64}".encode()).decode()


@pytest.mark.parametrize("token", ["x", "AAAA", "cGlsZXVzL3g=", "\u00e4", "cGlsZXVzLy0x", BEYOND])
def test_tokens_are_checked(account: Account, token: str) -> None:
    with refused("InvalidNextToken"):
        account.ec2.describe_vpcs(NextToken=token)
    with refused("InvalidNextToken"):
        account.ec2.describe_instances(NextToken=token)
