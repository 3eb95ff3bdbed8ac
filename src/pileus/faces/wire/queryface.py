"""Faces of Amazon's query dialects: requests to the actions of several services, and their results to XML.

A face is a subclass, which says what its services are and how its actions run. Everything else is here: signatures,
forms and their bounds, the service that a request is for, error envelopes.
"""

from __future__ import annotations

import contextlib
import functools
import uuid
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from pileus.faces.wire import query, signing, sigv2, sigv4, xml
from pileus.faces.wire.action import Action, Call
from pileus.faces.wire.errors import ErrorResponse, WireError, malformed
from pileus.faces.wire.http import RETRY_AFTER, Identified, Request, Response
from pileus.faces.wire.model import ServiceModel
from pileus.model import bounds
from pileus.model.errors import Throttled, TooLarge
from pileus.model.ids import TEMPORARY_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pileus.model.caller import Caller
    from pileus.model.errors import PileusError
    from pileus.rules.core import Core
    from pileus.rules.credential import Authority

SMALL_FORM = 4096
"""Bytes of the parameters of a request that are decoded at once: nearly all are fewer."""

_log = structlog.get_logger(__name__)


class QueryFace(ABC):
    """Answers requests in the query dialects. Keeps no state; any number of threads may call it at once.

    - `NAME` is the face's name in the journal.
    - `SERVICES` are its services by botocore's names; signatures are scoped to one of them. A request that names none
      is for the first.
    - `READS` are the beginnings of the names of actions that change nothing.
    - `ROLELESS` are the services for callers that have no role in their project.
    - `HEADS` are the parameters that are read before a long form is decoded.
    """

    NAME: ClassVar[str]
    SERVICES: ClassVar[tuple[str, ...]]
    READS: ClassVar[tuple[str, ...]]
    ROLELESS: ClassVar[tuple[str, ...]] = ()
    HEADS: ClassVar[tuple[str, ...]] = ("Action", "Version")

    def __init__(self, core: Core, authority: Authority, actions: Mapping[tuple[str, str], Action]) -> None:
        self._core = core
        self._authority = authority
        self._actions = actions
        self._v2 = sigv2.SigV2Verifier(authority.secret, core.store.now, authority.session)
        self._v4 = sigv4.SigV4Verifier(authority.secret, core.store.now, authority.session)
        self._services = {name: ServiceModel.load(name) for name in self.SERVICES}
        self._first, *others = self._services.values()
        # EC2 takes all versions from its first on, the others those of their models.
        self._by_versions = {version: service for service in others for version in service.versions}

    @abstractmethod
    def result(self, service: ServiceModel, action: str, call: Call, params: Mapping[str, str]) -> dict[str, Any]:
        """The result of an action of a service. Raises PileusError, WireError, Fault."""

    @abstractmethod
    def told(self, error: Exception) -> ErrorResponse | None:
        """The error for the client in place of `error`; None for a mistake of ours."""

    @abstractmethod
    def internal(self) -> ErrorResponse:
        """The error for the client where the mistake is ours."""

    def body(self, caller: Caller, action: str, params: Mapping[str, str], make: Callable[[], bytes]) -> bytes:
        """The body of an answer, which `make` makes."""
        return make()

    def reads(self, action: str) -> bool:
        """Whether an action only reads: the others are audited, and have rates of their own."""
        return action.startswith(self.READS)

    def launches(self, action: str, params: Mapping[str, str]) -> int:
        """The number of instances that a request asks for, as far as that can be read."""
        return 0

    def handle(self, request: Request) -> Response:
        """Answer `request`; never raises. Blocks while verbs do."""
        identified = self.identify(request)
        return identified if isinstance(identified, Response) else identified.now()

    def identify(self, request: Request) -> Identified | Response:
        """Find out who asks; the answer where that is refused. Never raises. May read the store."""
        service, request_id = self._first, ""
        try:
            if request.method not in ("GET", "POST"):
                text = f"The requested HTTP verb is not supported: {request.method[:16]}"
                raise WireError("UnsupportedHttpVerb", text)
            params, whole = self._params(request)
            service = self._by_versions.get(params.get("Version", ""), self._first)
            caller, scope = self._authenticate(request, service.name)
            request_id = caller.request
            service = self._services.get(scope, service)
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer in its dialect)
            return self._refusal(service, error, request_id or str(uuid.uuid4()), "")
        action = params.get("Action", "")
        entry = self._actions.get((service.name, action))
        return Identified(
            caller,
            functools.partial(self._answer, service, caller, request, params, whole=whole),
            lambda error: self._refusal(service, error, request_id, action if entry is not None else ""),
            reads=self.reads(action),
            waits=entry is not None and entry.waits,
            launches=self.launches(action, params),
        )

    def refused(self, error: PileusError) -> Response:
        """The answer to a request that is refused before anything is known of it."""
        return self._refusal(self._first, error, str(uuid.uuid4()), "")

    def _answer(
        self, service: ServiceModel, caller: Caller, request: Request, params: Mapping[str, str], *, whole: bool
    ) -> Response:
        action, host = "", request.headers.get("host", "")
        try:
            if not whole:
                params = self._decoded(request, service.name, params)
            action = query.action_of(service, params)
            caller.require("none" if service.name in self.ROLELESS else "reader")

            def make() -> bytes:
                result = self.result(service, action, Call(self._core, caller, {}, host), params)
                return xml.serialize(service, action, result, caller.request)

            entry = self._actions.get((service.name, action))
            snapshot = entry is not None and self.reads(action) and not entry.waits
            with self._core.store.one_snapshot() if snapshot else contextlib.nullcontext():
                body = self.body(caller, action, params, make)
            return self._response(200, body, caller.request, action)
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer in its dialect)
            return self._refusal(service, error, caller.request, action)

    def _authenticate(self, request: Request, service: str) -> tuple[Caller, str]:
        """Return the caller, and the service that the signature is for: `service` where the signature names none.

        A form is decoded before only where the signature is in it, and only a small form: decoding costs much.
        """
        _check_count(request.query.count("&"))
        received = signing.RawRequest(request.method, request.path, request.query, request.headers, request.body)
        if not sigv4.present(received) and sigv2.present(params := self._unproven(request, service)):
            access_key = self._v2.verify(received, params, service)
            token = params.get(sigv2.TOKEN_PARAMETER, "")
        else:
            access_key, scope, _, _, token = self._v4.verify(received)
            service = self._scoped(scope, service, request.headers.get("host", ""))
        if token:
            caller = self._authority.by_session(access_key, token, self.NAME)
        else:
            caller = self._authority.by_access_key(access_key, self.NAME)
        if caller is None:
            raise WireError(*sigv4.codes_of(service).unknown)
        return caller, service

    def _unproven(self, request: Request, service: str) -> dict[str, str]:
        """Return the parameters of a request of which nothing is proven; none of a long form without an access key.

        Raises TooLarge, and WireError where the access key of a long form is unknown.
        """
        most = bounds.SIGNED_FORM.most
        if len(request.body) > most:
            raise TooLarge(f"A form with its signature in it has at most {most} bytes: use Signature Version 4.")
        _check_count(request.query.count("&") + request.body.count(b"&"))
        if len(request.query) + len(request.body) > SMALL_FORM:
            access_key = query.plain("AWSAccessKeyId", request.query, request.body)
            if not access_key:
                return {}
            if access_key.startswith(TEMPORARY_KEY):
                text = (
                    f"A form signed by temporary credentials has at most {SMALL_FORM} bytes: use Signature Version 4."
                )
                raise TooLarge(text)
            if self._authority.secret(access_key) is None:
                raise WireError(*sigv4.codes_of(service).unknown)
        return query.decode_form(request.query, request.body)

    def _scoped(self, scope: str, service: str, host: str) -> str:
        """The service that a signature with the service `scope` in its scope is for. Raises WireError for any other.

        boto 2 signs for the first word of the host's name; which service is meant is then for the version, `service`,
        to say. S3's signatures need not cover the body: they prove nothing here.
        """
        if scope in self.SERVICES:
            return scope
        if scope != "s3" and scope == host.partition(":")[0].partition(".")[0]:
            return service
        text = f"Credential should be scoped to correct service: '{service}'."
        if service != "ec2":
            raise WireError("SignatureDoesNotMatch", text, 403)
        raise WireError("AuthFailure", text, 401)

    def _params(self, request: Request) -> tuple[dict[str, str], bool]:
        """Return the parameters of a small form, and True; of a larger form the parameters in HEADS, and False."""
        if len(request.query) + len(request.body) <= SMALL_FORM:
            return query.decode_form(request.query, request.body), True
        return {name: query.plain(name, request.query, request.body) for name in self.HEADS}, False

    def _decoded(self, request: Request, service: str, heads: Mapping[str, str]) -> dict[str, str]:
        """All parameters of a request whose `heads` were read before. Raises WireError where they are not the same.

        Raises TooLarge for an action that waits for a host: it has few parameters, and is answered outside of the
        shares that projects have of the request threads.
        """
        entry = self._actions.get((service, heads["Action"]))
        if entry is not None and entry.waits:
            raise TooLarge(f"The parameters of {heads['Action']} have at most {SMALL_FORM} bytes.")
        params = query.decode_form(request.query, request.body)
        if any(params.get(name, "") != value for name, value in heads.items()):
            names = ", ".join(self.HEADS)
            raise malformed(f"The parameters {names} of a long request have to be written without escapes.")
        return params

    def _refusal(self, service: ServiceModel, error: Exception, request_id: str, action: str) -> Response:
        error_response = self.told(error)
        if error_response is None:
            _log.error("request failed", request=request_id, exc_info=error)
            error_response = self.internal()
        body = xml.error(service, error_response.code, error_response.message, request_id, error_response.status)
        refusal = self._response(error_response.status, body, request_id, action, error_response.code)
        if isinstance(error, Throttled):
            refusal.headers["retry-after"] = RETRY_AFTER
        return refusal

    def _response(self, status: int, body: bytes, request_id: str, action: str, code: str = "") -> Response:
        headers = {
            "content-type": "text/xml;charset=UTF-8",
            "x-amzn-requestid": request_id,
            "cache-control": "no-cache, no-store",
        }
        reads = self.reads(action) or not action
        return Response(status, headers, body, self.NAME, action, code, request_id, reads)


def _check_count(separators: int) -> None:
    """Raise WireError where more parameters are part of what is signed than may be before a signature is verified."""
    most = bounds.SIGNED_PARAMETERS.most
    if separators >= most:
        raise malformed(f"A query string, or a form with its signature in it, has at most {most} parameters.")
