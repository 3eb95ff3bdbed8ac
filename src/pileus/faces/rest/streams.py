"""Requests that are not whole: images on their way in, and TCP streams to instances."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

import msgspec

from pileus.faces.rest.documents import document, uuid_of
from pileus.faces.wire.typed import Route
from pileus.model.errors import InvalidValue
from pileus.model.instance import Instance
from pileus.rules import image as image_rules
from pileus.verbs import image, imageupload
from pileus.verbs.imageupload import ImageUpload
from pileus.verbs.instance import console

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pileus.faces.wire.http import Response
    from pileus.faces.wire.streams import Received
    from pileus.faces.wire.typed import TypedRequest
    from pileus.model.caller import Caller
    from pileus.model.provider import Access, Channel
    from pileus.objects import ObjectStore
    from pileus.rules.core import Core


def read(query: Mapping[str, str]) -> ImageUpload:
    """The query as an upload; InvalidValue naming what is wrong."""
    unknown = sorted(query.keys() - {field.name for field in msgspec.structs.fields(ImageUpload)})
    if unknown:
        raise InvalidValue(f"Unknown parameter '{unknown[0]}'.", ident=unknown[0], reason="query")
    try:
        return msgspec.convert(query, ImageUpload, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidValue(f"The query is not what an upload takes: {error}", reason="query") from error


class ImageSink:
    """The receiver of an image's bytes. `answer` makes the answer of the image's document."""

    inspects = True

    def __init__(
        self,
        caller: Caller,
        core: Core,
        objects: ObjectStore,
        upload: ImageUpload,
        received: Received,
        answer: Callable[[object], Response],
    ) -> None:
        imageupload.check(caller, upload)
        self._caller, self._core, self._objects, self._upload = caller, core, objects, upload
        self._received = received
        self._answer = answer
        self._largest = core.bounds["image-bytes"].most
        self._room = image.room(caller, core, functools.partial(objects.stored, caller.project))
        self._open = contextlib.ExitStack()
        self._incoming = self._open.enter_context(objects.incoming(upload.digest, caller.project))

    def write(self, part: bytes) -> None:
        """Keep the next part. Raises InvalidValue, QuotaExceeded where there is too much."""
        if self._received.size > self._largest:
            raise InvalidValue("The image is larger than this cloud takes.", reason="size")
        if self._room is not None and self._received.of_project > self._room:
            raise image_rules.full(self._room)
        self._incoming.write(part)

    def finish(self) -> Response:
        """Inspect, keep and register the image."""
        image = imageupload.finish(self._caller, self._core, self._objects, self._incoming, self._upload)
        return self._answer(document(image))

    def close(self) -> None:
        """Remove what came in, unless it was kept."""
        self._open.close()


def routes(objects: ObjectStore | None) -> tuple[Route, ...]:
    """The routes of uploads, into `objects`, and of streams."""
    upload = functools.partial(_upload, objects)
    return (
        Route("POST", "images", upload, "Upload an image.", status=201, kind="parts"),
        Route("GET", "instances/{id}/connect/{port:int}", connect, "A stream to a TCP port of it.", kind="socket"),
        Route("GET", "instances/{id}/exec", _attached("exec"), "Run a command in a container.", kind="socket"),
        Route("GET", "instances/{id}/console/attach", _attached("console"), "Its console, both ways.", kind="socket"),
        Route(
            "GET",
            "instances/{id}/console/follow",
            _attached("follow"),
            "Its console's output, as it comes.",
            kind="socket",
        ),
    )


def _upload(
    objects: ObjectStore | None, request: TypedRequest, received: Received, answer: Callable[[object], Response]
) -> ImageSink:
    if objects is None:
        raise RuntimeError("a face without objects takes no uploads")
    return ImageSink(request.caller, request.core, objects, read(request.query), received, answer)


def connect(request: TypedRequest) -> Access:
    """Have the instance's host open the stream. Blocks."""
    port = request.path["port"]
    if not 1 <= port <= 65535:
        raise InvalidValue(f"{port} is no TCP port.", ident=str(port), reason="port")
    return console.connect(request.caller, request.core, uuid_of(request, Instance), port)


def _attached(channel: Channel) -> Callable[[TypedRequest], Access]:
    """The handler that has an instance's host open a channel. Blocks."""
    return lambda request: console.attach(request.caller, request.core, uuid_of(request, Instance), channel)
