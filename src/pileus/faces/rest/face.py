"""The REST face: a typed dialect, with images that come in parts and streams to instances."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec

from pileus.faces.rest import people, streams
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
PROJECT = "x-project-id"
"""The header of the project, by name or uuid, in which a token's user acts for one request."""

UNPROVEN = (
    "Send 'Authorization: Bearer TOKEN' with a token of this cloud (admin.json has the administrator's); "
    "or POST a user and its password to /v1/tokens, and send the token that it returns."
)


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
    """Return the caller by bearer token (or X-Auth-Token), or the one that asks for a token by its password.

    None when the request proves nobody.
    """
    new = people.asks_for_token(request)
    if new is not None and new.user:
        return authority.by_password(new.user, new.password, FACE, new.project)
    token = presented.token(request)
    project = new.project if new is not None else request.headers.get(PROJECT, "")
    return authority.by_token(token, FACE, project) if token else None
