"""A face outside of the project, as its author would write it: installed beside a cloud, it is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from pileus.faces.wire.face import FaceContext, FaceDeclaration, FaceListener, FacePaths, RequestHead

if TYPE_CHECKING:
    from pileus.faces.wire.typed import TypedFace


class ToySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings: PILEUS_TOY_LISTEN and so on."""

    listen: Annotated[str, Meta(description="ADDRESS:PORT of a port of its own, or off")] = "127.0.0.1:0"
    patience: Annotated[float, Meta(gt=0, description="seconds that a client waits at most")] = 20.0
    token: Annotated[str, Meta(description="nothing; it is secret")] = ""


def _make(context: FaceContext) -> TypedFace:
    from .face import face  # noqa: PLC0415  (a declaration is light)

    return face(context)


def _address(settings: ToySettings) -> str:
    return settings.listen


def _streams(head: RequestHead) -> bool:
    return head.method == "PUT" and head.path.startswith("/toy/bytes/")


FACE = FaceDeclaration(
    name="toy",
    make=_make,
    authentication="A token.",
    paths=FacePaths(prefixes=("/toy/",)),
    streams=_streams,
    settings=ToySettings,
    listener=FaceListener(_address),
    endpoints={"toy": "/toy"},
)
