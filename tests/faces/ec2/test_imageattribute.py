"""The attributes of images, and who sees them then."""

from __future__ import annotations

from typing import Any

import pytest

from pileus.model.errors import NotFound
from pileus.model.image import Image
from pileus.rules import find
from tests.faces.ec2.cloud import Account, Cloud, refused


@pytest.fixture
def image(cloud: Cloud, account: Account) -> Image:
    """A private image of the account's."""
    return cloud.add_image(f"private-{account.name}", account.caller, public=False)


def attribute(account: Account, image: Image, name: Any) -> dict[str, Any]:
    answer: dict[str, Any] = dict(account.ec2.describe_image_attribute(ImageId=image.ec2_id, Attribute=name))
    assert answer.pop("ImageId") == image.ec2_id
    del answer["ResponseMetadata"]
    return answer


def images(account: Account, **asked: Any) -> set[str]:
    return {each["ImageId"] for each in account.ec2.describe_images(**asked)["Images"]}


def test_an_image_is_shared_with_an_account_and_no_other(cloud: Cloud, account: Account, image: Image) -> None:
    friend, stranger = cloud.account(), cloud.account()
    account.ec2.modify_image_attribute(ImageId=image.ec2_id, LaunchPermission={"Add": [{"UserId": friend.number}]})
    assert attribute(account, image, "launchPermission") == {"LaunchPermissions": [{"UserId": friend.number}]}
    assert image.ec2_id in images(friend)
    assert image.ec2_id in images(friend, ExecutableUsers=["self"])
    assert image.ec2_id in images(account, ExecutableUsers=[friend.number])
    assert image.ec2_id not in images(friend, Owners=["self"])
    assert image.ec2_id not in images(stranger)
    (ident,) = friend.launch(ImageId=image.ec2_id)
    with refused("InvalidAMIID.NotFound"):
        stranger.launch(ImageId=image.ec2_id)
    account.ec2.modify_image_attribute(
        ImageId=image.ec2_id, Attribute="launchPermission", OperationType="remove", UserIds=[friend.number]
    )
    assert image.ec2_id not in images(friend)
    assert friend.show(ident)["ImageId"] == image.ec2_id
    with refused("InvalidAMIID.NotFound"):
        friend.launch(ImageId=image.ec2_id)


def test_one_that_it_is_shared_with_neither_sees_nor_changes_its_attributes(
    cloud: Cloud, account: Account, image: Image
) -> None:
    friend = cloud.account()
    account.ec2.modify_image_attribute(ImageId=image.ec2_id, LaunchPermission={"Add": [{"UserId": friend.number}]})
    for shared in (image, cloud.image):
        with refused("AuthFailure", 403, match=shared.ec2_id):
            attribute(friend, shared, "launchPermission")
        with refused("AuthFailure", 403):
            friend.ec2.modify_image_attribute(ImageId=shared.ec2_id, Description={"Value": "mine"})
        with refused("AuthFailure", 403):
            friend.ec2.reset_image_attribute(ImageId=shared.ec2_id, Attribute="launchPermission")
    with refused("InvalidAMIID.NotFound"):
        friend.ec2.deregister_image(ImageId=image.ec2_id)


def test_the_name_of_a_shared_image_leads_nobody_to_it(cloud: Cloud, account: Account, image: Image) -> None:
    friend = cloud.account()
    trap = cloud.add_image("tiny", account.caller, public=False)
    for shared in (image, trap):
        account.ec2.modify_image_attribute(ImageId=shared.ec2_id, LaunchPermission={"Add": [{"UserId": friend.number}]})
    with cloud.core.store.read() as tx:
        assert find.by_any(friend.caller, tx, Image, "tiny").uuid == cloud.image.uuid
        assert find.by_any(friend.caller, tx, Image, image.ec2_id).uuid == image.uuid
        assert find.by_any(account.caller, tx, Image, image.name).uuid == image.uuid
        with pytest.raises(NotFound):
            find.by_any(friend.caller, tx, Image, image.name)


