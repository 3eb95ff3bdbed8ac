"""Roles over the EC2 face: a reader lists and shows, and is refused all that changes something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.caller import SYSTEM
from pileus.verbs import grant
from tests.faces.ec2.cloud import refused

if TYPE_CHECKING:
    from pileus.model.role import Role
    from tests.faces.ec2.cloud import Account, Cloud


def become(cloud: Cloud, account: Account, role: Role) -> None:
    """Have an account this role in its project."""
    caller = account.caller
    grant.create(SYSTEM, cloud.core, role, user=caller.user, project=caller.project)


def test_a_reader_lists_and_changes_nothing(cloud: Cloud) -> None:
    account = cloud.account()
    account.ec2.create_key_pair(KeyName="k")
    become(cloud, account, "reader")
    assert [key["KeyName"] for key in account.ec2.describe_key_pairs()["KeyPairs"]] == ["k"]
    with refused("UnauthorizedOperation", 403, "takes the role 'member'"):
        account.ec2.delete_key_pair(KeyName="k")
    with refused("UnauthorizedOperation", 403):
        account.ec2.create_vpc(CidrBlock="10.0.0.0/16")
    become(cloud, account, "member")
    account.ec2.delete_key_pair(KeyName="k")


def test_a_dry_run_says_whether_the_role_allows_it(cloud: Cloud) -> None:
    account = cloud.account()
    image = cloud.image.ec2_id
    outcomes: tuple[tuple[Role, str, int], ...] = (
        ("reader", "UnauthorizedOperation", 403),
        ("member", "DryRunOperation", 412),
    )
    for role, code, status in outcomes:
        become(cloud, account, role)
        with refused(code, status):
            account.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, DryRun=True)
        with refused(code, status):
            account.ec2.create_vpc(CidrBlock="10.0.0.0/16", DryRun=True)
    become(cloud, account, "reader")
    with refused("DryRunOperation", 412):
        account.ec2.describe_instances(DryRun=True)
