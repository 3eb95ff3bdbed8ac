"""Images: which ones a caller sees, and as whose."""

from typing import Any

import pytest

from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def names(account: Account, **asked: Any) -> set[str]:
    return {image["Name"] for image in account.ec2.describe_images(**asked)["Images"]}


def test_what_an_image_looks_like(cloud: Cloud, account: Account) -> None:
    (image,) = account.ec2.describe_images(ImageIds=[cloud.large.ec2_id])["Images"]
    assert image["State"] == "available"
    assert image["Architecture"] == "x86_64"
    assert image["RootDeviceName"] == "/dev/vda"
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 3
    assert image["Public"] is True
    assert image["ImageOwnerAlias"] == "amazon"
    assert image["CreationDate"].endswith("Z")


def test_private_images_are_their_projects_alone(cloud: Cloud, account: Account) -> None:
    own = cloud.add_image("private", account.caller, public=False)
    other = cloud.account()
    assert {"private", "tiny", "debian-12"} <= names(account)
    assert "private" not in names(other)
    with refused("InvalidAMIID.NotFound"):
        other.ec2.describe_images(ImageIds=[own.ec2_id])
    with refused("InvalidAMIID.NotFound"):
        other.launch(ImageId=own.ec2_id)
    account.launch(ImageId=own.ec2_id)


def test_owners(cloud: Cloud) -> None:
    account = cloud.account(admin=True)
    cloud.add_image("own", account.caller, public=False)
    shared = cloud.add_image(f"shared-{account.name}", account.caller)
    assert names(account, Owners=["self"]) == {"own", shared.name} == names(account, Owners=[account.number])
    assert {"tiny", shared.name} <= names(account, Owners=["amazon"])
    assert "debian-12" in names(account, Owners=["aws-marketplace"])
    other = cloud.account()
    assert names(other, Owners=[account.number]) == {shared.name}
    (seen,) = other.ec2.describe_images(ImageIds=[shared.ec2_id])["Images"]
    assert seen["OwnerId"] == account.number


@pytest.mark.parametrize(
    ("owner", "name", "shown"),
    [
        ("136693071363", "debian-12-amd64-*", {"debian-12"}),
        ("136693071363", "debian-11-amd64-*", set()),
        ("aws-marketplace", "debian-12-*", {"debian-12"}),
        ("099720109477", "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*", {"ubuntu-22.04"}),
        ("099720109477", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*", set()),
        ("099720109477", "*22*", {"ubuntu-22.04"}),
        ("137112412989", "al2023-ami-*", set()),
        ("amazon", "al2023-ami-*", set()),
    ],
)
def test_owners_and_names_of_amazons_cloud_are_of_the_same_distribution(
    cloud: Cloud, account: Account, owner: str, name: str, shown: set[str]
) -> None:
    cloud.add_image("ubuntu-22.04")
    cloud.add_image("debian-11", account.caller, public=False)
    found = account.ec2.describe_images(Owners=[owner], Filters=filtered("name", name))["Images"]
    assert {image["Name"] for image in found} == shown
    assert {image["OwnerId"] for image in found} <= {"000000000000"}
    by_filter = account.ec2.describe_images(
        Filters=[*filtered("owner-id", owner), *filtered("name", name), *filtered("is-public", "true")]
    )
    assert {image["Name"] for image in by_filter["Images"]} == (shown if owner.isdigit() else set())


def test_executable_users(cloud: Cloud, account: Account) -> None:
    cloud.add_image("own", account.caller, public=False)
    assert "own" not in names(account, ExecutableUsers=["all"])
    assert "tiny" in names(account, ExecutableUsers=["all"])
    assert names(account, ExecutableUsers=["self"]) == set()


@pytest.mark.parametrize("asked", [{"Owners": ["self", "somebody"]}, {"ExecutableUsers": ["12345"]}])
def test_owners_that_cannot_be(account: Account, asked: dict[str, list[str]]) -> None:
    with refused("InvalidUserID.Malformed"):
        names(account, **asked)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "debian-*"),
        ("name", "debian-12"),
        ("block-device-mapping.volume-size", "3"),
    ],
)
def test_filters(account: Account, name: str, value: str) -> None:
    assert names(account, Owners=["000000000000"], Filters=filtered(name, value)) == {"debian-12"}


def test_filters_that_fit_all_or_none(account: Account) -> None:
    for name, value in (("is-public", "true"), ("state", "available"), ("architecture", "x86_64")):
        assert {"tiny", "debian-12"} <= names(account, Filters=filtered(name, value))
    for name in ("platform", "kernel-id", "product-code"):
        assert names(account, Filters=filtered(name, "*")) == set()
    with refused("InvalidParameterValue"):
        names(account, Filters=filtered("colour", "red"))


def test_bad_ids(account: Account) -> None:
    with refused("InvalidAMIID.Malformed"):
        names(account, ImageIds=["tiny"])
    with refused("InvalidAMIID.NotFound"):
        names(account, ImageIds=["ami-" + "0" * 17])
