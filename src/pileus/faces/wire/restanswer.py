"""Results, keyed by the model's member names, to the answers of the protocols rest-xml and rest-json; and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from pileus.faces.wire import restvalues, scalars
from pileus.faces.wire.model import Reference, ServiceModel, Shape
from pileus.faces.wire.streams import BodyStream

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'

ROOTS: Mapping[str, str] = {
    "ListBuckets": "ListAllMyBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "DeleteObjects": "DeleteResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
}
"""The root elements of S3's answers that the model does not name."""


class RestAnswer(NamedTuple):
    """An answer: `stream` in place of `body` for a payload in parts."""

    status: int
    headers: dict[str, str]
    body: bytes
    stream: BodyStream | None = None


def serialize(service: ServiceModel, action: str, result: Mapping[str, Any], request_id: str) -> RestAnswer:
    """Return a successful answer. A payload may be bytes, text or a BodyStream; times are datetimes or seconds.

    A member that the model lacks is a mistake of the caller: ValueError.
    """
    operation = service.operation(action)
    headers = {"x-amzn-requestid": request_id}
    if service.name == "s3":
        headers["x-amz-request-id"] = request_id
    status = operation.http.response_code
    if operation.output is None:
        return RestAnswer(status, headers, b"")
    shape = service.shapes[operation.output.shape]
    body_values: dict[str, Any] = {}
    for name, value in result.items():
        reference = shape.members.get(name)
        if reference is None:
            raise ValueError(f"{operation.output.shape} has no member {name}")
        if value is None:
            continue
        if reference.location == "statusCode":
            status = int(value)
        elif reference.location == "header":
            text = restvalues.to_text(service, reference, value, header=True)
            headers[(reference.location_name or name).lower()] = text
        elif reference.location == "headers":
            start = (reference.location_name or "").lower()
            headers |= {f"{start}{key}": text for key, text in value.items()}
        else:
            body_values[name] = value
    if shape.payload is not None:
        return _with_payload(service, RestAnswer(status, headers, b""), shape, body_values)
    if all(member.location is not None for member in shape.members.values()):
        return RestAnswer(status, headers, b"")
    return _document(service, RestAnswer(status, headers, b""), operation.output, _root(action, shape), body_values)


def error(
    service: ServiceModel, code: str, message: str, request_id: str, status: int, resource: str = ""
) -> RestAnswer:
    """Return an error answer; `resource` is what it is about, for S3."""
    safe = scalars.from_string
    if service.protocol == "rest-json":
        headers = {"content-type": "application/json", "x-amzn-requestid": request_id, "x-amzn-errortype": code}
        return RestAnswer(status, headers, msgspec.json.encode({"__type": code, "message": message}))
    inner = f"<Code>{safe(code)}</Code><Message>{safe(message)}</Message>"
    headers = {"content-type": "application/xml", "x-amzn-requestid": request_id}
    if service.name == "s3":
        headers["x-amz-request-id"] = request_id
        about = f"<Resource>{safe(resource)}</Resource>" if resource else ""
        text = f"<Error>{inner}{about}<RequestId>{safe(request_id)}</RequestId></Error>"
    else:
        kind = "Receiver" if status >= 500 else "Sender"
        text = (
            f'<ErrorResponse xmlns="{service.namespace}"><Error><Type>{kind}</Type>{inner}</Error>'
            f"<RequestId>{safe(request_id)}</RequestId></ErrorResponse>"
        )
    return RestAnswer(status, headers, f"{_DECLARATION}{text}".encode())


def _with_payload(service: ServiceModel, answer: RestAnswer, shape: Shape, values: Mapping[str, Any]) -> RestAnswer:
    name = shape.payload or ""
    reference, value = shape.members[name], values.get(name)
    if isinstance(value, BodyStream):
        return answer._replace(stream=value)
    if value is None:
        return answer
    if isinstance(value, bytes | str):
        return answer._replace(body=value if isinstance(value, bytes) else value.encode())
    inner = service.shapes[reference.shape]
    return _document(
        service, answer, reference, reference.location_name or inner.location_name or reference.shape, value
    )


def _document(
    service: ServiceModel, answer: RestAnswer, reference: Reference, root: str, values: Mapping[str, Any]
) -> RestAnswer:
    if service.protocol == "rest-json":
        body = msgspec.json.encode(restvalues.to_json(service, reference, values))
        return answer._replace(headers={"content-type": "application/json", **answer.headers}, body=body)
    element = restvalues.to_xml(service, reference, values, root, service.namespace)
    headers = {"content-type": "application/xml", **answer.headers}
    return answer._replace(headers=headers, body=f"{_DECLARATION}{element}".encode())


def _root(action: str, shape: Shape) -> str:
    return shape.location_name or ROOTS.get(action) or f"{action}Result"
