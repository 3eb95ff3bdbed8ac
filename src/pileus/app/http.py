"""The edge: a plain ASGI application that hands requests to the faces, in bounded and fairly shared threads.

Whole requests, bodies in parts, answers that wait, events and websockets go the same way: a face identifies the caller,
and says how the request goes on (see `faces.wire.streams`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import structlog

from pileus.app import answers, health, origins, streams
from pileus.app.answers import Receive, Scope, Send, respond
from pileus.app.faces import FaceRouter, MountedFace
from pileus.app.health import Health
from pileus.app.metrics import Metrics
from pileus.app.rates import client_network
from pileus.app.requests import OFTEN, Requests
from pileus.app.shares import Slots
from pileus.app.uploads import Uploads
from pileus.app.wiring import Cloud
from pileus.faces.wire.face import RequestHead
from pileus.faces.wire.http import Identified, Request, Response
from pileus.faces.wire.refusals import PLAIN
from pileus.faces.wire.streams import Conversation
from pileus.model import bounds
from pileus.model.errors import Fault, Forbidden, PileusError, Throttled, TooLarge

T = TypeVar("T")

SLOW = 1.0
"""Seconds from which on an answer is logged, whatever it says."""

PARTS_AT_ONCE = 4
"""Answers in parts of which the next part is being made; the others wait for it in turn."""

CROWDED = "Too many bytes of requests are in memory now; ask again later."

UNREAD = "Too many bytes of answers wait for their clients now; read them, or ask for fewer results at once."

log = structlog.get_logger()


class Gone(Exception):
    """The client left before its request was whole."""


class Edge:
    """The ASGI application of one cloud's process; without faces, of its health and its figures alone."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._router = FaceRouter(cloud.faces)
        self._largest = cloud.settings.largest_request
        self._requests = Requests(cloud)
        self._uploads = Uploads(self._requests, [face.declaration for face in cloud.faces])
        # Health and figures are nobody's requests: no tenant's load keeps them waiting.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="edge")
        # Parts of answers are taken here, which have been identified before.
        self._parts = ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="answer")
        self._streams = Slots(bounds.PROJECT_STREAMS, bounds.STREAMS)
        self._scrapers = origins.ranges(cloud.settings.metrics_allow)
        self._checks = health.Checks(self._health, loops=cloud.role.loops)
        cloud.core.store.listen(lambda _woken, kinds: self._requests.waits.wake(kinds))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one websocket."""
        if scope["type"] == "http" and scope["path"] in ("/healthz", "/metrics"):
            await self._served(scope, receive, send, functools.partial(self._own, scope))
        else:
            await self._routed(self._router.face, scope, receive, send)

    def only(self, face: MountedFace) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """Return the application of the listener of one face, to which all requests there are."""

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await self._routed(lambda _head: face, scope, receive, send)

        return application

    def close(self) -> None:
        """End the threads, after the requests that are under way."""
        self._requests.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._parts.shutdown(wait=True, cancel_futures=True)
        self._uploads.close()

    async def _routed(
        self, route: Callable[[RequestHead], MountedFace | None], scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        headers = headers_of(scope)
        query = scope["query_string"].decode("latin-1")
        head = RequestHead(scope.get("method", "GET"), scope["path"], headers, query)
        face = route(head)
        if scope["type"] == "websocket":
            await self._websocket(face, request_of(scope, b"", headers), scope, receive, send)
        elif face is None:
            await self._served(scope, receive, send, functools.partial(self._nothing, client_of(scope)))
        else:
            takes_parts = face.declaration.streams
            if takes_parts is not None and takes_parts(head):
                work = functools.partial(self._receive, face, scope, receive, headers)
            else:
                work = functools.partial(self._answer, face, scope, receive, headers)
            await self._served(scope, receive, send, work)

    async def _served(
        self, scope: Scope, receive: Receive, send: Send, work: Callable[[], Awaitable[Response | None]]
    ) -> None:
        began, client = time.perf_counter(), client_of(scope)
        try:
            response = await work()
        except Gone:
            return
        except Exception:
            # Whatever it is, the client gets an answer, and a number to find it in the log by.
            request_id = str(uuid.uuid4())
            log.exception("request failed", path=scope["path"], request=request_id)
            response = PLAIN.own("Internal", "Something is wrong here; the log tells what.", request_id)
        if response is None:  # the client has left
            return
        with contextlib.ExitStack() as slots:
            if response.stream is not None and response.stream.topics:
                response = self._watched(slots, response, client)
            note(self._cloud.metrics, response, time.perf_counter() - began, client)
            if response.stream is None:
                await respond(scope, send, response)
            else:
                await answers.stream(scope, receive, send, response, self._requests.waits, self._part)

    def _watched(self, slots: contextlib.ExitStack, response: Response, client: str) -> Response:
        """The answer in parts that waits for changes, with a slot as other waits have; else the answer without one."""
        try:
            slots.enter_context(self._requests.waits.slot(f"address {client_network(client)}"))
        except Throttled as error:
            if response.stream is not None:
                response.stream.close()
            refused = PLAIN.of(error, response.request or str(uuid.uuid4()))
            return msgspec.structs.replace(refused, face=response.face, action=response.action)
        return response

    async def _own(self, scope: Scope) -> Response:
        client = client_of(scope)
        if scope["path"] == "/healthz":
            return await self._checks.answer(repeat=not await self._requests.admit(client))
        return await self._figures(scope, client)

    async def _nothing(self, client: str) -> Response:
        await self._requests.admit(client)  # it is answered in any case
        guides = " or ".join(face.declaration.guide for face in self._cloud.faces if face.declaration.guide)
        text = f"There is nothing here; see {guides}." if guides else "There is nothing here."
        return Response(404, {"content-type": "text/plain"}, f"{text}\n".encode())

    async def _answer(
        self, face: MountedFace, scope: Scope, receive: Receive, headers: dict[str, str]
    ) -> Response | None:
        client, running = client_of(scope), face.running
        try:
            request = request_of(scope, await body_of(scope, receive, self._largest), headers)
        except (TooLarge, Throttled) as error:
            response = await self._requests.refuse(running, request_of(scope, b"", headers), client, error)
            response.headers["connection"] = "close"
            return response
        running = self._router.face_of_form(face, request).running
        client_left = functools.partial(answers.until_left, receive)
        answer = await self._requests.answer(running, request, client, client_left)
        # What was changed is answered in any case.
        if answer is not None and not scope["hold_answer"](len(answer.body)) and answer.reads:
            refused: Response = running.refused(Throttled(UNREAD))
            return refused
        return answer

    async def _receive(
        self, face: MountedFace, scope: Scope, receive: Receive, headers: dict[str, str]
    ) -> Response | None:
        """Answer a request whose body comes in parts."""
        client = client_of(scope)
        identified = await self._requests.identify(face.running, request_of(scope, b"", headers), client)
        if isinstance(identified, Response):
            return identified
        try:
            response = await self._uploads.receive(face.declaration, identified, parts_of(receive))
        except PileusError as error:
            response = identified.refuse(error)
        response = msgspec.structs.replace(response, reads=False)
        self._requests.record(client, response, identified.caller)
        return response

    async def _figures(self, scope: Scope, client: str) -> Response:
        """Answer with the figures a caller from an admitted address, or with an administrator's token."""
        if not origins.within(client, self._scrapers):
            caller = await self._requests.caller(request_of(scope, b""), client)
            if isinstance(caller, Response) and caller.status != 401:
                return caller
            if isinstance(caller, Response) or not caller.admin:
                text = "Figures are for the addresses of PILEUS_METRICS_ALLOW, and for an administrator's token."
                return PLAIN.of(Forbidden(text), str(uuid.uuid4()))
        elif not await self._requests.admit(client):
            return PLAIN.of(Throttled(OFTEN), str(uuid.uuid4()))
        return await self._run(self._cloud.metrics.page)

    async def _health(self) -> Health:
        cloud = self._cloud
        recovery = cloud.recovery
        return await self._run(health.look, cloud.core.store, recovery.missing, cloud.connected, recovery.unanswered)

    async def _websocket(
        self, face: MountedFace | None, request: Request, scope: Scope, receive: Receive, send: Send
    ) -> None:
        await receive()  # websocket.connect
        client, identified = client_of(scope), None
        if face is None:
            await self._requests.admit(client)
        else:
            identified = await self._requests.identify(face.running, request, client)
        if not isinstance(identified, Identified) or identified.socket is None:
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            with self._streams.of(identified.caller.project):
                await self._connect(identified, client, receive, send)
        except (PileusError, Fault) as error:
            self._opened(client, identified, 503, error.code)
            # Accepted first: a refused handshake carries no words.
            await send({"type": "websocket.accept"})
            code = 1013 if isinstance(error, Throttled) else 1011
            await send({"type": "websocket.close", "code": code, "reason": streams.reason(error)})

    async def _connect(self, identified: Identified, client: str, receive: Receive, send: Send) -> None:
        if identified.socket is None:
            return
        opened = await self._requests.wait(identified.caller.project, identified.socket)
        if isinstance(opened, Conversation):
            self._opened(client, identified, 101)
            await send({"type": "websocket.accept"})
            run = functools.partial(self._requests.run, identified.caller)
            await streams.converse(opened, receive, send, self._requests.waits, run)
            return
        async with streams.dialled(opened) as link:
            self._opened(client, identified, 101)
            await send({"type": "websocket.accept"})
            await streams.splice(link, receive, send)

    def _opened(self, client: str, identified: Identified, status: int, code: str = "") -> None:
        """Record that a stream was opened, or refused."""
        caller = identified.caller
        response = Response(status, {}, b"", caller.face, identified.action, code, caller.request, reads=False)
        self._requests.record(client, response, caller)

    async def _part(self, take: Callable[[], bytes | None]) -> bytes | None:
        return await asyncio.get_running_loop().run_in_executor(self._parts, take)

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


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of an ASGI scope by lower-case name, several of a name joined with commas."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def request_of(scope: Scope, body: bytes, headers: dict[str, str] | None = None) -> Request:
    """The request of an ASGI scope, with this body."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else scope["path"]
    query = scope["query_string"].decode("latin-1")
    known_headers = headers_of(scope) if headers is None else headers
    return Request(scope.get("method", "GET"), path, query, known_headers, body, scope.get("scheme", "http"))


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
    async for part in parts_of(receive):
        size += len(part)
        if size > largest:
            raise _too_large(largest)
        if not hold(len(part)):
            raise Throttled(CROWDED)
        parts.append(part)
    return b"".join(parts)


def _too_large(largest: int) -> TooLarge:
    return TooLarge(f"The body has more than the {largest} bytes that are taken.")


async def parts_of(receive: Receive) -> AsyncIterator[bytes]:
    """The parts of a request's body as they come. Raises Gone."""
    more = True
    while more:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        more = message.get("more_body", False)
        part = message.get("body", b"")
        if part:
            yield part
