"""The dialect: documents in JSON and XML, bytes that come and go, and clients that wait for a key pair."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from pileus.faces.wire import media, presented
from pileus.faces.wire.streams import END, BodyStream, Conversation, Waiting, event
from pileus.faces.wire.typed import OpenDocument, Route, TypedDialect, TypedFace, TypedRequest, versions
from pileus.model.errors import InvalidValue
from pileus.model.keypair import KeyPair

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.faces.wire.face import FaceContext
    from pileus.faces.wire.http import Request, Response
    from pileus.faces.wire.streams import Received
    from pileus.model.caller import Caller

PART = 1 << 18


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """A body: numbers to add."""

    numbers: list[int]


def _add(request: TypedRequest) -> dict[str, Any]:
    numbers = request.read(Numbers).numbers
    return {"sum": sum(numbers), "numbers": numbers}


def _double(request: TypedRequest) -> dict[str, Any]:
    return {"double": 2 * request.path["number"], "is <safe>": True}


class Checksum:
    """The receiver of bytes, of which a checksum is kept."""

    inspects = False

    def __init__(self, received: Received, answer: Callable[[object], Response], most: int) -> None:
        self._received, self._answer, self._most = received, answer, most
        self._sum = 0

    def write(self, part: bytes) -> None:
        """Add a part."""
        if self._received.size > self._most:
            raise InvalidValue("These are too many bytes.", reason="size")
        self._sum = zlib.adler32(part, self._sum)

    def finish(self) -> Response:
        """Return the answer."""
        return self._answer({"size": self._received.size, "sum": self._sum})

    def close(self) -> None:
        """Hold nothing."""


def _sink(request: TypedRequest, received: Received, answer: Callable[[object], Response]) -> Checksum:
    return Checksum(received, answer, request.path["most"])


def _bytes(request: TypedRequest) -> BodyStream:
    left = [request.path["most"]]

    def take() -> bytes:
        size = min(PART, left[0])
        left[0] -= size
        return bytes(size) if size else END

    return BodyStream(take, length=request.path["most"])


def _there(request: TypedRequest, name: str) -> bool:
    with request.core.store.read() as tx:
        return any(key.name == name for key in tx.list(KeyPair, project=request.caller.project))


def _waiting(request: TypedRequest, seconds: float) -> Waiting:
    name = request.path["name"]

    def look() -> Any:
        return {"there": True} if _there(request, name) else None

    return Waiting(look, lambda: {"there": False}, frozenset({KeyPair.KIND}), seconds)


def _news(request: TypedRequest) -> BodyStream:
    events = iter((event(b'{"there": true}', "there"), END))

    def take() -> bytes | None:
        return next(events) if _there(request, request.path["name"]) else None

    return BodyStream(take, topics=frozenset({KeyPair.KIND}), idle=b": idle\n\n", pause=0.2)


def _echo(_request: TypedRequest) -> Conversation:
    return Conversation(lambda message: message[::-1])


def face(context: FaceContext) -> TypedFace:
    """Put it together."""

    def proven(request: Request) -> Caller | None:
        token = presented.token(request)
        return context.authority.by_token(token, "toy") if token else None

    def wait(request: TypedRequest) -> Waiting:
        return _waiting(request, context.settings.patience)

    routes = (
        Route("POST", "sums", _add, "Add numbers.", Numbers, 201),
        Route("GET", "doubles/{number:int}", _double, "Twice a number."),
        Route("PUT", "bytes/{most:int}", _sink, "Take bytes.", kind="parts"),
        Route("GET", "bytes/{most:int}", _bytes, "Give bytes."),
        Route("GET", "waits/{name}", wait, "Wait for a key pair."),
        Route("GET", "news/{name}", _news, "Tell of a key pair."),
        Route("GET", "echo", _echo, "Say it backwards.", kind="socket"),
    )
    opened = OpenDocument("versions", lambda request: versions(request, {"v1": "CURRENT"}, "/toy/"), 300)
    forms = (media.JSON, media.xml("toy"))
    dialect = TypedDialect(
        "toy", "/toy/", routes, proven, "Show a token.", documents=(opened,), forms=forms, suffixes=True
    )
    return TypedFace(context.core, dialect)
