"""Requests in Amazon's query dialects to actions, and their results to XML."""

from __future__ import annotations

import contextlib
import functools
import uuid
from typing import TYPE_CHECKING, Any

import structlog

from pileus.faces.ec2 import (  # noqa: F401  (importing a noun's file registers its actions)
    account,
    address,
    answercache,
    dhcpoptions,
    egressgateway,
    errors,
    flavor,
    flowlog,
    groupreference,
    identity,
    image,
    imageattribute,
    imageregistration,
    instance,
    internetgateway,
    keypair,
    launchtemplate,
    ledger,
    listed,
    natgateway,
    networkacl,
    peering,
    place,
    placementgroup,
    port,
    prefixlist,
    routerattachment,
    routetable,
    rule,
    securitygroup,
    setting,
    snapshot,
    subnet,
    tag,
    transitgateway,
    transittable,
    unsupported,
    volume,
    vpc,
)
from pileus.faces.ec2.call import ACTIONS, Action, Call
from pileus.faces.ec2.instance import power
from pileus.faces.wire import query, scalars, signing, sigv2, sigv4, xml
from pileus.faces.wire.errors import WireError, malformed
from pileus.faces.wire.http import RETRY_AFTER, Identified, Request, Response
from pileus.faces.wire.model import ServiceModel
from pileus.model import bounds
from pileus.model.errors import DryRun, InvalidValue, Throttled, TooLarge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.model.errors import PileusError
    from pileus.rules.core import Core
    from pileus.rules.credential import Authority

SERVICES = ("ec2", "sts")
"""The services that this face speaks for, by botocore's names; signatures are scoped to one of them."""

FACE = "ec2"
"""How the journal names this face."""

HEADS = ("Action", "Version", "MaxCount")
"""The parameters that say, before a form is decoded, how a request is counted and where it waits."""

SMALL_FORM = 4096
"""Bytes of the parameters of a request that are decoded at once: nearly all are fewer."""

READS = ("Describe", "Get")
"""How the names of actions begin that change nothing."""

_log = structlog.get_logger(__name__)


