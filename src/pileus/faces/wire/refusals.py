"""Errors as bodies: one table of a dialect, from the core's codes to HTTP statuses and documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from pileus.faces.wire.http import RETRY_AFTER, Response
from pileus.faces.wire.media import JSON, Media
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
"""HTTP status of every code of the core, unless a dialect says otherwise."""

OWN: dict[str, int] = {
    "Unauthorized": 401,
    "MethodNotAllowed": 405,
    "Fault": 502,
    "Internal": 500,
}
"""Codes that only typed dialects have. `Fault`: a host said that it cannot."""


class Refusal(NamedTuple):
    """An error for the client: `status` of HTTP, `request` id, and what the core says of it."""

    status: int
    code: str
    message: str
    request: str
    noun: str = ""
    ident: str = ""
    reason: str = ""


def _document(refusal: Refusal) -> object:
    more = {"noun": refusal.noun, "id": refusal.ident, "reason": refusal.reason}
    shown = {key: value for key, value in more.items() if value}
    return {"error": {"code": refusal.code, "message": refusal.message, "request_id": refusal.request, **shown}}


class ErrorTable(NamedTuple):
    """The one table of a typed dialect. `document` makes the body; `challenge` is what a 401 asks for."""

    statuses: Mapping[str, int] = STATUS
    own_statuses: Mapping[str, int] = OWN
    document: Callable[[Refusal], object] = _document
    challenge: str = 'Bearer realm="pileus"'

    def of(self, error: PileusError, request: str, media: Media = JSON) -> Response:
        """Return the answer to a request that the core refused."""
        status = self.statuses.get(error.code, 500)
        return self._answer(
            Refusal(status, error.code, error.message, request, error.noun, error.ident, error.reason), media
        )

    def own(self, code: str, message: str, request: str, media: Media = JSON) -> Response:
        """Return the answer to a request that the dialect refuses, with one of its own codes or one of the core's."""
        status = self.own_statuses.get(code) or self.statuses[code]
        return self._answer(Refusal(status, code, message, request), media)

    def _answer(self, refusal: Refusal, media: Media) -> Response:
        headers = {"content-type": media.type, "x-request-id": refusal.request}
        if refusal.status == 401:
            headers["www-authenticate"] = self.challenge
        if refusal.code == "Throttled":
            headers["retry-after"] = RETRY_AFTER
        body = media.encode(self.document(refusal))
        return Response(refusal.status, headers, body, code=refusal.code, request=refusal.request)


PLAIN = ErrorTable()
"""The errors of our own dialects: the REST face's, and those of what no face answers."""
