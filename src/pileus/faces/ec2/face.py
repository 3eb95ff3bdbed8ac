"""Requests in Amazon's query dialects to actions, and their results to XML."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import structlog

from pileus.faces.ec2 import (  # noqa: F401  (importing a noun's file registers its actions)
    account,
    address,
    errors,
    flavor,
    identity,
    image,
    instance,
    keypair,
    listed,
    network,
    place,
    placementgroup,
    port,
    rule,
    securitygroup,
    snapshot,
    tag,
    unsupported,
    volume,
)
from pileus.faces.ec2.call import ACTIONS, Call
from pileus.faces.ec2.instance import power
from pileus.faces.wire import query, signing, sigv2, sigv4, xml
from pileus.faces.wire.errors import WireError
from pileus.faces.wire.http import Request, Response
from pileus.faces.wire.model import ServiceModel
from pileus.model.errors import DryRun, InvalidValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.verbs.core import Core
    from pileus.verbs.credential import Authority

PATHS = ("/", "/services/Cloud", "/services/Cloud/")
"""Where this face is served; Amazon's own path, and PiNet's."""

FACE = "ec2"
"""How the journal names this face."""

READS = ("Describe", "Get")
"""How the names of actions begin that change nothing."""

_log = structlog.get_logger(__name__)


class Ec2Face:
    """Answers EC2 and STS requests. Keeps no state; any number of threads may call it at once."""

    def __init__(self, core: Core, authority: Authority) -> None:
        self._core = core
        self._authority = authority
        self._v2 = sigv2.Verifier(authority.secret, core.store.now)
        self._v4 = sigv4.Verifier(authority.secret, core.store.now)
        self._ec2 = ServiceModel.load("ec2")
        self._sts = ServiceModel.load("sts")

    def handle(self, request: Request) -> Response:
        """Answer `request`; never raises. Blocks while verbs do."""
        service, request_id, action = self._ec2, "", ""
        try:
            if request.method not in ("GET", "POST"):
                text = f"The requested HTTP verb is not supported: {request.method[:16]}"
                raise WireError("UnsupportedHttpVerb", text)
            params = query.decode_form(request.query, request.body)
            service = self._by_version(params)
            caller, scope = self._authenticate(request, params, "sts" if service is self._sts else "ec2")
            request_id = caller.request
            service = {"ec2": self._ec2, "sts": self._sts}.get(scope, service)
            action = query.action_of(service, params)
            result = self._run(service, caller, params, request.headers.get("host", ""))
            return _response(200, xml.serialize(service, action, result, request_id), request_id, action)
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer in its dialect)
            return _refusal(service, error, request_id or str(uuid.uuid4()), action)

    def _by_version(self, params: Mapping[str, str]) -> ServiceModel:
        return self._sts if params.get("Version") in self._sts.versions else self._ec2

    def _authenticate(self, request: Request, params: Mapping[str, str], service: str) -> tuple[Caller, str]:
        """Who asks, and the service that the signature is for: `service` where the signature names none."""
        received = signing.Request(request.method, request.path, request.query, request.headers, request.body)
        if sigv2.present(params):
            access_key = self._v2.verify(received, params, service)
        else:
            access_key, service = self._v4.verify(received)[:2]
        if service == "s3":
            # S3's signatures need not cover the body: here they prove nothing.
            raise WireError("AuthFailure", "Credential should be scoped to correct service: 'ec2'.", 401)
        caller = self._authority.by_access_key(access_key, FACE)
        if caller is None:
            raise WireError("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
        return caller, service

    def _run(self, service: ServiceModel, caller: Caller, params: Mapping[str, str], host: str) -> dict[str, Any]:
        name = query.action_of(service, params)
        entry = ACTIONS.get(name)
        if entry is None:
            raise service.unsupported(name)
        if name in power.OF_INSTANCES and not any(param.startswith("InstanceId") for param in params):
            # An empty list leaves no trace in a query.
            raise InvalidValue("No instances specified", reason="combination")
        _, args = query.parse(service, params)
        unsupported.check(name, args)
        if args.get("DryRun") and not entry.dry:
            raise DryRun("Request would have succeeded, but DryRun flag is set.")
        return entry.run(Call(self._core, caller, args, host))


def _refusal(service: ServiceModel, error: Exception, request_id: str, action: str) -> Response:
    told = errors.told(error)
    if told is None:
        _log.error("request failed", request=request_id, exc_info=error)
        told = errors.INTERNAL
    body = xml.error(service, told.code, told.message, request_id, told.status)
    return _response(told.status, body, request_id, action, told.code)


def _response(status: int, body: bytes, request_id: str, action: str, code: str = "") -> Response:
    headers = {
        "content-type": "text/xml;charset=UTF-8",
        "x-amzn-requestid": request_id,
        "cache-control": "no-cache, no-store",
    }
    reads = action.startswith(READS) or not action
    return Response(status, headers, body, FACE, action, code, request_id, reads)
