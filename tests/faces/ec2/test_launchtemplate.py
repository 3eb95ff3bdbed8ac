"""Launch templates, as boto3 makes them and launches by them; and each refusal by Amazon's code."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from pileus.model import bounds
from pileus.model.errors import NotFound
from pileus.verbs import launchtemplate
from pileus.verbs.instance import launch
from pileus.verbs.instance.launch import Launch
from tests.faces.ec2.cloud import Account, Cloud, code_of, filtered, refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Ask = Callable[[], object]

USER_DATA = base64.b64encode(b"#!/bin/sh\n").decode()
NO_VERSION = "InvalidLaunchTemplateId.VersionNotFound"


@pytest.fixture
def account(cloud: Cloud) -> Account:
    """An account of the test's own."""
    return cloud.account()


def made(account: Account, name: str = "web", **data: Any) -> str:
    """The id of a new template with these parameters."""
    every: Any = {"InstanceType": "m1.tiny", **data}
    template = account.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=every)
    return str(template["LaunchTemplate"]["LaunchTemplateId"])


def versions(account: Account, **chosen: Any) -> list[int]:
    """The numbers of versions in the order of their list."""
    answer = account.ec2.describe_launch_template_versions(**chosen)
    return [version["VersionNumber"] for version in answer["LaunchTemplateVersions"]]


def test_a_template_is_made_shown_and_deleted(account: Account) -> None:
    ec2 = account.ec2
    data: Any = {
        "ImageId": account.cloud.image.ec2_id,
        "InstanceType": "m1.tiny",
        "UserData": USER_DATA,
        "BlockDeviceMappings": [{"DeviceName": "/dev/vda", "Ebs": {"VolumeSize": 8, "VolumeType": "gp3"}}],
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}],
    }
    template = ec2.create_launch_template(
        LaunchTemplateName="web",
        VersionDescription="first",
        LaunchTemplateData=data,
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "for", "Value": "tests"}]}],
    )["LaunchTemplate"]
    assert (template["DefaultVersionNumber"], template["LatestVersionNumber"]) == (1, 1)
    assert template["CreatedBy"] == f"arn:aws:iam::{account.number}:user/{account.name}"
    other = made(account, "other")
    created = template["CreateTime"].strftime("%Y-%m-%dT%H:%M:%S.*")
    for chosen in (
        {"LaunchTemplateIds": [template["LaunchTemplateId"]]},
        {"LaunchTemplateNames": ["web"]},
        {"Filters": filtered("launch-template-name", "w*") + filtered("create-time", created)},
        {"Filters": filtered("tag:for", "tests")},
    ):
        assert ec2.describe_launch_templates(**chosen)["LaunchTemplates"] == [template]
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateName="web")["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"] == data
    assert (version["VersionDescription"], version["DefaultVersion"]) == ("first", True)
    assert ec2.delete_launch_template(LaunchTemplateName="web")["LaunchTemplate"] == {
        name: value for name, value in template.items() if name != "Tags"
    } | {"Tags": template["Tags"]}
    (left,) = ec2.describe_launch_templates()["LaunchTemplates"]
    assert left["LaunchTemplateId"] == other
    with refused("InvalidLaunchTemplateId.NotFound"):
        ec2.describe_launch_templates(LaunchTemplateIds=[template["LaunchTemplateId"]])
    made(account, "web")