class Ec2Face:
    """Answers EC2 and STS requests. Keeps no state; any number of threads may call it at once."""

    def __init__(self, core: Core, authority: Authority) -> None:
        self._core = core
        self._authority = authority
        self._v2 = sigv2.SigV2Verifier(authority.secret, core.store.now)
        self._v4 = sigv4.SigV4Verifier(authority.secret, core.store.now)
        self._services = {name: ServiceModel.load(name) for name in SERVICES}
        self._ec2 = self._services["ec2"]
        # EC2 takes all versions from its first on, the others those of their models.
        others = [service for service in self._services.values() if service is not self._ec2]
        self._by_versions = {version: service for service in others for version in service.versions}

    def handle(self, request: Request) -> Response:
        """Answer `request`; never raises. Blocks while verbs do."""
        identified = self.identify(request)
        return identified if isinstance(identified, Response) else identified.now()

    def identify(self, request: Request) -> Identified | Response:
        """Find out who asks; the answer where that is refused. Never raises. May read the store."""
        service, request_id = self._ec2, ""
        try:
            if request.method not in ("GET", "POST"):
                text = f"The requested HTTP verb is not supported: {request.method[:16]}"
                raise WireError("UnsupportedHttpVerb", text)
            params, whole = _params(request)
            service = self._by_versions.get(params.get("Version", ""), self._ec2)
            caller, scope = self._authenticate(request, service.name)
            request_id = caller.request
            service = self._services.get(scope, service)
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer in its dialect)
            return _refusal(service, error, request_id or str(uuid.uuid4()), "")
        action = params.get("Action", "")
        entry = ACTIONS.get((service.name, action))
        return Identified(
            caller,
            functools.partial(self._answer, service, caller, request, params, whole=whole),
            lambda error: _refusal(service, error, request_id, action if entry is not None else ""),
            reads=action.startswith(READS),
            waits=entry is not None and entry.waits,
            launches=_launches(params) if action == "RunInstances" else 0,
        )

    def refused(self, error: PileusError) -> Response:
        """The answer to a request that is refused before anything is known of it."""
        return _refusal(self._ec2, error, str(uuid.uuid4()), "")

    def _answer(
        self, service: ServiceModel, caller: Caller, request: Request, params: Mapping[str, str], *, whole: bool
    ) -> Response:
        action, host = "", request.headers.get("host", "")
        try:
            if not whole:
                params = _decoded(request, service.name, params)
            action = query.action_of(service, params)

            def body_of() -> bytes:
                result = self._run(service, action, Call(self._core, caller, {}, host), params)
                return xml.serialize(service, action, result, caller.request)

            entry = ACTIONS.get((service.name, action))
            snapshot = entry is not None and action.startswith(READS) and not entry.waits
            with self._core.store.one_snapshot() if snapshot else contextlib.nullcontext():
                body = answercache.answer(self._core, caller, action, params, body_of)
            return _response(200, body, caller.request, action)
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer in its dialect)
            return _refusal(service, error, caller.request, action)

    def _authenticate(self, request: Request, service: str) -> tuple[Caller, str]:
        """Return the caller, and the service that the signature is for: `service` where the signature names none.

        A form is decoded before only where the signature is in it, and only a small form: decoding costs much.
        """
        _check_count(request.query.count("&"))
        received = signing.RawRequest(request.method, request.path, request.query, request.headers, request.body)
        if not sigv4.present(received) and sigv2.present(params := self._unproven(request, service)):
            access_key = self._v2.verify(received, params, service)
        else:
            access_key, scope = self._v4.verify(received)[:2]
            service = _scoped(scope, service, request.headers.get("host", ""))
        caller = self._authority.by_access_key(access_key, FACE)
        if caller is None:
            raise WireError("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
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
            if self._authority.secret(access_key) is None:
                raise WireError(*sigv4.codes_of(service).unknown)
        return query.decode_form(request.query, request.body)

    def _run(self, service: ServiceModel, action: str, call: Call, params: Mapping[str, str]) -> dict[str, Any]:
        entry = ACTIONS.get((service.name, action))
        if entry is None:
            raise ledger.refusal(service, action)
        if action in power.OF_INSTANCES and not any(param.startswith("InstanceId") for param in params):
            # An empty list leaves no trace in a query.
            raise InvalidValue("No instances specified", reason="combination")
        _, args = query.parse(service, params)
        unsupported.check(action, args)
        if args.get("DryRun") and not entry.dry:
            call.caller.require("reader" if action.startswith(READS) else "member")
            raise DryRun("Request would have succeeded, but DryRun flag is set.")
        return entry.run(call._replace(args=args))


def registered() -> Mapping[tuple[str, str], Action]:
    """Every action, by service and name: importing this module has registered them."""
    return ACTIONS


def _params(request: Request) -> tuple[dict[str, str], bool]:
    """Return the parameters of a small form, and True; of a larger form the parameters in HEADS, and False."""
    if len(request.query) + len(request.body) <= SMALL_FORM:
        return query.decode_form(request.query, request.body), True
    return {name: query.plain(name, request.query, request.body) for name in HEADS}, False


def _decoded(request: Request, service: str, heads: Mapping[str, str]) -> dict[str, str]:
    """All parameters of a request whose `heads` were read before. Raises WireError where they are not the same.

    Raises TooLarge for an action that waits for a host: it has few parameters, and is answered outside of the shares
    that projects have of the request threads.
    """
    entry = ACTIONS.get((service, heads["Action"]))
    if entry is not None and entry.waits:
        raise TooLarge(f"The parameters of {heads['Action']} have at most {SMALL_FORM} bytes.")
    params = query.decode_form(request.query, request.body)
    if any(params.get(name, "") != value for name, value in heads.items()):
        raise malformed(f"The parameters {', '.join(HEADS)} of a long request have to be written without escapes.")
    return params


def _check_count(separators: int) -> None:
    """Raise WireError where more parameters are part of what is signed than may be before a signature is verified."""
    most = bounds.SIGNED_PARAMETERS.most
    if separators >= most:
        raise malformed(f"A query string, or a form with its signature in it, has at most {most} parameters.")


def _scoped(scope: str, service: str, host: str) -> str:
    """The service that a signature with the service `scope` in its scope is for. Raises WireError for any other.

    boto 2 signs for the first word of the host's name; which service is meant is then for the version, `service`, to
    say. S3's signatures need not cover the body: they prove nothing here.
    """
    if scope in SERVICES:
        return scope
    if scope != "s3" and scope == host.partition(":")[0].partition(".")[0]:
        return service
    if service != "ec2":
        raise WireError("SignatureDoesNotMatch", f"Credential should be scoped to correct service: '{service}'.", 403)
    raise WireError("AuthFailure", "Credential should be scoped to correct service: 'ec2'.", 401)


def _launches(params: Mapping[str, str]) -> int:
    """The number of instances that a launch asks for, as far as that can be read; the verb looks at it closely."""
    try:
        count = scalars.to_integer(params.get("MaxCount", ""))
    except ValueError:
        return 1
    return count if 1 <= count <= bounds.LAUNCHES.most else 1


def _refusal(service: ServiceModel, error: Exception, request_id: str, action: str) -> Response:
    error_response = errors.told(error)
    if error_response is None:
        _log.error("request failed", request=request_id, exc_info=error)
        error_response = errors.INTERNAL
    body = xml.error(service, error_response.code, error_response.message, request_id, error_response.status)
    refusal = _response(error_response.status, body, request_id, action, error_response.code)
    if isinstance(error, Throttled):
        refusal.headers["retry-after"] = RETRY_AFTER
    return refusal


def _response(status: int, body: bytes, request_id: str, action: str, code: str = "") -> Response:
    headers = {
        "content-type": "text/xml;charset=UTF-8",
        "x-amzn-requestid": request_id,
        "cache-control": "no-cache, no-store",
    }
    reads = action.startswith(READS) or not action
    return Response(status, headers, body, FACE, action, code, request_id, reads)
