"""The edge: a plain ASGI application that hands whole requests to the faces, in bounded and fairly shared threads.

This module calls verbs itself for requests that cannot be whole (images on their way in, streams to instances).
"""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import structlog

from pileus.app import health, origins, streams, uploads
from pileus.app.health import Health
from pileus.app.inspection import Inspections
from pileus.app.metrics import Metrics
from pileus.app.requests import OFTEN, Face, Requests
from pileus.app.shares import Slots
from pileus.app.wiring import Cloud
from pileus.faces.rest import errors
from pileus.faces.rest.face import created, parameters
from pileus.faces.wire.http import Request, Response
from pileus.model import bounds
from pileus.model.caller import Caller
from pileus.model.errors import Fault, Forbidden, InvalidValue, PileusError, Throttled, TooLarge
from pileus.verbs import image

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")

IMAGES = "/v1/images"
UPLOAD, STREAM = "POST /v1/images", "GET /v1/instances/{id}/connect/{port}"
"""How logs name what is done here."""

SLOW = 1.0
"""Seconds from which on an answer is logged, whatever it says."""

NOTHING = b"There is nothing here; see /v1/openapi.json.\n"

CROWDED = "Too many bytes of requests are in memory now; ask again later."

UNREAD = "Too many bytes of answers wait for their clients now; read them, or ask for fewer results at once."

log = structlog.get_logger()


class Gone(Exception):
    """The client left before its request was whole."""


class Edge:
    """The ASGI application of one cloud's process; without faces, of its health and its figures alone."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._faces = cloud.role.faces
        self._largest = cloud.settings.largest_request
        self._requests = Requests(cloud)
        # Health and figures are nobody's requests: no tenant's load keeps them waiting.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="edge")
        self._streams = Slots(bounds.PROJECT_STREAMS, bounds.STREAMS)
        self._uploads = Slots(bounds.PROJECT_UPLOADS, bounds.UPLOADS)
        # Bytes of uploads under way, by project.
        self._uploading: Counter[str] = Counter()
        self._scrapers = origins.ranges(cloud.settings.metrics_allow)
        self._inspections = Inspections()
        self._checks = health.Checks(self._health, loops=cloud.role.loops)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one websocket."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    def close(self) -> None:
        """End the threads, after the requests that are under way."""
        self._requests.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._inspections.close()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, began, client = scope["path"], time.perf_counter(), client_of(scope)
        try:
            if path == IMAGES and scope["method"] == "POST" and self._faces:
                response = await self._upload(scope, receive, client)
            elif path == "/healthz":
                response = await self._checks.answer(repeat=not await self._requests.admit(client))
            elif path == "/metrics":
                response = await self._figures(scope, client)
            else:
                face = self._face(path)
                if face is None:
                    await self._requests.admit(client)  # it is answered in any case
                    response = Response(404, {"content-type": "text/plain"}, NOTHING)
                else:
                    response = await self._answer(face, scope, receive, client)
        except Gone:
            return
        except Exception:
            # Whatever it is, the client gets an answer, and a number to find it in the log by.
            request_id = str(uuid.uuid4())
            log.exception("request failed", path=path, request=request_id)
            response = errors.own("Internal", "Something is wrong here; the log tells what.", request_id)
        note(self._cloud.metrics, response, time.perf_counter() - began, client)
        await respond(scope, send, response)

    async def _answer(self, face: Face, scope: Scope, receive: Receive, client: str) -> Response:
        try:
            request = request_of(scope, await body_of(scope, receive, self._largest))
        except (TooLarge, Throttled) as error:
            response = await self._requests.refuse(face, request_of(scope, b""), client, error)
            response.headers["connection"] = "close"
            return response
        response = await self._requests.answer(face, request, client)
        # What was changed is answered in any case.
        if not scope["hold_answer"](len(response.body)) and response.reads:
            return face.refused(Throttled(UNREAD))
        return response

    async def _figures(self, scope: Scope, client: str) -> Response:
        """Answer with the figures a caller from an admitted address, or with an administrator's token."""
        if not origins.within(client, self._scrapers):
            caller = await self._requests.caller(request_of(scope, b""), client)
            if isinstance(caller, Response) and caller.status != 401:
                return caller
            if isinstance(caller, Response) or not caller.admin:
                text = "Figures are for the addresses of PILEUS_METRICS_ALLOW, and for an administrator's token."
                return errors.of(Forbidden(text), str(uuid.uuid4()))
        elif not await self._requests.admit(client):
            return errors.of(Throttled(OFTEN), str(uuid.uuid4()))
        return await self._run(self._cloud.metrics.page)

    def _face(self, path: str) -> Face | None:
        if not self._faces:
            return None
        if path in ("/", "/services/Cloud/", "/services/Cloud"):
            return self._cloud.ec2
        if path.startswith("/v1/"):
            return self._cloud.rest
        return None

    async def _health(self) -> Health:
        cloud = self._cloud
        recovery = cloud.recovery
        return await self._run(health.look, cloud.core.store, recovery.missing, cloud.connected, recovery.unanswered)

    async def _upload(self, scope: Scope, receive: Receive, client: str) -> Response:
        request, run = request_of(scope, b""), self._requests.run
        caller = await self._requests.caller(request, client)
        if isinstance(caller, Response):
            return caller
        try:
            upload = await run(caller, lambda: uploads.read(parameters(request.query)))
            image.allow(caller, public=upload.public)
            stored = functools.partial(self._cloud.objects.stored, caller.project)
            room = await run(caller, image.room, caller, self._cloud.core, stored)
            with (
                self._uploads.of(caller.project),
                uploads.Begun(self._uploading, caller.project) as begun,
                await run(caller, self._cloud.objects.incoming, upload.digest, caller.project) as incoming,
            ):
                size = 0
                async for part in _parts(receive):
                    size += len(part)
                    if size > self._cloud.settings.largest_image:
                        raise InvalidValue("The image is larger than this cloud takes.", reason="size")
                    begun.more(len(part))
                    if room is not None and begun.of_project > room:
                        raise image.full(room)
                    await run(caller, incoming.write, part)
                document = await self._inspections.run(
                    uploads.finish, caller, self._cloud.core, self._cloud.objects, incoming, upload
                )
            response = created(caller, document)
        except PileusError as error:
            response = errors.of(error, caller.request)
        response = msgspec.structs.replace(response, face=caller.face, action=UPLOAD, reads=False)
        self._requests.record(client, response, caller)
        return response

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        target = streams.target(scope["path"]) if self._faces else None
        client = client_of(scope)
        if target is None:
            await self._requests.admit(client)
            await send({"type": "websocket.close", "code": 1008})
            return
        caller = await self._requests.caller(request_of({"method": "GET", **scope}, b""), client)
        if not isinstance(caller, Caller):
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            with self._streams.of(caller.project):
                work = functools.partial(streams.access, caller, self._cloud.core, target)
                async with streams.dialled(await self._requests.wait(caller.project, work)) as link:
                    self._opened(client, caller, 101)
                    await send({"type": "websocket.accept"})
                    await streams.splice(link, receive, send)
        except (PileusError, Fault) as error:
            self._opened(client, caller, 503, error.code)
            # Accepted first: a refused handshake carries no words.
            await send({"type": "websocket.accept"})
            code = 1013 if isinstance(error, Throttled) else 1011
            await send({"type": "websocket.close", "code": code, "reason": streams.reason(error)})

    def _opened(self, client: str, caller: Caller, status: int, code: str = "") -> None:
        """Record that a stream was opened, or refused."""
        response = Response(status, {}, b"", caller.face, STREAM, code, caller.request, reads=False)
        self._requests.record(client, response, caller)

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def client_of(scope: Scope) -> str:
    """The address of a request's client."""
    client = scope.get("client")
    return str(client[0]) if client else "-"