def test_administrators_make_images_public(cloud: Cloud, account: Account, image: Image) -> None:
    everybody: Any = {"Add": [{"Group": "all"}]}
    with refused("UnauthorizedOperation", 403):
        account.ec2.modify_image_attribute(ImageId=image.ec2_id, LaunchPermission=everybody)
    admin, other = cloud.account(admin=True), cloud.account()
    admin.ec2.modify_image_attribute(ImageId=image.ec2_id, LaunchPermission=everybody)
    assert image.ec2_id in images(other, ExecutableUsers=["all"])
    assert attribute(account, image, "launchPermission") == {"LaunchPermissions": [{"Group": "all"}]}
    # Its owner may still describe what is public, and take it back.
    account.ec2.modify_image_attribute(ImageId=image.ec2_id, Description={"Value": "for all"})
    account.ec2.reset_image_attribute(ImageId=image.ec2_id, Attribute="launchPermission")
    assert attribute(account, image, "launchPermission") == {"LaunchPermissions": []}
    assert image.ec2_id not in images(other)


def test_a_description_is_changed_in_either_form(account: Account, image: Image) -> None:
    account.ec2.modify_image_attribute(ImageId=image.ec2_id, Description={"Value": "one"})
    assert attribute(account, image, "description") == {"Description": {"Value": "one"}}
    account.ec2.modify_image_attribute(ImageId=image.ec2_id, Attribute="description", Value="two")
    (shown,) = account.ec2.describe_images(ImageIds=[image.ec2_id])["Images"]
    assert shown["Description"] == "two"
    with refused("InvalidParameterValue"):
        account.ec2.modify_image_attribute(ImageId=image.ec2_id, Description={"Value": "x" * 256})


def test_the_other_attributes(account: Account, image: Image) -> None:
    mappings = attribute(account, image, "blockDeviceMapping")["BlockDeviceMappings"]
    assert mappings[0]["DeviceName"] == "/dev/vda"
    assert attribute(account, image, "bootMode") == {"BootMode": {"Value": "legacy-bios"}}
    assert attribute(account, image, "productCodes") == {"ProductCodes": []}
    for name in ("kernel", "ramdisk", "sriovNetSupport", "tpmSupport", "uefiData", "lastLaunchedTime", "imdsSupport"):
        assert "Value" not in str(attribute(account, image, name))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "InvalidParameterCombination"),
        (
            {"Description": {"Value": "a"}, "LaunchPermission": {"Add": [{"Group": "all"}]}},
            "InvalidParameterCombination",
        ),
        ({"Attribute": "kernel", "Value": "aki-1"}, "InvalidParameterValue"),
        ({"Attribute": "launchPermission", "UserIds": ["123456789012"]}, "InvalidParameterCombination"),
        ({"LaunchPermission": {"Add": [{"UserId": "somebody"}]}}, "InvalidAMIAttributeItemValue"),
        ({"LaunchPermission": {"Add": [{"OrganizationArn": "arn:aws:organizations::1"}]}}, "UnsupportedOperation"),
        ({"ProductCodes": ["a"]}, "UnsupportedOperation"),
        ({"ImdsSupport": {"Value": "v2.0"}}, "UnsupportedOperation"),
    ],
)
def test_bad_changes(account: Account, image: Image, asked: dict[str, Any], code: str) -> None:
    with refused(code):
        account.ec2.modify_image_attribute(ImageId=image.ec2_id, **asked)


def test_the_number_of_accounts_has_a_bound(account: Account, image: Image) -> None:
    def shared(first: int, last: int) -> None:
        users: Any = [{"UserId": f"{number:012}"} for number in range(first, last)]
        account.ec2.modify_image_attribute(ImageId=image.ec2_id, LaunchPermission={"Add": users})

    shared(0, 1000)
    with refused("ResourceLimitExceeded"):
        shared(1000, 1001)
