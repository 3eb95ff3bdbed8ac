"""Instance profiles of instances, by boto3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pileus.loops import resolve
from pileus.model.instance import Instance
from pileus.rules.instance.session import credentials
from tests.faces.ec2.cloud import Account, Cloud, filtered, refused
from tests.faces.iam.conftest import trust

if TYPE_CHECKING:
    from pileus.model.spec import ProfileSpec


@pytest.fixture
def admin(cloud: Cloud) -> Account:
    """Give an administrator with the role `web` in the profile `web`."""
    account = cloud.account(admin=True)
    iam = account.client("iam")
    iam.create_role(RoleName="web", AssumeRolePolicyDocument=trust(service="ec2.amazonaws.com"))
    iam.create_instance_profile(InstanceProfileName="web")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
    return account


def profile_of(cloud: Cloud, ident: str) -> ProfileSpec | None:
    """Return the profile in the order for the instance."""
    with cloud.core.store.read() as tx:
        return resolve.instance(tx, tx.by_ec2(Instance, [ident])[ident], cloud.core.place).profile


def test_an_instance_is_launched_with_a_profile(cloud: Cloud, admin: Account) -> None:
    arn = f"arn:aws:iam::{admin.number}:instance-profile/web"
    (by_name,) = admin.launch(IamInstanceProfile={"Name": "web"})
    (by_arn,) = admin.launch(IamInstanceProfile={"Arn": arn})
    (without,) = admin.launch()
    for ident in (by_name, by_arn):
        assert admin.show(ident)["IamInstanceProfile"]["Arn"] == arn
        profile = profile_of(cloud, ident)
        assert profile is not None
        assert (profile.name, profile.role) == ("web", "web")
    assert "IamInstanceProfile" not in admin.show(without)
    for name, value in (("name", "web"), ("arn", arn)):
        answer = admin.ec2.describe_instances(Filters=filtered(f"iam-instance-profile.{name}", value))
        assert sorted(each["Instances"][0]["InstanceId"] for each in answer["Reservations"]) == sorted(
            [by_name, by_arn]
        )


@pytest.mark.parametrize(
    ("profile", "code"),
    [
        ({"Name": "nobody"}, "InvalidParameterValue"),
        ({"Arn": "arn:aws:iam::123456789012:instance-profile/web"}, "InvalidParameterValue"),
        ({"Name": "web", "Arn": "arn:aws:iam::123456789012:instance-profile/web"}, "InvalidParameterCombination"),
    ],
)
def test_a_profile_that_is_none_is_refused(admin: Account, profile: dict[str, str], code: str) -> None:
    with refused(code):
        admin.run(IamInstanceProfile=profile)


def test_a_profile_is_given_replaced_and_taken_away(cloud: Cloud, admin: Account) -> None:
    iam, ec2 = admin.client("iam"), admin.ec2
    iam.create_instance_profile(InstanceProfileName="empty")
    (ident,) = admin.launch()
    association = ec2.associate_iam_instance_profile(InstanceId=ident, IamInstanceProfile={"Name": "web"})
    first = association["IamInstanceProfileAssociation"]
    assert (first["InstanceId"], first["State"]) == (ident, "associating")
    with refused("IncorrectState", 400, "existing association"):
        ec2.associate_iam_instance_profile(InstanceId=ident, IamInstanceProfile={"Name": "empty"})
    listed = ec2.describe_iam_instance_profile_associations(Filters=filtered("instance-id", ident))
    assert [each["State"] for each in listed["IamInstanceProfileAssociations"]] == ["associated"]
    replaced = ec2.replace_iam_instance_profile_association(
        AssociationId=first["AssociationId"], IamInstanceProfile={"Name": "empty"}
    )["IamInstanceProfileAssociation"]
    assert replaced["AssociationId"] != first["AssociationId"]
    # A profile without a role gives no credentials.
    assert profile_of(cloud, ident) is None
    with refused("InvalidAssociationID.NotFound"):
        ec2.disassociate_iam_instance_profile(AssociationId=first["AssociationId"])
    with refused("DeleteConflict", 409, "instances"):
        iam.delete_instance_profile(InstanceProfileName="empty")
    ec2.disassociate_iam_instance_profile(AssociationId=replaced["AssociationId"])
    assert ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"] == []
    iam.delete_instance_profile(InstanceProfileName="empty")


def test_a_member_gives_no_instance_the_role_of_an_administrator(cloud: Cloud, admin: Account) -> None:
    iam = admin.client("iam")
    iam.attach_role_policy(RoleName="web", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.create_user(UserName=f"member-{admin.number}")
    iam.attach_user_policy(UserName=f"member-{admin.number}", PolicyArn="arn:aws:iam::aws:policy/PowerUserAccess")
    key = iam.create_access_key(UserName=f"member-{admin.number}")["AccessKey"]
    member = Account(cloud, key["AccessKeyId"], key["SecretAccessKey"])
    with refused("UnauthorizedOperation", 403, "gives the rights of 'admin', and yours are 'member'"):
        member.run(IamInstanceProfile={"Name": "web"})
    iam.detach_role_policy(RoleName="web", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.attach_role_policy(RoleName="web", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    member.run(IamInstanceProfile={"Name": "web"})


def test_the_host_of_an_instance_is_given_its_credentials(cloud: Cloud, admin: Account) -> None:
    (ident,) = admin.launch(IamInstanceProfile={"Name": "web"})
    with cloud.core.store.read() as tx:
        instance = tx.by_ec2(Instance, [ident])[ident]
    role_credentials = credentials(cloud.core, "host-1", instance.uuid)
    role: Any = cloud.authority.by_session(role_credentials.access_key, role_credentials.token, "ec2")
    assert (role.user_name, role.session, role.project) == ("web", ident, admin.caller.project)
    assert not role.admin
    assert credentials(cloud.core, "", instance.uuid).access_key != role_credentials.access_key


def test_others_are_given_none(cloud: Cloud, admin: Account) -> None:
    (ident,) = admin.launch(IamInstanceProfile={"Name": "web"})
    (without,) = admin.launch()
    with cloud.core.store.read() as tx:
        instance, plain = tx.by_ec2(Instance, [ident])[ident], tx.by_ec2(Instance, [without])[without]
    with pytest.raises(Exception, match="no such instance"):
        credentials(cloud.core, "host-2", instance.uuid)
    with pytest.raises(Exception, match="no such instance"):
        credentials(cloud.core, "", plain.uuid)
    # A role that EC2 is not trusted with.
    admin.client("iam").update_assume_role_policy(RoleName="web", PolicyDocument=trust(admin.number))
    with pytest.raises(Exception, match="no such instance"):
        credentials(cloud.core, "", instance.uuid)
