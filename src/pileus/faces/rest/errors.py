"""The one table from the core's errors to this face's statuses, and how an error looks."""

from __future__ import annotations

import msgspec

from pileus.faces.wire.http import RETRY_AFTER, Response
from pileus.model.errors import PileusError

STATUS: dict[str, int] = {
    "NotFound": 404,
    "Malformed": 400,
    "Conflict": 409,
    "Duplicate": 409,
    "InvalidValue": 400,
    "QuotaExceeded": 403,
    "NoCapacity": 503,
    "Forbidden": 403,
    "TokenReused": 409,
    "DryRun": 412,
    "Unsupported": 501,
    "Unavailable": 503,
    "Throttled": 429,
    "TooLarge": 413,
}
"""HTTP status of every code of the core."""

OWN: dict[str, int] = {
    "Unauthorized": 401,
    "MethodNotAllowed": 405,
    "Fault": 502,
    "Internal": 500,
}
"""Codes that only this face has. `Fault`: a host said that it cannot."""


def of(error: PileusError, request: str) -> Response:
    """The answer to a request that the core refused."""
    status = STATUS.get(error.code, 500)
    return _answer(status, error.code, error.message, request, noun=error.noun, id=error.ident, reason=error.reason)


def own(code: str, message: str, request: str) -> Response:
    """The answer to a request that this face refuses; `code` is one of `OWN`, or NotFound for an unknown path."""
    return _answer(OWN.get(code) or STATUS[code], code, message, request)


def _answer(status: int, code: str, message: str, request: str, **more: str) -> Response:
    shown = {key: value for key, value in more.items() if value}
    body = {"error": {"code": code, "message": message, "request_id": request, **shown}}
    headers = {"content-type": "application/json", "x-request-id": request}
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="pileus"'
    if code == "Throttled":
        headers["retry-after"] = RETRY_AFTER
    return Response(status, headers, msgspec.json.encode(body), code=code, request=request)