def test_a_token_makes_one_template_and_one_version(account: Account) -> None:
    make: Any = {"LaunchTemplateName": "web", "LaunchTemplateData": {"InstanceType": "m1.tiny"}, "ClientToken": "t"}
    first, second = (account.ec2.create_launch_template(**make)["LaunchTemplate"] for _ in range(2))
    assert first == second
    with refused("IdempotentParameterMismatch"):
        account.ec2.create_launch_template(**make | {"LaunchTemplateData": {"InstanceType": "m1.small"}})
    add: Any = {"LaunchTemplateName": "web", "LaunchTemplateData": {"InstanceType": "m1.small"}, "ClientToken": "t"}
    numbers = [
        account.ec2.create_launch_template_version(**add)["LaunchTemplateVersion"]["VersionNumber"] for _ in range(2)
    ]
    assert numbers == [2, 2]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"InstanceMarketOptions": {"MarketType": "spot"}}, "UnsupportedOperation"),
        ({"Monitoring": {"Enabled": True}}, "UnsupportedOperation"),
        ({"KernelId": "aki-1"}, "UnsupportedOperation"),
        ({"RamDiskId": "ari-1"}, "UnsupportedOperation"),
        ({"ElasticGpuSpecifications": [{"Type": "eg1"}]}, "UnsupportedOperation"),
        (
            {"InstanceRequirements": {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}}, "InstanceType": "m1.tiny"},
            "UnsupportedOperation",
        ),
        ({"Placement": {"Tenancy": "dedicated"}}, "UnsupportedOperation"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1}}]}, "UnsupportedOperation"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/vda", "Ebs": {"VolumeSize": 0}}]}, "InvalidParameterValue"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}], "SecurityGroupIds": ["sg-1"]}, "InvalidParameterCombination"),
        ({"UserData": "!!"}, "InvalidUserData.Malformed"),
        ({"UserData": base64.b64encode(b"x" * 20_000).decode()}, "InvalidParameterValue"),
        ({"ImageId": "resolve:ssm:/an/image"}, "InvalidAMIID.Malformed"),
        ({"TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "a"}]}]}, "InvalidParameterValue"),
        (
            {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "aws:a", "Value": "b"}]}]},
            "InvalidParameterValue",
        ),
        ({"KeyName": "x" * 300}, "InvalidParameterValue"),
    ],
)
def test_a_templates_parameters_are_checked_as_a_launchs(account: Account, data: dict[str, Any], code: str) -> None:
    with refused(code):
        account.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)  # type: ignore[arg-type]
    made(account, "web")
    with refused(code):
        account.ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData=data)  # type: ignore[arg-type]
    assert versions(account, LaunchTemplateName="web") == [1]


def test_a_template_needs_a_good_name(account: Account) -> None:
    made(account, "web")
    for name, code in (
        ("ab", "InvalidLaunchTemplateName.MalformedException"),
        ("x" * 129, "InvalidLaunchTemplateName.MalformedException"),
        ("a name", "InvalidLaunchTemplateName.MalformedException"),
        ("web", "InvalidLaunchTemplateName.AlreadyExistsException"),
    ):
        form = {"LaunchTemplateName": name, "LaunchTemplateData.InstanceType": "m1.tiny"}
        assert code_of(account.post(params={"Action": "CreateLaunchTemplate", **form})) == code
    made(account.cloud.account(), "web")
    for ident, code in (
        ("lt-1", "InvalidLaunchTemplateId.Malformed"),
        ("lt-" + "0" * 17, "InvalidLaunchTemplateId.NotFound"),
    ):
        with refused(code):
            account.ec2.delete_launch_template(LaunchTemplateId=ident)
    with refused("InvalidParameterCombination"):
        account.ec2.delete_launch_template(LaunchTemplateId="lt-" + "0" * 17, LaunchTemplateName="web")
    with refused("MissingParameter"):
        account.ec2.delete_launch_template()


def test_versions_are_added_over_others_listed_and_deleted(account: Account) -> None:
    ec2 = account.ec2
    ident = made(account, KeyName="one", UserData=USER_DATA)
    added = ec2.create_launch_template_version(
        LaunchTemplateId=ident, SourceVersion="1", LaunchTemplateData={"KeyName": "two"}, VersionDescription="second"
    )["LaunchTemplateVersion"]
    assert added["LaunchTemplateData"] == {"InstanceType": "m1.tiny", "KeyName": "two", "UserData": USER_DATA}
    assert (added["VersionNumber"], added["DefaultVersion"]) == (2, False)
    alone = ec2.create_launch_template_version(LaunchTemplateId=ident, LaunchTemplateData={"KeyName": "three"})
    assert alone["LaunchTemplateVersion"]["LaunchTemplateData"] == {"KeyName": "three"}
    made(account, "other")
    same: Any = {"LaunchTemplateId": ident}
    assert versions(account, **same) == [3, 2, 1]
    assert versions(account, **same, Versions=["$Default", "$Latest", "1"]) == [3, 1]
    assert versions(account, **same, MinVersion="2") == [3, 2]
    assert versions(account, **same, MinVersion="1", MaxVersion="2") == [2, 1]
    assert versions(account, **same, Filters=filtered("is-default-version", "true")) == [1]
    assert versions(account, **same, Filters=filtered("instance-type", "m1.tiny")) == [2, 1]
    assert versions(account, Versions=["$Latest"]) == [3, 1]
    assert versions(account, Versions=["$Latest", "$Default"]) == [3, 1, 1]
    changed = ec2.modify_launch_template(LaunchTemplateId=ident, DefaultVersion="2")["LaunchTemplate"]
    assert (changed["DefaultVersionNumber"], changed["LatestVersionNumber"]) == (2, 3)
    result = ec2.delete_launch_template_versions(LaunchTemplateId=ident, Versions=["1", "2", "3", "9"])
    assert [each["VersionNumber"] for each in result["SuccessfullyDeletedLaunchTemplateVersions"]] == [1, 3]
    assert {
        each["VersionNumber"]: each["ResponseError"]["Code"]
        for each in result["UnsuccessfullyDeletedLaunchTemplateVersions"]
    } == {2: "unexpectedError", 9: "launchTemplateVersionDoesNotExist"}
    again = ec2.create_launch_template_version(LaunchTemplateId=ident, LaunchTemplateData={"KeyName": "four"})
    assert again["LaunchTemplateVersion"]["VersionNumber"] == 4, "a number is never given twice"


