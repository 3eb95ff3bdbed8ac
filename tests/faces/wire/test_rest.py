"""The REST protocols: botocore as the client of every action, in both directions, and what is refused."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from botocore import parsers, serialize
from botocore.awsrequest import HeadersDict
from defusedxml import ElementTree

from pileus.faces.wire import restanswer, restrequest
from pileus.faces.wire.errors import WireError
from pileus.faces.wire.http import Request
from pileus.faces.wire.model import ServiceModel
from pileus.faces.wire.streams import BodyStream
from tests.faces.wire import generated

BLOB = b"a blob"
"""Text, as which botocore reads payloads."""

SERVICES = ("s3", "route53", "lambda", "apigateway")
S3 = ServiceModel.load("s3")
LAMBDA = ServiceModel.load("lambda")

UNTOLD = {"ListDirectoryBuckets", "WriteGetObjectResponse"}
"""Actions of S3 that the host's name tells from another one, and not the path."""

EVENTS = {"InvokeWithResponseStream", "SelectObjectContent"}
"""Actions whose answers are event streams, which are not spoken here."""

TWOFOLD = {"GetBucketNotification"}
"""Actions whose answers have two members at one element: botocore reads both."""


class Drawer(generated.Drawer):
    """Draws values that headers and paths can carry too."""

    def _string(self, shape: Any) -> str:
        if shape.enum:
            return str(self.random.choice(shape.enum))
        least = int(shape.metadata.get("min", 1)) or 1
        size = min(least + 5, int(shape.metadata.get("max", least + 5)))
        return "".join(self.random.choice("abzAZ09_") for _ in range(size))

    def _map(self, shape: Any) -> Any:
        pairs = {self.value(shape.key): self.value(shape.value) for _ in range(2)}
        kept = {key: value for key, value in pairs.items() if value is not generated.OMITTED}
        return kept or generated.OMITTED

    def _timestamp(self, shape: Any) -> datetime:
        return super()._timestamp(shape).replace(microsecond=0)

    def _double(self, shape: Any) -> float:
        return float(round(super()._double(shape), 3))

    def _blob(self, shape: Any) -> bytes:
        return BLOB


def drawn(shape: Any, seed: int) -> Any:
    """A value of a shape."""
    value = Drawer(Random(seed), complete=True).value(shape, wanted=True)
    return {} if value is generated.OMITTED else value


def asked(name: str, action: str, arguments: dict[str, Any]) -> Request:
    """The request that a botocore client sends."""
    model = generated.service(name)
    serializer = serialize.create_serializer(model.metadata["protocol"], include_validation=False)
    sent = serializer.serialize_to_request(arguments, generated.operation(name, action))
    query = sent["query_string"]
    text = query if isinstance(query, str) else urlencode(query, doseq=True)
    path, _, constant = sent["url_path"].partition("?")
    body = sent["body"]
    body = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else body.read() if body else b""
    headers = {key.lower(): str(value) for key, value in sent["headers"].items()}
    return Request(sent["method"], quote(path, safe="/%+~"), "&".join(filter(None, (constant, text))), headers, body)


