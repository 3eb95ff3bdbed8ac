"""The admin face: the query API at /services/Admin/ by which PiNet's administrators look after users and projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.faces.wire.face import ActionKey, ActionSummary, FaceContext, FaceDeclaration, FacePaths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.faces.adminapi.face import AdminFace


def _make(context: FaceContext) -> AdminFace:
    from pileus.faces.adminapi.face import AdminFace  # noqa: PLC0415  (a declaration is light)

    return AdminFace(context.core, context.authority)


def _actions() -> Mapping[ActionKey, ActionSummary]:
    from pileus.faces.adminapi.actions import ACTIONS  # noqa: PLC0415  (a declaration is light)

    return {("", name): ActionSummary((run.__doc__ or "").partition("\n")[0]) for name, run in ACTIONS.items()}


def _errors() -> Mapping[tuple[str, str, str], tuple[str, int]]:
    from pileus.faces.adminapi.face import TABLE  # noqa: PLC0415  (a declaration is light)

    return TABLE


FACE = FaceDeclaration(
    name="adminapi",
    make=_make,
    authentication="AWS Signature Version 2 or 4 (for ec2), by an access key of an administrator of the cloud.",
    paths=FacePaths(exact=frozenset({"/services/Admin", "/services/Admin/"})),
    endpoints={"admin": "/services/Admin/"},
    actions=_actions,
    errors=_errors,
)
"""The declaration of this face."""