def test_versions_that_are_not_there_are_refused(account: Account) -> None:
    ec2, same = account.ec2, {"LaunchTemplateId": made(account)}
    template: Any = same
    asks: tuple[tuple[str, Ask], ...] = (
        (NO_VERSION, lambda: versions(account, **same, Versions=["2"])),
        (NO_VERSION, lambda: ec2.modify_launch_template(**template, DefaultVersion="2")),
        (
            NO_VERSION,
            lambda: ec2.create_launch_template_version(
                **template, SourceVersion="2", LaunchTemplateData={"KeyName": "k"}
            ),
        ),
        ("InvalidParameterValue", lambda: versions(account, **same, Versions=["one"])),
        ("InvalidParameterValue", lambda: versions(account, **same, Versions=["latest"])),
        ("InvalidParameterValue", lambda: ec2.delete_launch_template_versions(**template, Versions=["$Latest"])),
        ("InvalidParameterCombination", lambda: versions(account, **same, Versions=["1"], MinVersion="1")),
        ("InvalidParameterCombination", lambda: versions(account, Versions=["1"])),
        ("MissingParameter", lambda: versions(account)),
        ("MissingParameter", lambda: ec2.modify_launch_template(**template)),
    )
    for code, ask in asks:
        with refused(code):
            ask()


def test_versions_are_bounded(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    made(account)
    monkeypatch.setattr(bounds, "LAUNCH_TEMPLATE_VERSIONS", bounds.Bound("versions", "noun", 1, ""))
    with refused("ResourceLimitExceeded"):
        account.ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData={"KeyName": "k"})
    monkeypatch.setattr(bounds, "LAUNCH_TEMPLATE_DATA", bounds.Bound("bytes", "noun", 100, ""))
    with refused("ResourceLimitExceeded"):
        made(account, "long", UserData=base64.b64encode(b"x" * 100).decode())