def plain(value: Any) -> Any:
    """A value without what has no place on the wire: empty structures, lists and maps."""
    if isinstance(value, dict):
        inner = {key: plain(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item not in (None, {}, [], "", b"")}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", SERVICES)
def test_every_action_is_told_and_its_parameters_are_read(name: str) -> None:
    service = ServiceModel.load(name)
    newer = {action for action, operation in service.operations.items() if not operation.deprecated}
    for action in sorted(newer - UNTOLD):
        shape = generated.operation(name, action).input_shape
        for seed in range(3):
            arguments = drawn(shape, seed) if shape is not None else {}
            found, read = restrequest.parse(service, asked(name, action, arguments))
            assert (found, plain(read)) == (action, plain(arguments))


@pytest.mark.parametrize("name", SERVICES)
def test_every_answer_is_what_a_client_reads(name: str) -> None:
    service = ServiceModel.load(name)
    parser = parsers.create_parser(generated.service(name).metadata["protocol"])
    for action in sorted(service.operations.keys() - EVENTS - TWOFOLD):
        shape: Any = generated.operation(name, action).output_shape
        if shape is None:
            continue
        result = drawn(shape, 1)
        result |= {"StatusCode": 202} if "StatusCode" in result else {}
        answer = restanswer.serialize(service, action, result, "request-1")
        headers = HeadersDict(answer.headers)
        response: Any = {"body": answer.body, "headers": headers, "status_code": answer.status, "context": {}}
        read = parser.parse(response, shape)
        del read["ResponseMetadata"]
        for member, value in read.items():
            if result.get(member) == BLOB:
                read[member] = value.read() if hasattr(value, "read") else BLOB if value == BLOB.decode() else value
        assert plain(read) == plain(result), action


def refusal(service: ServiceModel, method: str, path: str, query: str = "", body: bytes = b"") -> tuple[str, int]:
    """The code and status with which a request is refused."""
    with pytest.raises(WireError) as refused:
        restrequest.parse(service, Request(method, path, query, {}, body))
    return refused.value.code, refused.value.status


def test_an_action_or_version_that_is_not_there_is_refused_in_the_same_words() -> None:
    for service, refused in ((S3, ("MethodNotAllowed", 405)), (LAMBDA, ("UnknownOperationException", 404))):
        faults = service.faults
        errors = faults.no_such_action("A", "1"), faults.no_version("A"), faults.no_such_version("A", "1")
        assert {(error.code, error.status) for error in errors} == {refused}


def test_what_cannot_be_read_is_refused_in_words() -> None:
    assert refusal(S3, "PATCH", "/bucket") == ("MethodNotAllowed", 405)
    assert refusal(LAMBDA, "GET", "/nowhere") == ("UnknownOperationException", 404)
    for body in (b"<a", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"\xff"):
        assert refusal(S3, "PUT", "/bucket", "versioning", body) == ("MalformedXML", 400)
    assert refusal(S3, "PUT", "/bucket", "versioning") == ("InvalidRequest", 400)
    assert refusal(S3, "GET", "/bucket", "list-type=2&max-keys=many") == ("InvalidArgument", 400)
    for body in (b"{", b"[]", b'{"Description": 1}', b"[" * 100_000):
        assert refusal(LAMBDA, "PUT", "/2015-03-31/functions/a/configuration", "", body)[1] == 400
    assert refusal(S3, "GET", "/bucket", "&" * 5000) == ("InvalidArgument", 400)


def test_values_outside_of_the_models_lists_and_limits_are_refused() -> None:
    configuration = "/2015-03-31/functions/a/configuration"
    for body in (b'{"MemorySize": 1}', b'{"Timeout": 0}', b'{"Runtime": "cobol"}', b'{"Layers": 1}'):
        assert refusal(LAMBDA, "PUT", configuration, "", body)[1] == 400
    assert refusal(LAMBDA, "PUT", configuration, "", b'{"Description": "%s"}' % (b"x" * 257))[0] == "ValidationError"
    request = Request("PUT", configuration, "", {}, b'{"Description": "%s", "Timeout": 1}' % (b"x" * 256))
    assert restrequest.parse(LAMBDA, request)[1]["Timeout"] == 1
    assert refusal(LAMBDA, "GET", "/2015-03-31/functions", "MaxItems=10001") == ("ValidationError", 400)
    versions = b"<VersioningConfiguration><Status>%s</Status></VersioningConfiguration>"
    assert refusal(S3, "PUT", "/bucket", "versioning", versions % b"On") == ("InvalidArgument", 400)
    read = restrequest.parse(S3, Request("PUT", "/bucket", "versioning", {}, versions % b"Enabled"))[1]
    assert read["VersioningConfiguration"] == {"Status": "Enabled"}
    region = (
        b"<CreateBucketConfiguration><LocationConstraint>of-our-own</LocationConstraint></CreateBucketConfiguration>"
    )
    assert restrequest.parse(S3, Request("PUT", "/bucket", "", {}, region))[0] == "CreateBucket"


def test_a_payload_may_come_and_go_in_parts() -> None:
    headers = {"x-amz-meta-colour": "blue", "content-type": "text/plain"}
    request = Request("PUT", "/bucket/a%20b/c%2Fd", "", headers, b"")
    assert restrequest.parse(S3, request, in_parts=True) == (
        "PutObject",
        {"Bucket": "bucket", "Key": "a b/c/d", "Metadata": {"colour": "blue"}, "ContentType": "text/plain"},
    )
    part = Request("PUT", "/bucket/key", "partNumber=2&uploadId=u", {}, b"")
    action, arguments = restrequest.parse(S3, part, in_parts=True)
    assert (action, arguments["PartNumber"], arguments["UploadId"]) == ("UploadPart", 2, "u")
    stream = BodyStream(lambda: b"")
    answer = restanswer.serialize(S3, "GetObject", {"Body": stream, "ETag": '"e"', "Metadata": {"a": "b"}}, "r")
    assert (answer.status, answer.body, answer.stream) == (200, b"", stream)
    assert answer.headers == {"x-amzn-requestid": "r", "x-amz-request-id": "r", "etag": '"e"', "x-amz-meta-a": "b"}
    assert restanswer.serialize(S3, "DeleteObject", {}, "r").status == 204
    with pytest.raises(ValueError, match="no member Colour"):
        restanswer.serialize(S3, "DeleteObject", {"Colour": "red"}, "r")


def test_elements_have_the_names_that_s3_gives_them() -> None:
    found: dict[str, Any] = {"Name": "b", "Contents": [{"Key": "a<"}, {"Key": "b"}], "KeyCount": 2}
    body = restanswer.serialize(S3, "ListObjectsV2", found, "r").body
    root = ElementTree.fromstring(body)
    assert root.tag == f"{{{S3.namespace}}}ListBucketResult"
    assert [key.text for key in root.iterfind("{*}Contents/{*}Key")] == ["a<", "b"]
    grant = {"Grantee": {"Type": "Group", "URI": "u"}, "Permission": "READ"}
    body = restanswer.serialize(S3, "GetBucketAcl", {"Grants": [grant]}, "r").body
    assert b'<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group">' in body


@pytest.mark.parametrize("name", SERVICES)
def test_an_error_is_what_a_client_reads(name: str) -> None:
    answer = restanswer.error(ServiceModel.load(name), "NoSuchThing", "It is <not> there.", "r", 404, "/a")
    parser = parsers.create_parser(generated.service(name).metadata["protocol"])
    response: Any = {"body": answer.body, "headers": HeadersDict(answer.headers), "status_code": 404, "context": {}}
    read = parser.parse(response, None)  # type: ignore[arg-type]  # an error has no shape of its own
    assert (read["Error"]["Code"], read["Error"]["Message"]) == ("NoSuchThing", "It is <not> there.")
