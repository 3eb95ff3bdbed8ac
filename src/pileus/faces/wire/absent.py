"""Requests for services of AWS that this cloud does not have: refused in each service's own dialect.

A client says by the scope of its signature which service it means. Nothing is verified: the answer is the same for
everybody, and says which services are here.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from pileus.faces.wire import scalars, sigv4
from pileus.faces.wire.face import FaceDeclaration, RequestHead
from pileus.faces.wire.http import Request, Response
from pileus.faces.wire.refusals import STATUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pileus.model.errors import PileusError

PAGE: Final = "docs/reference/faces.md"
"""The page that lists the services of a cloud, by its path in the project."""

Dialect = Literal["json", "rest-json", "rest-xml", "query", "cbor"]

_ALIASES: Final = {
    "aps": "amp",
    "cassandra": "keyspaces",
    "elasticfilesystem": "efs",
    "elasticloadbalancing": "elbv2",
    "elasticmapreduce": "emr",
    "execute-api": "apigatewaymanagementapi",
    "geo": "location",
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}
"""botocore's names of services whose signatures have another word in their scopes."""

_DIALECTS: Final[Mapping[str, Dialect]] = {
    "json": "json",
    "rest-json": "rest-json",
    "rest-xml": "rest-xml",
    "smithy-rpc-v2-cbor": "cbor",
}
"""The dialects by botocore's words for protocols; the others are the query protocols."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,63}", re.ASCII)
_NAMESPACE: Final = "http://webservices.amazon.com/"


class _Metadata(msgspec.Struct, frozen=True):
    protocol: str


class _Description(msgspec.Struct, frozen=True):
    metadata: _Metadata


@functools.lru_cache(maxsize=512)
def _protocol(service: str) -> str | None:
    """The protocol of a service by botocore's model; None where it has no such service. `service` is a scope's word."""
    if not _NAME.fullmatch(service):
        return None
    spec = importlib.util.find_spec("botocore")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "data" / _ALIASES.get(service, service)
    files = sorted(folder.glob("*/service-2.json*"))
    if not files:
        return None
    raw = files[-1].read_bytes()
    text = gzip.decompress(raw) if files[-1].suffix == ".gz" else raw
    return msgspec.json.decode(text, type=_Description).metadata.protocol


def _dialect(service: str, head: RequestHead) -> Dialect | None:
    """The dialect that a client of a service speaks; None where nothing says that AWS has this service.

    The request comes before the model: services speak several protocols, and clients choose.
    """
    headers = head.headers
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        return "cbor"
    if "x-amz-target" in headers:
        return "json"
    protocol = _protocol(service)
    if protocol is None:
        return None
    if "x-www-form-urlencoded" in headers.get("content-type", ""):
        return "query"
    return _DIALECTS.get(protocol, "query")


class AbsentServices:
    """Refuses requests for services that are not among `services`. A face of `app`'s, of which no request is proven."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = sorted(services)

    @property
    def declaration(self) -> FaceDeclaration:
        """The declaration: bodies are not read."""
        return FaceDeclaration(
            name="aws",
            make=lambda _: self,
            authentication="None: every request is refused.",
            takes=self.takes,
            streams=lambda _: True,
        )

    def takes(self, head: RequestHead) -> bool:
        """Whether the signature of a request is for a service of AWS that is not here.

        boto 2 signs for the first word of the host's name.
        """
        service = sigv4.scope_of(head.headers, head.query)
        if not service or service in self._services:
            return False
        host = head.headers.get("host", "").partition(":")[0].partition(".")[0]
        return service != host and _dialect(service, head) is not None

    def identify(self, request: Request) -> Response:
        """Return the refusal."""
        service = sigv4.scope_of(request.headers, request.query)
        head = RequestHead(request.method, request.path, request.headers, request.query)
        here = ", ".join(name for name in self._services if _protocol(name) is not None)
        text = f"This cloud does not have the service '{service}'. Its services of AWS are {here} ({PAGE})."
        return _refusal(_dialect(service, head) or "query", service, text)

    def refused(self, error: PileusError) -> Response:
        """Return the answer to a request of which nothing is known."""
        answer = _refusal("query", "", error.message)
        return msgspec.structs.replace(answer, status=STATUS.get(error.code, 400), code=error.code)


def _refusal(dialect: Dialect, service: str, text: str) -> Response:
    request_id, safe = str(uuid.uuid4()), scalars.from_string(text)
    headers = {"x-amzn-requestid": request_id, "connection": "close"}
    if dialect in ("json", "rest-json"):
        code = "UnknownOperationException"
        headers |= {"content-type": "application/x-amz-json-1.1", "x-amzn-errortype": code}
        body = msgspec.json.encode({"__type": code, "message": text})
        status = 400 if dialect == "json" else 404
    elif dialect == "cbor":
        headers |= {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        body, status = _cbor({"__type": "UnknownOperationException", "message": text}), 400
    elif service == "s3":
        headers["content-type"] = "application/xml"
        inner = f"<Code>NotImplemented</Code><Message>{safe}</Message><RequestId>{request_id}</RequestId>"
        body, status = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode(), 501
    else:
        headers["content-type"] = "text/xml"
        inner = f"<Error><Type>Sender</Type><Code>InvalidAction</Code><Message>{safe}</Message></Error>"
        envelope = f'<ErrorResponse xmlns="{_NAMESPACE}">{inner}<RequestId>{request_id}</RequestId></ErrorResponse>'
        body, status = f'<?xml version="1.0" encoding="UTF-8"?>\n{envelope}'.encode(), 400
    return Response(status, headers, body, request=request_id)


def _cbor(texts: dict[str, str]) -> bytes:
    """A map of fewer than 24 short texts in CBOR (RFC 8949)."""
    parts = [bytes([0xA0 | len(texts)])]
    for text in (each for pair in texts.items() for each in pair):
        raw = text.encode()
        parts += [b"\x79", len(raw).to_bytes(2, "big"), raw]
    return b"".join(parts)
