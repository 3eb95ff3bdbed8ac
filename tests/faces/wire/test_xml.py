"""Answers: botocore reads from them what was put in, whatever the values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest
from defusedxml import ElementTree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.faces.wire import xml
from pileus.faces.wire.errors import WireError
from pileus.faces.wire.model import ServiceModel
from tests.faces.wire import generated

EC2 = ServiceModel.load("ec2")
STS = ServiceModel.load("sts")
COMMON = ["DescribeInstances", "RunInstances", "DescribeImages", "DescribeSecurityGroups", "CreateKeyPair"]

FLATTENED = {"sdb"}
"""Services whose lists are flattened: an empty one cannot be told from none."""

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check_round_trip(name: str, action: str, random: Random) -> None:
    shape: Any = generated.operation(name, action).output_shape
    result = {} if shape is None else generated.Drawer(random, complete=name in FLATTENED).value(shape)
    result = {} if result is generated.OMITTED else result
    body = xml.serialize(ServiceModel.load(name), action, result, "req-1")
    found = generated.received(name, action, body)
    assert found.pop("ResponseMetadata")["RequestId"] == "req-1"
    if name == "ec2" and shape is not None and "Return" in shape.members and "Return" not in result:
        assert found.pop("Return") in {True, "true"}
    assert found == result


@pytest.mark.parametrize("name", ["ec2", "sts", "iam", "autoscaling", "elb", "elbv2", "sdb"])
def test_botocore_reads_every_action(name: str) -> None:
    for action in generated.service(name).operation_names:
        for seed in range(4):
            check_round_trip(name, action, Random(f"{action}{seed}"))


@pytest.mark.parametrize("action", COMMON)
@quick
@given(random=st.randoms(use_true_random=False))
def test_botocore_reads(action: str, random: Random) -> None:
    check_round_trip("ec2", action, random)


def test_form_of_an_ec2_answer() -> None:
    result = {"Vpcs": [{"VpcId": "vpc-1", "IsDefault": True, "Tags": [], "State": None}], "NextToken": ""}
    assert xml.serialize(EC2, "DescribeVpcs", result, "r") == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<DescribeVpcsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>'
        b"<vpcSet><item><vpcId>vpc-1</vpcId><isDefault>true</isDefault><tagSet></tagSet></item></vpcSet>"
        b"<nextToken></nextToken></DescribeVpcsResponse>"
    )


def test_form_of_a_query_answer() -> None:
    assert xml.serialize(STS, "GetCallerIdentity", {"Account": "123456789012"}, "r") == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        b"<GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult>"
        b"<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )


def test_actions_without_output_answer_true() -> None:
    assert b"<return>true</return></CreateTagsResponse>" in xml.serialize(EC2, "CreateTags", {}, "r")
    assert b"<return>true</return>" in xml.serialize(EC2, "DeleteKeyPair", {}, "r")
    told = xml.serialize(EC2, "DeleteKeyPair", {"Return": False}, "r")
    assert b"<return>false</return>" in told
    assert b"true" not in told


@pytest.mark.parametrize(
    "time",
    [
        datetime(2024, 1, 31, 12, tzinfo=UTC),
        datetime(2024, 1, 31, 13, tzinfo=timezone(timedelta(hours=1))),
        datetime(2024, 1, 31, 12),  # noqa: DTZ001 (naive times are UTC)
        1706702400,
        1706702400.0,
    ],
)
def test_form_of_times(time: object) -> None:
    result = {"KeyPairs": [{"CreateTime": time}]}
    body = xml.serialize(EC2, "DescribeKeyPairs", result, "r")
    assert b"<createTime>2024-01-31T12:00:00.000Z</createTime>" in body


@given(text=st.text(alphabet=st.characters(exclude_categories=())))
def test_no_text_breaks_the_xml(text: str) -> None:
    body = xml.serialize(EC2, "CreateSecurityGroup", {"GroupId": text, "Tags": [{"Key": text}]}, text)
    found = ElementTree.fromstring(body)
    kept = "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "\ufffd"
        for c in text
    )
    assert (found.findtext("{*}groupId") or "") == kept
    ElementTree.fromstring(xml.error(EC2, "Code", text, text, 400))
    ElementTree.fromstring(xml.error(STS, "Code", text, text, 400))


@pytest.mark.parametrize(
    "result",
    [
        {"Colour": "red"},
        {"Reservations": [{"Colour": "red"}]},
        {"NextToken": 5},
        {"NextToken": b"x"},
        {"Reservations": 5},
        {"Reservations": [None]},
        {"Reservations": [{"Instances": [{"AmiLaunchIndex": "1<2"}]}]},
        {"Reservations": [{"Instances": [{"EbsOptimized": "yes"}]}]},
        {"Reservations": [{"Instances": [{"LaunchTime": "yesterday"}]}]},
    ],
)
def test_a_result_that_the_model_does_not_have_is_a_mistake(result: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        xml.serialize(EC2, "DescribeInstances", result, "r")


def test_unknown_action() -> None:
    with pytest.raises(WireError, match="InvalidAction"):
        xml.serialize(EC2, "LaunchRocket", {}, "r")


@pytest.mark.parametrize(
    ("name", "status", "kind"), [("ec2", 400, None), ("sts", 403, "Sender"), ("sts", 500, "Receiver")]
)
def test_botocore_reads_errors(name: str, status: int, kind: str | None) -> None:
    service = ServiceModel.load(name)
    action = "DescribeVpcs" if name == "ec2" else "GetCallerIdentity"
    body = xml.error(service, "SomeCode", "a <b> & c", "req-1", status)
    found = generated.received(name, action, body, status)
    assert found["Error"] == {"Code": "SomeCode", "Message": "a <b> & c"} | ({"Type": kind} if kind else {})
    assert found["ResponseMetadata"]["RequestId"] == "req-1"