def note(metrics: Metrics, response: Response, seconds: float, client: str) -> None:
    """Count an answer, and log it unless it only read."""
    if not response.face:
        return
    metrics.request(response, seconds)
    level = "debug" if response.reads and response.status < 500 and seconds < SLOW else "info"
    getattr(log, level)(
        "request",
        face=response.face,
        action=response.action,
        status=response.status,
        code=response.code or None,
        ms=round(seconds * 1000, 2),
        request=response.request or None,
        client=client,
    )


def request_of(scope: Scope, body: bytes) -> Request:
    """The request of an ASGI scope, with this body."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    raw = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else scope["path"]
    return Request(scope["method"], path, scope["query_string"].decode("latin-1"), headers, body)


async def body_of(scope: Scope, receive: Receive, largest: int) -> bytes:
    """The body of a request, whole. Raises TooLarge, Throttled, Gone."""
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > largest:
            raise _too_large(largest)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    body: bytes = message.get("body", b"")
    hold: Callable[[int], bool] = scope["hold"]
    if len(body) > largest:
        raise _too_large(largest)
    if not hold(len(body)):
        raise Throttled(CROWDED)
    if not message.get("more_body"):
        return body
    parts, size = [body], len(body)
    async for part in _parts(receive):
        size += len(part)
        if size > largest:
            raise _too_large(largest)
        if not hold(len(part)):
            raise Throttled(CROWDED)
        parts.append(part)
    return b"".join(parts)


def _too_large(largest: int) -> TooLarge:
    return TooLarge(f"The body has more than the {largest} bytes that are taken.")


async def _parts(receive: Receive) -> Any:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        more = message.get("more_body", False)
        part = message.get("body", b"")
        if part:
            yield part


async def respond(scope: Scope, send: Send, response: Response) -> None:
    """Send a whole answer."""
    body = response.body
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
