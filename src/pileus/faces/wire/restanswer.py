"""Results, keyed by the model's member names, to the answers of the protocols rest-xml and rest-json; and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from pileus.faces.wire import restvalues, scalars, xml
from pileus.faces.wire.http import Response
from pileus.faces.wire.model import Reference, ServiceModel, Shape
from pileus.faces.wire.streams import BodyStream

ROOTS: Mapping[str, str] = {
    "ListBuckets": "ListAllMyBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "DeleteObjects": "DeleteResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
}
"""The root elements of S3's answers that the model does not name."""


def serialize(service: ServiceModel, action: str, result: Mapping[str, Any], request_id: str) -> Response:
    """Return a successful answer. A payload may be bytes, text or a BodyStream; times are datetimes or seconds.

    A member that the model lacks is a mistake of the caller: ValueError.
    """
    operation = service.operation(action)
    headers = {"x-amzn-requestid": request_id}
    if service.name == "s3":
        headers["x-amz-request-id"] = request_id
    status = operation.http.response_code
    if operation.output is None:
        return Response(status, headers, b"")
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
    answer = Response(status, headers, b"")
    if shape.payload is not None:
        return _with_payload(service, answer, shape, body_values)
    if all(member.location is not None for member in shape.members.values()):
        return answer
    root = shape.location_name or ROOTS.get(action) or f"{action}Result"
    return _document(service, answer, operation.output, root, body_values)


def error(service: ServiceModel, code: str, message: str, request_id: str, status: int, resource: str = "") -> Response:
    """Return an error answer; `resource` is what it is about, for S3."""
    if service.protocol == "rest-json":
        headers = {"content-type": "application/json", "x-amzn-requestid": request_id, "x-amzn-errortype": code}
        return Response(status, headers, msgspec.json.encode({"__type": code, "message": message}))
    headers = {"content-type": "application/xml", "x-amzn-requestid": request_id}
    if service.name != "s3":
        return Response(status, headers, xml.error(service, code, message, request_id, status))
    headers["x-amz-request-id"] = request_id
    safe = scalars.from_string
    about = f"<Resource>{safe(resource)}</Resource>" if resource else ""
    inner = (
        f"<Code>{safe(code)}</Code><Message>{safe(message)}</Message>{about}<RequestId>{safe(request_id)}</RequestId>"
    )
    return Response(status, headers, f"{xml.DECLARATION}<Error>{inner}</Error>".encode())


def _with_payload(service: ServiceModel, answer: Response, shape: Shape, values: Mapping[str, Any]) -> Response:
    name = shape.payload or ""
    reference, value = shape.members[name], values.get(name)
    if isinstance(value, BodyStream):
        return replace(answer, stream=value)
    if value is None:
        return answer
    if isinstance(value, bytes | str):
        return replace(answer, body=value if isinstance(value, bytes) else value.encode())
    root = service.output_name(reference.shape, reference)
    return _document(service, answer, reference, root, value)


def _document(
    service: ServiceModel, answer: Response, reference: Reference, root: str, values: Mapping[str, Any]
) -> Response:
    if service.protocol == "rest-json":
        body = msgspec.json.encode(restvalues.to_json(service, reference, values))
        return replace(answer, headers={"content-type": "application/json", **answer.headers}, body=body)
    element = restvalues.to_xml(service, reference, values, root, service.namespace)
    headers = {"content-type": "application/xml", **answer.headers}
    return replace(answer, headers=headers, body=f"{xml.DECLARATION}{element}".encode())
