"""Tags on everything that has an id."""

import pytest

from tests.faces.ec2.cloud import Account, Cloud, filtered, refused


def tags_of(account: Account, ident: str) -> dict[str, str]:
    """Those that users set."""
    return {key: value for key, value in every_tag(account, ident).items() if not key.startswith("aws:")}


def every_tag(account: Account, ident: str) -> dict[str, str]:
    found = account.ec2.describe_tags(Filters=filtered("resource-id", ident))["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_life_of_tags(account: Account) -> None:
    ident = account.launch()[0]
    group = account.ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}, {"Key": "c", "Value": ""}]
    account.ec2.create_tags(Resources=[ident, group], Tags=tags)  # type: ignore[arg-type]
    assert tags_of(account, ident) == tags_of(account, group) == {"a": "1", "b": "2", "c": ""}
    account.ec2.create_tags(Resources=[ident], Tags=[{"Key": "a", "Value": "9"}])
    account.ec2.delete_tags(Resources=[ident], Tags=[{"Key": "b"}, {"Key": "c", "Value": "other"}])
    assert tags_of(account, ident) == {"a": "9", "c": ""}
    account.ec2.delete_tags(Resources=[ident], Tags=[{"Key": "c", "Value": ""}, {"Key": "unknown"}])
    assert tags_of(account, ident) == {"a": "9"}
    account.ec2.delete_tags(Resources=[ident, group])
    assert tags_of(account, ident) == tags_of(account, group) == {}


def test_both_lists_show_the_system_tags_and_nobody_takes_them_away(account: Account) -> None:
    ident = account.launch(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}])[0]
    shown = account.show(ident)
    expected = {"a": "b", "aws:pileus:address": shown["PublicIpAddress"], "aws:pileus:login": "root"}
    assert {tag["Key"]: tag["Value"] for tag in shown["Tags"]} == every_tag(account, ident) == expected
    for tags in ([{"Key": "aws:pileus:login"}, {"Key": "a"}], [{"Key": "aws:pileus:address", "Value": "x"}]):
        with refused("InvalidParameterValue", match="reserved"):
            account.ec2.delete_tags(Resources=[ident], Tags=tags)  # type: ignore[arg-type]
    assert every_tag(account, ident) == expected
    account.ec2.delete_tags(Resources=[ident])
    del expected["a"]
    assert every_tag(account, ident) == expected


def test_every_kind_can_be_tagged(cloud: Cloud, account: Account) -> None:
    shown = account.show(account.launch()[0])
    kinds = {
        "instance": shown["InstanceId"],
        "volume": shown["BlockDeviceMappings"][0]["Ebs"]["VolumeId"],
        "network-interface": shown["NetworkInterfaces"][0]["NetworkInterfaceId"],
        "vpc": shown["VpcId"],
        "subnet": shown["SubnetId"],
        "security-group": shown["SecurityGroups"][0]["GroupId"],
        "key-pair": account.ec2.create_key_pair(KeyName="k", KeyType="ed25519")["KeyPairId"],
        "image": cloud.add_image("own", account.caller, public=False).ec2_id,
    }
    account.ec2.create_tags(Resources=[*kinds.values()], Tags=[{"Key": "t", "Value": "v"}])
    found = account.ec2.describe_tags(Filters=filtered("key", "t"))["Tags"]
    assert {tag["ResourceType"]: tag["ResourceId"] for tag in found} == kinds
    volumes = account.ec2.describe_volumes(Filters=filtered("tag:t", "v"))["Volumes"]
    assert [volume["VolumeId"] for volume in volumes] == [kinds["volume"]]
    ports = account.ec2.describe_network_interfaces(Filters=filtered("tag:t", "v"))["NetworkInterfaces"]
    assert ports[0]["TagSet"] == [{"Key": "t", "Value": "v"}]


