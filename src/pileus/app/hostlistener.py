"""The listener for hosts of other machines: TLS by the cloud's own authority, and certificates of hosts that joined.

GET  /internal/ca               the authority's certificate, for everybody; whoever joins compares its fingerprint
POST /internal/join             a token and a certificate request; answered by what a host needs
GET  /internal/host             who the caller is, by its certificate; a host that was removed is told so
POST /internal/renew            a certificate request, by a host that still has a good certificate
GET  /internal/objects/SHA256   an object that the host's instances start from
GET  /internal/credentials/UUID credentials of the role of an instance of the host
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import structlog

from pileus.app import http
from pileus.app.answers import respond
from pileus.app.certificates import CertificateAuthority
from pileus.app.rates import DELAY, Buckets, client_network
from pileus.app.registers import accounts_of
from pileus.app.settings import Settings
from pileus.faces.wire.body import decoded
from pileus.faces.wire.http import Response
from pileus.faces.wire.refusals import PLAIN
from pileus.model import bounds
from pileus.model.errors import Forbidden, InvalidValue, NotFound, PileusError, Throttled, Unavailable
from pileus.model.ids import new_uuid
from pileus.rules.instance.session import credentials
from pileus.verbs import join

if TYPE_CHECKING:
    from pileus.app.wiring import Cloud

LARGEST = bounds.HOST_BODY.most
FACE = "host"

_ACTIONS = {"GET /internal/ca", "GET /internal/host", "POST /internal/join", "POST /internal/renew"}
_OBJECT = re.compile(r"/internal/objects/([0-9a-f]{64})", re.ASCII)
_CREDENTIALS = re.compile(r"/internal/credentials/([0-9a-f-]{36})", re.ASCII)
_CHUNK = 1 << 20
_JSON = {"content-type": "application/json"}

log = structlog.get_logger()


class Joining(msgspec.Struct, frozen=True, kw_only=True):
    """A host's request to join: `request` is a certificate request (PEM)."""

    token: str
    request: str
    name: str
    zone: str = ""


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """A host's request for another certificate."""

    request: str


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a host in a cloud: PEM certificates of its own and of the authority, and the cloud's addresses.

    `cloud` is the URL of this listener, `bus` the broker's, at which the certificate is the credential, `southbound`
    OVN's database for its controller. The last three may be empty: then they are set on the host itself.
    """

    name: str
    certificate: str
    authority: str
    cloud: str
    bus: str = ""
    southbound: str = ""
    zone: str = ""
    region: str = ""
    floating_cidr: str = ""
    ipv6_cidr: str = ""


def url(settings: Settings, listener: socket.socket) -> str:
    """How hosts reach it."""
    address, port = listener.getsockname()[:2]
    name = settings.server_names[0] if settings.names else address
    return f"https://{f'[{name}]' if ':' in name else name}:{port}"


class HostApplication:
    """The ASGI application behind the listener for hosts."""

    def __init__(self, cloud: Cloud, authority: CertificateAuthority) -> None:
        self._cloud = cloud
        self._authority = authority
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="host-listener")
        self._strangers = Buckets(cloud.settings.rate_refusals, cloud.processes)

    def close(self) -> None:
        """End the threads, after the requests that are under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = new_uuid()
        try:
            if not scope["peercert"] and not self._strangers.take(client_network(http.client_of(scope))):
                await asyncio.sleep(DELAY)
                raise Throttled("Too many requests without a certificate come from this address.", reason="rate")
            match = _OBJECT.fullmatch(scope["path"])
            if match and scope["method"] == "GET":
                await self._give(scope, send, match[1])
                return
            body = await http.body_of(scope, receive, LARGEST)
            response = await self._run(self._answer, scope, body)
        except PileusError as error:
            log.warning("host refused", path=scope["path"], reason=error.message, request=request)
            response = PLAIN.of(error, request)
        except http.Gone:
            return
        except Exception:
            log.exception("request failed", path=scope["path"], request=request)
            response = PLAIN.own("Internal", "Something is wrong here; the log tells what.", request)
        self._record(scope, response, request)
        await respond(scope, send, response)

    def _record(self, scope: Any, response: Response, request: str) -> None:
        """Write the audit line of a request that was refused, or that changed something."""
        action = f"{scope['method']} {scope['path']}"
        audited = msgspec.structs.replace(
            response,
            face=FACE,
            action=action if action in _ACTIONS else "",
            request=request,
            reads=scope["method"] != "POST",
        )
        self._cloud.audit.record(http.client_of(scope), audited)

    def _answer(self, scope: Any, body: bytes) -> Response:
        route = (scope["method"], scope["path"])
        if route == ("GET", "/internal/ca"):
            return Response(200, {"content-type": "application/x-pem-file"}, self._authority.pem)
        if route == ("GET", "/internal/host"):
            host = join.recognize(self._cloud.core, *_shown(scope))
            return Response(200, _JSON, msgspec.json.encode({"name": host.name, "id": host.uuid}))
        instance = _CREDENTIALS.fullmatch(scope["path"])
        if instance and scope["method"] == "GET":
            host = join.recognize(self._cloud.core, *_shown(scope))
            return Response(200, _JSON, msgspec.json.encode(credentials(self._cloud.core, host.name, instance[1])))
        if route == ("POST", "/internal/join"):
            return Response(201, _JSON, msgspec.json.encode(self._join(decoded(body, Joining))))
        if route == ("POST", "/internal/renew"):
            wanted = decoded(body, Renewal)
            name, serial = _shown(scope)
            certificate = join.renew(self._cloud.core, name, serial, self._issue(wanted.request))
            return Response(201, _JSON, msgspec.json.encode({"certificate": certificate.decode()}))
        raise NotFound(f"There is nothing at {scope['path']}.", ident=scope["path"])

    def _join(self, joining: Joining) -> Joined:
        settings, core = self._cloud.settings, self._cloud.core
        if joining.name in taken(settings):
            text = f"'{joining.name}' is what the cloud itself, or a part of it, is called: no host may pass for that."
            raise InvalidValue(text, noun="host", ident=joining.name, reason="name")
        host, certificate = join.redeem(core, joining.token, joining.name, joining.zone, self._issue(joining.request))
        log.info("host joined", host=host.name, zone=host.wanted.zone)
        accounts = accounts_of(settings)
        if accounts is not None:
            with accounts, contextlib.suppress(Unavailable):  # it gets its account when the broker answers
                accounts.add(host.name)
        return Joined(
            name=host.name,
            certificate=certificate.decode(),
            authority=self._authority.pem.decode(),
            cloud=core.place.join,
            bus=without_user(settings.bus),
            southbound=settings.southbound,
            zone=host.wanted.zone,
            region=core.place.region,
            floating_cidr=core.place.floating_cidr,
            ipv6_cidr=core.place.ipv6_cidr,
        )

    def _issue(self, request: str) -> Callable[[str], tuple[bytes, str]]:
        return lambda name: self._authority.host(request.encode(), name)

    async def _give(self, scope: Any, send: Any, digest: str) -> None:
        file = await self._run(self._open, scope, digest)
        with file:
            size = os.fstat(file.fileno()).st_size
            headers = [(b"content-type", b"application/octet-stream"), (b"content-length", str(size).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while part := await asyncio.to_thread(file.read, _CHUNK):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    def _open(self, scope: Any, digest: str) -> Any:
        host = join.recognize(self._cloud.core, *_shown(scope))
        if digest not in join.objects(self._cloud.core, host.name):
            raise NotFound("No instance of this host starts from such an object.", ident=digest)
        return self._cloud.objects.open(digest)

    async def _run(self, work: Callable[..., Any], *arguments: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def taken(settings: Settings) -> set[str]:
    """Names that no host may have: a certificate in one of them would pass for the cloud, or for a part of it."""
    southbound = settings.southbound.removeprefix("ssl:").rpartition(":")[0]
    parts = (urlsplit(settings.bus).hostname, urlsplit(settings.broker_admin).hostname, southbound, "pileus")
    return {*settings.server_names, *filter(None, parts)}


def without_user(bus: str) -> str:
    """The broker's URL for others than this cloud: without its user, and without its password."""
    parts = urlsplit(bus)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _shown(scope: Any) -> tuple[str, str]:
    """The name and the serial number in the certificate that the caller shows. Raises Forbidden."""
    certificate = scope["peercert"]
    if not certificate:
        raise Forbidden("Show the certificate that this host was given when it joined.", noun="host", reason="none")
    names = [value for part in certificate["subject"] for key, value in part if key == "commonName"]
    return names[0], f"{int(certificate['serialNumber'], 16):x}"
