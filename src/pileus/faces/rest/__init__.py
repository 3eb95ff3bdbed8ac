"""Our own face: JSON over HTTP under /v1, its lists derived from the nouns; what the CLI speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.faces.wire.face import ActionKey, ActionSummary, FaceContext, FaceDeclaration, FacePaths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.faces.rest.face import RestFace


def _make(context: FaceContext) -> RestFace:
    from pileus.faces.rest.face import RestFace  # noqa: PLC0415  (a declaration is light)

    return RestFace(context.core, context.authority, context.objects)


def _actions() -> Mapping[ActionKey, ActionSummary]:
    from pileus.faces.rest import streams  # noqa: PLC0415  (a declaration is light)
    from pileus.faces.rest.routes import ROUTES  # noqa: PLC0415  (a declaration is light)
    from pileus.faces.wire import typed  # noqa: PLC0415  (a declaration is light)

    return typed.actions((*ROUTES, *streams.routes(None)))


def _errors() -> Mapping[tuple[str, str, str], tuple[str, int]]:
    from pileus.faces.wire.refusals import STATUS  # noqa: PLC0415  (a declaration is light)

    return {(code, "", ""): (code, status) for code, status in STATUS.items()}


FACE = FaceDeclaration(
    name="rest",
    make=_make,
    authentication="A token, as `Authorization: Bearer TOKEN` or `X-Auth-Token: TOKEN`.",
    paths=FacePaths(prefixes=("/v1/",)),
    streams=lambda head: head.method == "POST" and head.path.rstrip("/") == "/v1/images",
    endpoints={"rest": "/v1"},
    guide="/v1/openapi.json",
    actions=_actions,
    errors=_errors,
)
"""The declaration of this face."""
