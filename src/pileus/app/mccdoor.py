"""The door of the mcc tools: a port of its own, for their dialect knows neither paths nor credentials.

It is on this machine's loopback unless it is told otherwise. Addresses and a token can bound its callers.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import hmac
import ipaddress
import re
import socket
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog

from pileus.app import http, origins, ports, tls
from pileus.app.rates import DELAY, Buckets, site_of
from pileus.app.settings import Settings
from pileus.app.shares import Workers
from pileus.app.state import StateDirectory
from pileus.app.tls import ListenerIdentity
from pileus.cli.problem import Problem
from pileus.faces.mcc import MccFace, page
from pileus.faces.wire.http import Request, Response
from pileus.model import bounds
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import Throttled, TooLarge, Unavailable
from pileus.verbs import network, project

if TYPE_CHECKING:
    from pileus.app.wiring import Cloud

LARGEST = bounds.MCC_BODY.most
ELSEWHERE = "This server has another name: add the one that you use to PILEUS_NAMES, or use an address."
THREADS = 2
"""Calls that are answered at once: Python computes in one thread at a time, and each more slows the faces down."""

SHARE = 1
"""Calls of one address that are answered at once while other addresses call."""

log = structlog.get_logger()


class MccApplication:
    """The ASGI application behind the port; it answers calls once the cloud has an mcc face."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._allowed = origins.ranges(cloud.settings.mcc_allow)
        self._names = {*map(str.lower, cloud.settings.server_names), socket.gethostname().lower()}
        # Refusals beyond the rate of an address are answered later: its client may try again at once.
        self._refusals = Buckets(cloud.settings.rate_refusals, cloud.processes)
        # The clients' addresses take turns, as projects do at the faces.
        self._workers = Workers(THREADS, SHARE, bounds.ADDRESS_MCC_CALLS, bounds.MCC_CALLS)

    def close(self) -> None:
        """End the threads, after the requests that are under way."""
        self._workers.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began, client = time.perf_counter(), http.client_of(scope)
        try:
            response = await self._answer(scope, receive)
        except http.Gone:
            return
        except TooLarge:
            response = page(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except (Throttled, Unavailable) as error:
            response = page(HTTPStatus.SERVICE_UNAVAILABLE, error.message)
        except Exception:
            number = str(uuid.uuid4())
            log.exception("request failed", path=scope["path"], request=number)
            response = page(HTTPStatus.INTERNAL_SERVER_ERROR, number)
        if response.status >= HTTPStatus.BAD_REQUEST and not self._refusals.take(site_of(client)):
            await asyncio.sleep(DELAY)
        http.note(self._cloud.metrics, response, time.perf_counter() - began, client)
        self._cloud.audit.record(client, response)
        await http.respond(scope, send, response)

    async def _answer(self, scope: Any, receive: Any) -> Response:
        request = http.request_of(scope, b"")
        refused = self._refused(scope, request)
        if refused is not None:
            return page(refused)
        host = request.headers.get("host")
        if host is not None and not self._own(host):
            return page(HTTPStatus.MISDIRECTED_REQUEST, ELSEWHERE)
        face = self._cloud.mcc
        if face is None:
            return page(HTTPStatus.SERVICE_UNAVAILABLE)
        body = await http.body_of(scope, receive, LARGEST)
        whole = Request(request.method, request.path, request.query, request.headers, body)
        response: Response = await self._workers.run(
            site_of(http.client_of(scope)), functools.partial(face.handle, whole)
        )
        return response

    def _own(self, host: str) -> bool:
        """Whether a Host header names this server; an address always does.

        A web page can have its name lead to this server's address, and have its visitors' browsers call. Their calls
        name the page's host: nothing else tells them apart.
        """
        name = host.lower().rpartition(":")[0] if re.search(r":[0-9]*$", host) else host.lower()
        if name.startswith("["):
            return name.endswith("]") and _is_address(name[1:-1])
        return name in self._names or _is_address(name)

    def _refused(self, scope: Any, request: Request) -> HTTPStatus | None:
        if self._allowed and not origins.within((scope.get("client") or ("",))[0], self._allowed):
            return HTTPStatus.FORBIDDEN
        token = self._cloud.settings.mcc_token
        if token and not hmac.compare_digest(_shown(request.headers.get("authorization", "")), token.encode()):
            return HTTPStatus.UNAUTHORIZED
        return None


def listen(state: StateDirectory, settings: Settings) -> socket.socket | None:
    """The listening socket, as the settings have it; by default, or by that of a provider, none.

    Raises Problem.
    """
    where = settings.mcc_listen or "off"
    if where == "off":
        return None
    address, _, number = where.rpartition(":")
    # A cloud that is started again is where it was, if nobody else is there.
    wanted = [int(number)] if number != "0" else [*_before(state), *ports.choices()]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in wanted:
        try:
            listener = socket.create_server((address.strip("[]"), port), family=family, backlog=512)
        except OSError as error:
            if port == wanted[-1]:
                raise Problem(f"mcc: {where} cannot be listened at: {error.strerror}.") from error
        else:
            state.mcc_port.write_text(f"{listener.getsockname()[1]}\n")
            return listener
    raise AssertionError


def url(settings: Settings, listener: socket.socket, identity: ListenerIdentity | None) -> str:
    """How clients of this machine reach it."""
    address, port = listener.getsockname()[:2]
    if (settings.names and identity is not None) or address in ("0.0.0.0", "::"):  # noqa: S104  (compared, not listened at)
        address = settings.server_names[0]
    if identity is not None:
        address = tls.shown(identity, address)
    scheme = "https" if identity else "http"
    return f"{scheme}://{f'[{address}]' if ':' in address else address}:{port}"


def face(cloud: Cloud) -> MccFace:
    """The face of the project that the settings name, with its network; both are made. Raises InvalidValue."""
    home = project.ensure(SYSTEM, cloud.core, cloud.settings.mcc_project)

    def caller() -> Caller:
        return Caller(
            user="",
            user_name="mcc",
            project=home.uuid,
            project_name=home.name,
            account_id=home.wanted.account_id,
            face="mcc",
            request=str(uuid.uuid4()),
        )

    return MccFace(cloud.core, caller, network.flat(caller(), cloud.core, cloud.settings.mcc_range))


def _before(state: StateDirectory) -> list[int]:
    try:
        text = state.mcc_port.read_text().strip()
    except OSError:
        return []
    return [int(text)] if text.isdecimal() and 0 < int(text) < 65536 else []


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _shown(header: str) -> bytes:
    """The token in an Authorization header: a bearer's, or the password of Basic, which old libraries can send."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""
