"""Requests: what botocore sends is what we read, what older clients send too; the rest is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.faces.wire import query
from pileus.faces.wire.errors import WireError
from pileus.faces.wire.model import ServiceModel
from pileus.model import bounds
from tests.faces.wire import generated

EC2 = ServiceModel.load("ec2")
STS = ServiceModel.load("sts")
IAM = ServiceModel.load("iam")
COMMON = ["RunInstances", "DescribeInstances", "CreateTags", "AuthorizeSecurityGroupIngress", "ImportKeyPair"]

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ec2(action: str, **params: str) -> dict[str, Any]:
    """Parse an EC2 request whose parameters are given with two underscores for a dot."""
    named = {name.replace("__", "."): value for name, value in params.items()}
    return query.parse(EC2, {"Action": action, "Version": "2016-11-15", **named})[1]


def refusal(action: str, params: dict[str, str], service: ServiceModel = EC2) -> WireError:
    """Return the error that a request is refused with."""
    with pytest.raises(WireError) as caught:
        query.parse(service, {"Action": action, "Version": service.version, **params})
    return caught.value


def check_round_trip(name: str, action: str, random: Random) -> None:
    shape = generated.operation(name, action).input_shape
    drawn = generated.Drawer(random, complete=True).value(shape) if shape is not None else {}
    arguments: dict[str, Any] = {} if drawn is generated.OMITTED else drawn
    body = generated.sent(name, action, arguments)
    assert query.parse(ServiceModel.load(name), query.decode_form("", body)) == (action, arguments)


@pytest.mark.parametrize("name", ["ec2", "sts", "iam", "autoscaling", "elb", "elbv2", "sdb"])
def test_reads_what_botocore_sends_for_every_action(name: str) -> None:
    for action in generated.service(name).operation_names:
        for seed in range(4):
            check_round_trip(name, action, Random(f"{action}{seed}"))


@pytest.mark.parametrize("action", COMMON)
@quick
@given(random=st.randoms(use_true_random=False))
def test_reads_what_botocore_sends(action: str, random: Random) -> None:
    check_round_trip("ec2", action, random)


@quick
@given(random=st.randoms(use_true_random=False))
def test_reads_the_query_protocol(random: Random) -> None:
    check_round_trip("sts", "AssumeRole", random)
    check_round_trip("iam", "CreateUser", random)


def test_reads_what_boto_2_sends() -> None:
    found = query.parse(
        EC2,
        {
            "AWSAccessKeyId": "AKIA",
            "Action": "RunInstances",
            "BlockDeviceMapping.1.DeviceName": "/dev/sda1",
            "BlockDeviceMapping.1.Ebs.DeleteOnTermination": "True",
            "BlockDeviceMapping.1.Ebs.VolumeSize": "8",
            "ImageId": "ami-1",
            "InstanceType": "m1.tiny",
            "KeyName": "work",
            "MaxCount": "1",
            "MinCount": "1",
            "Monitoring.Enabled": "false",
            "Placement.AvailabilityZone": "us-east-1a",
            "SecurityGroup.1": "default",
            "SecurityGroupId.1": "sg-1",
            "SignatureMethod": "HmacSHA256",
            "SignatureVersion": "2",
            "Timestamp": "2024-01-01T00:00:00Z",
            "UserData": "aGk=",
            "Version": "2014-10-01",
        },
    )
    assert found == (
        "RunInstances",
        {
            "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": True, "VolumeSize": 8}}],
            "ImageId": "ami-1",
            "InstanceType": "m1.tiny",
            "KeyName": "work",
            "MaxCount": 1,
            "MinCount": 1,
            "Monitoring": {"Enabled": False},
            "Placement": {"AvailabilityZone": "us-east-1a"},
            "SecurityGroups": ["default"],
            "SecurityGroupIds": ["sg-1"],
            "UserData": "aGk=",
        },
    )


def test_names_of_lists() -> None:
    assert ec2("DescribeInstances", InstanceId__1="i-1") == {"InstanceIds": ["i-1"]}
    assert ec2("DescribeInstances", InstanceIds__1="i-1") == {"InstanceIds": ["i-1"]}
    assert ec2("DescribeInstances", InstanceId="i-1") == {"InstanceIds": ["i-1"]}
    assert ec2("DescribeImages", ImageId__1="ami-1", Owner__1="self") == {
        "ImageIds": ["ami-1"],
        "Owners": ["self"],
    }
    assert ec2("CreateTags", ResourceId__1="i-1", Tag__1__Key="a", Tag__2__Key="b", Tag__2__Value="") == {
        "Resources": ["i-1"],
        "Tags": [{"Key": "a"}, {"Key": "b", "Value": ""}],
    }
    assert ec2("DescribeInstances", Filter__1__Name="tag:a", Filter__1__Value__1="x*") == {
        "Filters": [{"Name": "tag:a", "Values": ["x*"]}]
    }


def test_indexes_order_and_need_not_be_contiguous() -> None:
    found = ec2(
        "DescribeInstances",
        InstanceId__10="c",
        InstanceId__2="b",
        InstanceId__0="a",
        InstanceId__999999999="d",
    )
    assert found == {"InstanceIds": ["a", "b", "c", "d"]}


def test_a_long_list_is_read() -> None:
    params = {f"InstanceId.{n}": f"i-{n}" for n in range(bounds.LISTED.most)}
    asked = {"Action": "DescribeInstances", "Version": "2016-11-15", **params}
    _, found = query.parse(EC2, asked)
    assert len(found["InstanceIds"]) == len(params)
    with pytest.raises(WireError, match="length less than or equal to 1000"):
        query.parse(EC2, {**asked, "InstanceId.999999999": "i-x"})


@pytest.mark.parametrize(
    ("action", "params", "code", "text"),
    [
        ("RunInstances", {"MaxCount": "1"}, "MissingParameter", "contain the parameter MinCount"),
        ("RunInstances", {"MinCount": "abc", "MaxCount": "1"}, "InvalidParameterValue", "'abc' for MinCount"),
        ("RunInstances", {"MinCount": "1.5"}, "InvalidParameterValue", "'1.5' for MinCount"),
        ("RunInstances", {"MinCount": "٣"}, "InvalidParameterValue", "an integer"),
        ("RunInstances", {"MinCount": "2147483648"}, "InvalidParameterValue", "an integer"),
        ("RunInstances", {"MinCount": "9" * 5000}, "InvalidParameterValue", "an integer"),
        ("RunInstances", {"MinCount.1": "1"}, "UnknownParameter", "MinCount.1"),
        ("RunInstances", {"Colour": "red"}, "UnknownParameter", "The parameter Colour is not recognized"),
        ("RunInstances", {"Placement.Colour": "red"}, "UnknownParameter", "Placement.Colour"),
        ("RunInstances", {"Placement": "red"}, "InvalidParameterValue", "a structure"),
        ("RunInstances", {"Placement.Tenancy": "mine"}, "InvalidParameterValue", "Valid values: dedicated"),
        ("DescribeInstances", {"DryRun": "perhaps"}, "InvalidParameterValue", "true or false"),
        ("DescribeInstances", {"InstanceId.x": "i"}, "UnknownParameter", "InstanceId.x"),
        ("DescribeInstances", {"InstanceId.-1": "i"}, "UnknownParameter", "InstanceId.-1"),
        ("DescribeInstances", {"InstanceId.9999999999": "i"}, "UnknownParameter", "InstanceId.9999999999"),
        ("DescribeInstances", {"InstanceId.1": "a", "InstanceId.01": "b"}, "MalformedQueryString", "1 twice"),
        (
            "DescribeInstances",
            {"InstanceId.1": "a", "InstanceIds.1": "b"},
            "MalformedQueryString",
            "two names",
        ),
        (
            "DescribeInstances",
            {"InstanceId": "a", "InstanceId.1": "b"},
            "MalformedQueryString",
            "contradicts",
        ),
        (
            "DescribeInstances",
            {"InstanceId.1": "a", "InstanceId": "b"},
            "MalformedQueryString",
            "contradicts",
        ),
        ("DescribeInstances", {"InstanceId.1": "a\x00b"}, "InvalidCharacter", "InstanceId.1"),
        ("DescribeInstances", {"Filter" + ".1" * 40: "a"}, "UnknownParameter", "Filter.1.1"),
        ("DescribeInstances", {"F" * 1000: "a"}, "UnknownParameter", "F..."),
        ("DescribeInstances", {"Filter..Name": "a"}, "UnknownParameter", "Filter."),
        ("ImportKeyPair", {"KeyName": "a", "PublicKeyMaterial": "%%"}, "InvalidParameterValue", "base64"),
        ("CreateTags", {"Tag.1.Key": "a"}, "MissingParameter", "ResourceId"),
        ("DescribeVpcs", {"MaxResults": "1"}, "InvalidParameterValue", "value greater than or equal to 5"),
        ("LaunchRocket", {}, "InvalidAction", "LaunchRocket"),
    ],
)
def test_refuses_in_the_vendors_words(action: str, params: dict[str, str], code: str, text: str) -> None:
    error = refusal(action, params)
    assert (error.code, error.status) == (code, 400)
    assert text in error.message
    assert len(error.message) < 500


def test_repeats_no_secret() -> None:
    disk = "LaunchSpecification.UserData"
    plan = {"ImportSnapshot": "DiskContainer.Url", "RequestSpotInstances": disk, "RunInstances": "UserData"}
    for action, name in plan.items():
        error = refusal(action, {name: "hunter2\x00"})
        assert error.code == "InvalidCharacter"
        assert "hunter2" not in error.message


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"RoleSessionName": "me"}, "ValidationError", "Value null at 'roleArn'"),
        (
            {"RoleArn": "short", "RoleSessionName": "me"},
            "ValidationError",
            "length greater than or equal to 20",
        ),
        ({"DurationSeconds": "soon"}, "MalformedInput", "DurationSeconds"),
        ({"DurationSeconds": "1"}, "ValidationError", "'durationSeconds' failed to satisfy constraint"),
        ({"Tags.1.Key": "a"}, "MalformedInput", "Tags.1"),
        ({"Tags.member.1.Key": "a"}, "ValidationError", "'tags.member.1.value'"),
    ],
)
def test_query_protocol_refuses_in_its_own_words(params: dict[str, str], code: str, text: str) -> None:
    error = refusal("AssumeRole", params, STS)
    assert error.code == code
    assert text in error.message


def test_query_protocol_overlooks_what_it_does_not_know() -> None:
    params = {"Action": "GetCallerIdentity", "Version": "2011-06-15", "Colour": "red"}
    assert query.parse(STS, params) == ("GetCallerIdentity", {})


@pytest.mark.parametrize("version", ["2016-11-15", "2014-10-01", "2009-04-04", "2006-06-26"])
def test_accepts_old_versions(version: str) -> None:
    assert query.parse(EC2, {"Action": "DescribeInstances", "Version": version})[1] == {}


@pytest.mark.parametrize("version", ["2099-01-01", "2001-01-01", "2014-13-01", "2014-1-1", "latest", "20140101"])
def test_refuses_versions_that_never_were(version: str) -> None:
    error = refusal("DescribeInstances", {"Version": version})
    assert error.code == "NoSuchVersion"
    assert error.message == f"The requested version ({version}) of service AmazonEC2 does not exist"
    assert refusal("GetCallerIdentity", {"Version": version}, STS).code == "InvalidAction"


def test_missing_action_and_version() -> None:
    assert refusal("", {}).code == "MissingAction"
    assert refusal("DescribeInstances", {"Version": ""}).code == "MissingParameter"
    error = refusal("GetCallerIdentity", {"Version": ""}, STS)
    assert error.message == "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED"


def test_times_are_utc() -> None:
    for text in (
        "2024-01-31T12:00:00Z",
        "2024-01-31T13:00:00+01:00",
        "2024-01-31T12:00:00.000",
        "2024-01-31T12",
    ):
        found = ec2("RequestSpotInstances", ValidFrom=text)
        assert found["ValidFrom"] == datetime(2024, 1, 31, 12, tzinfo=UTC)
    for text in ("soon", "1700000000", "0001-01-01T00:00:00+23:00", "2024-01-31T99"):
        assert refusal("RequestSpotInstances", {"ValidFrom": text}).code == "InvalidParameterValue"


def test_decodes_forms() -> None:
    assert query.decode_form("a=1&&b=%C3%A4+b", b"c&d==") == {"a": "1", "b": "ä b", "c": "", "d": "="}
    for bad in ("a=1&a=2", "a=%FF", "&" * query.MAX_PARAMETERS):
        with pytest.raises(WireError, match="MalformedQueryString"):
            query.decode_form(bad)


def test_reads_one_plain_parameter_without_decoding_the_form() -> None:
    for form in ("Action=Get-1", "Action=Get-1&b=2", "b=&Action=Get-1", "xAction=a&Action=Get-1&c"):
        assert query.plain("Action", form) == query.plain("Action", b"c=1", form.encode()) == "Get-1"
    for form in ("", "Action=", "Action=%41", "Action=a+b", "Action=" + "a" * 65, "xAction=a", "Action", "Action=a\n"):
        assert query.plain("Action", form) == ""


@pytest.mark.parametrize("text", [b"&", b"a", b"&Action=!"])
def test_plain_parameters_cost_little_in_a_long_form(text: bytes) -> None:
    """They are read before anything is known of the sender."""
    form = text * (bounds.REQUEST_BODY.most // len(text))
    took = []
    for _ in range(3):
        before = time.thread_time()
        assert query.plain("Action", form) == ""
        took.append(time.thread_time() - before)
    assert min(took) < 0.002


_PARTS = st.sampled_from(
    [
        "Filter",
        "Name",
        "Value",
        "1",
        "01",
        "2",
        "member",
        "entry",
        "key",
        "InstanceId",
        "Placement",
        "MinCount",
        "TagSpecification",
        "Tag",
        "Key",
        "DryRun",
        "NetworkInterface",
        "Tags",
        "RoleArn",
        "",
        "-1",
        "PolicyArns",
    ]
)
_NAMES = st.one_of(st.text(max_size=40), st.lists(_PARTS, min_size=1, max_size=6).map(".".join))
_PARAMS = st.dictionaries(_NAMES, st.one_of(st.text(max_size=30), st.sampled_from(["1", "true", ""])), max_size=8)


@settings(max_examples=300, deadline=None)
@given(
    case=st.sampled_from([(EC2, "RunInstances"), (EC2, "DescribeInstances"), (STS, "AssumeRole"), (IAM, "TagUser")]),
    params=_PARAMS,
)
def test_arbitrary_parameters_raise_nothing_but_wire_errors(
    case: tuple[ServiceModel, str], params: dict[str, str]
) -> None:
    service, action = case
    try:
        query.parse(service, {"Action": action, "Version": service.version, **params})
    except WireError as error:
        assert error.status == 400  # noqa: PT017 (no error at all is as good)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_arbitrary_bytes_raise_nothing_but_wire_errors(raw: bytes) -> None:
    try:
        query.parse(EC2, query.decode_form(raw))
    except WireError as error:
        assert error.status == 400  # noqa: PT017 (no error at all is as good)
