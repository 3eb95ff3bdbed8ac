"""Calls to faces of dialects without credentials, on listeners of their own: addresses take turns, and can be bounded.

Such a listener is on this machine's loopback unless it is told otherwise.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import re
import socket
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog

from pileus.app import http, origins
from pileus.app.answers import respond
from pileus.app.rates import DELAY, Buckets, client_network
from pileus.app.shares import Workers
from pileus.model.errors import Throttled, TooLarge, Unavailable

if TYPE_CHECKING:
    from pileus.app.faces import MountedFace
    from pileus.app.wiring import Cloud
    from pileus.faces.wire.face import OpenCalls, OpenFace
    from pileus.faces.wire.http import Response

ELSEWHERE = "This server has another name: add the one that you use to PILEUS_NAMES, or use an address."

log = structlog.get_logger()


class OpenApplication:
    """The ASGI application behind such a listener."""

    def __init__(self, cloud: Cloud, face: MountedFace, calls: OpenCalls) -> None:
        self._cloud = cloud
        self._face: OpenFace = face.running
        self._largest = calls.body.most
        self._allowed = origins.ranges(calls.allowed(face.settings))
        self._names = {*map(str.lower, cloud.settings.server_names), socket.gethostname().lower()}
        # Refusals beyond the rate of an address are answered later: its client may try again at once.
        self._refusals = Buckets(cloud.settings.rate_refusals, cloud.processes)
        # The clients' addresses take turns, as projects do at the other faces.
        self._workers = Workers(calls.threads, calls.share, calls.waiting, calls.total)

    def close(self) -> None:
        """End the threads, after the requests that are under way."""
        self._workers.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began, client = time.perf_counter(), http.client_of(scope)
        page = self._face.page
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
        if response.status >= HTTPStatus.BAD_REQUEST and not self._refusals.take(client_network(client)):
            await asyncio.sleep(DELAY)
        http.note(self._cloud.metrics, response, time.perf_counter() - began, client)
        self._cloud.audit.record(client, response)
        await respond(scope, send, response)

    async def _answer(self, scope: Any, receive: Any) -> Response:
        if self._allowed and not origins.within((scope.get("client") or ("",))[0], self._allowed):
            return self._face.page(HTTPStatus.FORBIDDEN)
        headers = http.headers_of(scope)
        host = headers.get("host")
        if host is not None and not self._own(host):
            return self._face.page(HTTPStatus.MISDIRECTED_REQUEST, ELSEWHERE)
        refused = self._face.refusal(http.request_of(scope, b"", headers))
        if refused is not None:
            return refused
        whole = http.request_of(scope, await http.body_of(scope, receive, self._largest), headers)
        response: Response = await self._workers.run(
            client_network(http.client_of(scope)), functools.partial(self._face.handle, whole)
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


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
