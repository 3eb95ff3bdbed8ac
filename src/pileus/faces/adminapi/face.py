"""Requests of the admin API to its actions, and their results to XML."""

from __future__ import annotations

import functools
import uuid
from typing import TYPE_CHECKING, Final

import structlog

from pileus.faces.adminapi.actions import ACTIONS, AdminCall
from pileus.faces.adminapi.model import model
from pileus.faces.wire import query, signing, sigv2, sigv4, xml
from pileus.faces.wire.errors import WireError, malformed
from pileus.faces.wire.http import RETRY_AFTER, Identified, Request, Response
from pileus.model.errors import PileusError, Throttled, TooLarge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.rules.credential import Authority

FACE: Final = "adminapi"
"""How the journal names this face."""

SERVICE: Final = "ec2"
"""The service that signatures are scoped to, and whose codes refuse them."""

LARGEST: Final = 4096
"""Bytes of the parameters of a request: names of a user and a project, and a signature."""

TABLE: Final[dict[tuple[str, str, str], tuple[str, int]]] = {
    ("NotFound", "", ""): ("NoSuchEntity", 404),
    ("Malformed", "", ""): ("InvalidParameterValue", 400),
    ("Conflict", "", ""): ("DeleteConflict", 409),
    ("Duplicate", "", ""): ("EntityAlreadyExists", 409),
    ("InvalidValue", "", ""): ("InvalidParameterValue", 400),
    ("QuotaExceeded", "", ""): ("LimitExceeded", 409),
    ("Forbidden", "", ""): ("UnauthorizedOperation", 403),
    ("Unavailable", "", ""): ("Unavailable", 503),
    ("Throttled", "", ""): ("RequestLimitExceeded", 503),
    ("TooLarge", "", ""): ("RequestEntityTooLarge", 413),
}
"""(core code, noun, reason) → (code, status): IAM's words for users and groups, EC2's for the rest."""

_log = structlog.get_logger(__name__)


class AdminFace:
    """Answers requests at /services/Admin/. Keeps no state; any number of threads may call it at once."""

    def __init__(self, core: Core, authority: Authority) -> None:
        self._core = core
        self._authority = authority
        self._v2 = sigv2.SigV2Verifier(authority.secret, core.store.now)
        self._v4 = sigv4.SigV4Verifier(authority.secret, core.store.now)
        self._service = model()

    def identify(self, request: Request) -> Identified | Response:
        """Find out who asks; the answer where that is refused. Never raises. May read the store."""
        request_id = str(uuid.uuid4())
        try:
            if request.method not in ("GET", "POST"):
                text = f"The requested HTTP verb is not supported: {request.method[:16]}"
                raise WireError("UnsupportedHttpVerb", text)
            if len(request.query) + len(request.body) > LARGEST:
                raise TooLarge(f"The parameters of a request have at most {LARGEST} bytes.")
            params = query.decode_form(request.query, request.body)
            caller = self._authenticate(request, params)
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer in its dialect)
            return self._refusal(error, request_id, "")
        action = params.get("Action", "") if params.get("Action") in ACTIONS else ""
        return Identified(
            caller,
            functools.partial(self._answer, caller, request, params),
            lambda error: self._refusal(error, caller.request, action),
            reads=action.startswith("Describe"),
        )

    def handle(self, request: Request) -> Response:
        """Answer `request`; never raises. Blocks while verbs do."""
        identified = self.identify(request)
        return identified if isinstance(identified, Response) else identified.now()

    def refused(self, error: PileusError) -> Response:
        """The answer to a request that is refused before anything is known of it."""
        return self._refusal(error, str(uuid.uuid4()), "")

    def _authenticate(self, request: Request, params: Mapping[str, str]) -> Caller:
        received = signing.RawRequest(request.method, request.path, request.query, request.headers, request.body)
        if not sigv4.present(received) and sigv2.present(params):
            access_key = self._v2.verify(received, params, SERVICE)
        else:
            access_key, scope = self._v4.verify(received)[:2]
            # S3's signatures need not cover the body: they prove nothing here.
            if scope not in (SERVICE, request.headers.get("host", "").partition(":")[0].partition(".")[0]):
                raise WireError("AuthFailure", f"Credential should be scoped to correct service: '{SERVICE}'.", 401)
        caller = self._authority.by_access_key(access_key, FACE)
        if caller is None:
            raise WireError(*sigv4.codes_of(SERVICE).unknown)
        return caller

    def _answer(self, caller: Caller, request: Request, params: Mapping[str, str]) -> Response:
        action = ""
        try:
            action = query.action_of(self._service, params)
            caller.require("administrator", "uses the admin API")
            host = request.headers.get("host", "")
            if not host:
                raise malformed("The request must have the header Host")
            _, args = query.parse(self._service, params)
            result = ACTIONS[action](AdminCall(self._core, caller, args, f"{request.scheme}://{host}"))
            body = xml.serialize(self._service, action, result, caller.request)
            return _response(200, body, caller.request, action)
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer in its dialect)
            return self._refusal(error, caller.request, action)

    def _refusal(self, error: Exception, request_id: str, action: str) -> Response:
        if isinstance(error, WireError):
            code, message, status = error.code, error.message, error.status
        elif isinstance(error, PileusError) and (error.code, "", "") in TABLE:
            (code, status), message = TABLE[error.code, "", ""], error.message
        else:
            _log.error("request failed", request=request_id, exc_info=error)
            code, message, status = "InternalError", "An internal error has occurred", 500
        body = xml.error(self._service, code, message, request_id, status)
        refusal = _response(status, body, request_id, action, code)
        if isinstance(error, Throttled):
            refusal.headers["retry-after"] = RETRY_AFTER
        return refusal


def _response(status: int, body: bytes, request_id: str, action: str, code: str = "") -> Response:
    headers = {"content-type": "text/xml;charset=UTF-8", "cache-control": "no-cache, no-store"}
    reads = action.startswith("Describe") or not action
    return Response(status, headers, body, FACE, action, code, request_id, reads)
