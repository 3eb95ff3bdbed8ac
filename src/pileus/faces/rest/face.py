"""The REST face: a typed dialect, with images that come in parts and streams to instances."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec

from pileus.faces.rest import streams
from pileus.faces.rest.openapi import openapi
from pileus.faces.rest.routes import ROUTES
from pileus.faces.wire import presented
from pileus.faces.wire.http import Request
from pileus.faces.wire.typed import OpenDocument, TypedDialect, TypedFace

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.objects import ObjectStore
    from pileus.rules.core import Core
    from pileus.rules.credential import Authority

FACE = "rest"
ROOT = "/v1/"
UNPROVEN = "Send 'Authorization: Bearer TOKEN' with a token of this cloud (admin.json has the administrator's)."


class RestFace(TypedFace):
    """Answers every request under /v1. Blocks on the store, and on hosts for consoles: call it in a thread."""

    def __init__(self, core: Core, authority: Authority, objects: ObjectStore | None = None) -> None:
        dialect = TypedDialect(
            FACE,
            ROOT,
            (*ROUTES, *streams.routes(objects)),
            functools.partial(_caller, authority),
            UNPROVEN,
            documents=(OpenDocument("openapi.json", lambda _: _description()),),
            see=f"{ROOT}openapi.json",
        )
        super().__init__(core, dialect)


@functools.cache
def _description() -> msgspec.Raw:
    """The face's own OpenAPI document: made when it is first asked for, as few clouds are."""
    return msgspec.Raw(msgspec.json.encode(openapi()))


def _caller(authority: Authority, request: Request) -> Caller | None:
    """Return the caller by bearer token (or X-Auth-Token); None when the request proves nobody."""
    token = presented.token(request)
    return authority.by_token(token, FACE) if token else None