def test_filters_and_pages(account: Account) -> None:
    ids = account.launch(3)
    for number, ident in enumerate(ids):
        account.ec2.create_tags(Resources=[ident], Tags=[{"Key": k, "Value": f"v{number}"} for k in "abcd"])
    assert len(account.ec2.describe_tags(Filters=filtered("value", "v0"))["Tags"]) == 4
    assert len(account.ec2.describe_tags(Filters=filtered("tag:a", "v*"))["Tags"]) == 3
    assert len(account.ec2.describe_tags(Filters=filtered("resource-type", "volume"))["Tags"]) == 0
    pages = list(account.ec2.get_paginator("describe_tags").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Tags"]) for page in pages] == [5, 5, 5, 3]


def test_all_or_none(account: Account) -> None:
    ident = account.launch()[0]
    with refused("InvalidInstanceID.NotFound"):
        account.ec2.create_tags(Resources=[ident, "i-" + "0" * 17], Tags=[{"Key": "a", "Value": "b"}])
    assert tags_of(account, ident) == {}


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        ("nonsense", "InvalidID"),
        ("rtb-" + "0" * 17, "InvalidRouteTableID.NotFound"),
        ("i-xyz", "InvalidInstanceID.Malformed"),
        ("vol-" + "0" * 17, "InvalidVolume.NotFound"),
        ("vol-1", "InvalidVolumeID.Malformed"),
        ("ami-" + "0" * 17, "InvalidAMIID.NotFound"),
        ("sg-" + "0" * 17, "InvalidGroup.NotFound"),
        ("subnet-" + "0" * 17, "InvalidSubnetID.NotFound"),
        ("subnet-1", "InvalidSubnetID.Malformed"),
        ("vpc-" + "0" * 17, "InvalidVpcID.NotFound"),
        ("vpc-1", "InvalidVpcID.Malformed"),
        ("eni-" + "0" * 17, "InvalidNetworkInterfaceID.NotFound"),
        ("eni-1", "InvalidNetworkInterfaceId.Malformed"),
    ],
)
def test_unknown_resources(account: Account, resource: str, code: str) -> None:
    with refused(code):
        account.ec2.create_tags(Resources=[resource], Tags=[{"Key": "a", "Value": "b"}])


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("", "x", "InvalidParameterValue"),
        ("k" * 128, "x", "InvalidParameterValue"),
        ("k", "v" * 257, "InvalidParameterValue"),
        ("aws:mine", "x", "InvalidParameterValue"),
        ("aws:pileus:address", "x", "InvalidParameterValue"),
    ],
)
def test_bad_tags(account: Account, key: str, value: str, code: str) -> None:
    ident = account.launch()[0]
    with refused(code):
        account.ec2.create_tags(Resources=[ident], Tags=[{"Key": key, "Value": value}])
    assert tags_of(account, ident) == {}


def test_the_longest_tag(account: Account) -> None:
    ident = account.launch()[0]
    account.ec2.create_tags(Resources=[ident], Tags=[{"Key": "k" * 127, "Value": "v" * 256}])
    assert tags_of(account, ident) == {"k" * 127: "v" * 256}


def test_key_twice_and_too_many(account: Account) -> None:
    ident = account.launch()[0]
    with refused("InvalidParameterValue", match="Duplicate"):
        account.ec2.create_tags(Resources=[ident], Tags=[{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}])
    with refused("MissingParameter"):
        account.ec2.create_tags(Resources=[ident], Tags=[{"Value": "1"}])
    with refused("TagLimitExceeded"):
        account.ec2.create_tags(Resources=[ident], Tags=[{"Key": str(n), "Value": ""} for n in range(51)])


def test_others_things_are_not_there(cloud: Cloud, account: Account) -> None:
    ident = cloud.account().launch()[0]
    with refused("InvalidInstanceID.NotFound"):
        account.ec2.create_tags(Resources=[ident], Tags=[{"Key": "a", "Value": "b"}])
    with refused("UnauthorizedOperation", 403):
        account.ec2.create_tags(Resources=[cloud.image.ec2_id], Tags=[{"Key": "a", "Value": "b"}])