def test_an_instance_is_launched_by_a_template(account: Account) -> None:
    ec2, cloud = account.ec2, account.cloud
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    tags = [{"Key": "Name", "Value": "web"}, {"Key": "kept", "Value": "yes"}]
    ident = made(
        account,
        ImageId=cloud.image.ec2_id,
        UserData=USER_DATA,
        SecurityGroupIds=[group],
        DisableApiTermination=True,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    own: Any = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "mine"}]}]
    launched: Any = {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateId": ident}}
    (shown,) = ec2.run_instances(**launched, InstanceType="m1.small", TagSpecifications=own)["Instances"]
    assert (shown["InstanceType"], shown["ImageId"]) == ("m1.small", cloud.image.ec2_id)
    assert [each["GroupId"] for each in shown["SecurityGroups"]] == [group]
    user_tags = {tag["Key"]: tag["Value"] for tag in shown["Tags"] if not tag["Key"].startswith("aws:pileus")}
    assert user_tags == {
        "Name": "mine",
        "kept": "yes",
        "aws:ec2launchtemplate:id": ident,
        "aws:ec2launchtemplate:version": "1",
    }
    attribute = ec2.describe_instance_attribute(InstanceId=shown["InstanceId"], Attribute="userData")
    assert attribute["UserData"]["Value"] == USER_DATA
    chosen = ec2.describe_instances(Filters=filtered("tag:aws:ec2launchtemplate:id", ident))["Reservations"]
    assert [each["InstanceId"] for row in chosen for each in row["Instances"]] == [shown["InstanceId"]]
    # Either way to name groups replaces both.
    (named,) = ec2.run_instances(**launched, SecurityGroups=["default"])["Instances"]
    assert [each["GroupName"] for each in named["SecurityGroups"]] == ["default"]


def test_a_launch_names_a_version(account: Account) -> None:
    ec2 = account.ec2
    ident = made(account, ImageId=account.cloud.image.ec2_id)
    ec2.create_launch_template_version(
        LaunchTemplateId=ident, SourceVersion="$Default", LaunchTemplateData={"InstanceType": "m1.small"}
    )

    def flavor(**template: str) -> str:
        launched: Any = {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": template}
        (shown,) = ec2.run_instances(**launched)["Instances"]
        return str(shown["InstanceType"])

    assert flavor(LaunchTemplateName="web") == "m1.tiny"
    assert flavor(LaunchTemplateName="web", Version="$Latest") == "m1.small"
    assert flavor(LaunchTemplateId=ident, Version="1") == "m1.tiny"
    for code, template in (
        (NO_VERSION, {"LaunchTemplateId": ident, "Version": "3"}),
        ("InvalidParameterValue", {"LaunchTemplateId": ident, "Version": "newest"}),
        ("InvalidParameterCombination", {"LaunchTemplateId": ident, "LaunchTemplateName": "web"}),
        ("MissingParameter", {"Version": "1"}),
        ("InvalidLaunchTemplateName.NotFoundException", {"LaunchTemplateName": "none"}),
    ):
        with refused(code):
            flavor(**template)
    made(account, "imageless")
    with refused("MissingParameter", match="ImageId"):
        flavor(LaunchTemplateName="imageless")
    interface: Any = [{"DeviceIndex": 0, "AssociatePublicIpAddress": False}]
    made(account, "wired", ImageId=account.cloud.image.ec2_id, NetworkInterfaces=interface)
    launched: Any = {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateName": "wired"}}
    with refused("InvalidParameterCombination"):
        ec2.run_instances(**launched, SecurityGroups=["default"])
    with refused("DryRunOperation", status=412):
        ec2.run_instances(**launched, DryRun=True)


def test_an_instances_parameters_become_a_template(account: Account) -> None:
    ec2 = account.ec2
    ec2.create_key_pair(KeyName="key")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "first"}]}]
    metadata = {"HttpPutResponseHopLimit": 2, "HttpTokens": "required", "InstanceMetadataTags": "disabled"}
    (first,) = account.launch(
        KeyName="key", UserData="data of the first", TagSpecifications=tags, MetadataOptions=metadata
    )
    data = ec2.get_launch_template_data(InstanceId=first)["LaunchTemplateData"]
    assert (data["ImageId"], data["InstanceType"], data["KeyName"]) == (account.cloud.image.ec2_id, "m1.tiny", "key")
    assert data["MetadataOptions"].items() >= metadata.items()
    ec2.create_launch_template(LaunchTemplateName="copy", LaunchTemplateData=data)  # type: ignore[arg-type]
    launched: Any = {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateName": "copy"}}
    (second,) = ec2.run_instances(**launched)["Instances"]
    assert ec2.get_launch_template_data(InstanceId=second["InstanceId"])["LaunchTemplateData"] == data


def test_a_launch_notes_a_template_of_its_own_project_alone(account: Account) -> None:
    """The REST face takes the noun in the body of a launch."""
    cloud, others = account.cloud, account.cloud.account()
    for owner, name, number, refusal in (
        (others, "theirs", 1, "does not exist"),
        (account, "old", 7, "the specified version 7"),
        (account, "ours", 1, ""),
    ):
        made(owner, name)
        (template,) = launchtemplate.listing(owner.caller, cloud.core, [name])
        request = Launch(
            image=cloud.image.uuid, flavor="m1.tiny", launchtemplate=template.uuid, launchtemplate_version=number
        )
        if refusal:
            with pytest.raises(NotFound, match=refusal):
                launch.launch(account.caller, cloud.core, request)
        else:
            assert launch.launch(account.caller, cloud.core, request)
