"""Services that this cloud does not have: boto3 reads each refusal as an error of that service."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from pileus.faces.wire.absent import AbsentServices
from pileus.faces.wire.face import RequestHead
from pileus.faces.wire.http import Request, Response
from pileus.model.errors import TooLarge

ABSENT = AbsentServices(["ec2", "iam", "rest", "sts"])


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Any:
        """Give all of it."""
        yield self._body


def answered(request: Any, **_: Any) -> Any:
    """A `before-send` handler: botocore's request to the refusal."""
    url = urlsplit(request.url)
    raw: dict[str, Any] = dict(request.headers.items())
    headers = {name.lower(): value.decode() if isinstance(value, bytes) else str(value) for name, value in raw.items()}
    headers.setdefault("host", url.netloc)
    assert ABSENT.takes(RequestHead(request.method, url.path, headers, url.query))
    answer = ABSENT.identify(Request(request.method, url.path, url.query, headers, b""))
    assert isinstance(answer, Response)
    response: Any = AWSResponse
    return response(request.url, answer.status, answer.headers, _Raw(answer.body))


def client(service: str) -> Any:
    """A boto3 client of a service, whose requests are refused."""
    client = boto3.client(  # type: ignore[call-overload]  # the service is drawn
        service,
        region_name="us-east-1",
        endpoint_url="http://cloud.test/",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    client.meta.events.register("before-send", answered)
    return client


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("ssm", "describe_parameters", "UnknownOperationException"),
        ("cloudwatch", "list_metrics", "UnknownOperationException"),
        ("s3", "list_buckets", "NotImplemented"),
        ("lambda", "list_functions", "UnknownOperationException"),
        ("route53", "list_hosted_zones", "InvalidAction"),
        ("sns", "list_topics", "InvalidAction"),
        ("sqs", "list_queues", "UnknownOperationException"),
        ("elbv2", "describe_load_balancers", "InvalidAction"),
        ("autoscaling", "describe_auto_scaling_groups", "InvalidAction"),
        ("dynamodb", "list_tables", "UnknownOperationException"),
        ("logs", "describe_log_groups", "UnknownOperationException"),
    ],
)
def test_each_service_is_refused_in_its_dialect(service: str, call: str, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(client(service), call)()
    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert "ec2, iam, sts (docs/reference/faces.md)" in error["Message"]


@pytest.mark.parametrize("scope", ["ec2", "sts", "cloud", "nonsense", "rest", ""])
def test_services_that_are_here_or_nowhere_are_left_alone(scope: str) -> None:
    signature = f"AWS4-HMAC-SHA256 Credential=AKIA/20240101/us-east-1/{scope}/aws4_request, SignedHeaders=host"
    headers = {"host": "cloud.test", "authorization": signature} if scope else {"host": "cloud.test"}
    assert not ABSENT.takes(RequestHead("POST", "/", headers))


def test_bounds_are_told_too() -> None:
    answer = ABSENT.refused(TooLarge("a < b"))
    assert answer.status == 413
    assert b"a &lt; b" in answer.body
