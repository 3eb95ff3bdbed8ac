"""The IAM and STS face: the users and roles of an account, and temporary credentials, in Amazon's query APIs.

`face` answers requests, `call` has the table of the actions, `errors` is the one table from the core's errors to
Amazon's, `shape` renders nouns; every other file is a noun with its actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.faces.wire import query, sigv4
from pileus.faces.wire.face import ActionKey, ActionSummary, FaceContext, FaceDeclaration, RequestHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.faces.iam.face import IamFace
    from pileus.faces.wire.http import Request

SERVICES = ("iam", "sts")
"""The services of this face, by the words in the scopes of signatures."""

VERSIONS = ("2010-05-08", "2011-06-15")
"""The API versions of the services, which name the service where a signature does not."""


def _make(context: FaceContext) -> IamFace:
    from pileus.faces.iam.face import IamFace  # noqa: PLC0415  (a declaration is light)

    return IamFace(context.core, context.authority)


def _actions() -> Mapping[ActionKey, ActionSummary]:
    from pileus.faces.iam.face import registered  # noqa: PLC0415  (a declaration is light)

    return {key: ActionSummary(action.says, action.waits) for key, action in registered().items()}


def _errors() -> Mapping[tuple[str, str, str], tuple[str, int]]:
    from pileus.faces.iam.errors import TABLE  # noqa: PLC0415  (a declaration is light)

    return TABLE


def _takes(head: RequestHead) -> bool:
    return head.path == "/" and sigv4.scope_of(head.headers, head.query) in SERVICES


def _takes_form(request: Request) -> bool:
    """Whether a request is for IAM or STS by its version alone: one whose signature names no service of Amazon's."""
    version = query.plain("Version", request.query, request.body)
    return version in VERSIONS and sigv4.scope_of(request.headers, request.query) != "ec2" and request.path == "/"


FACE = FaceDeclaration(
    name="iam",
    make=_make,
    authentication="AWS Signature Version 4 (any region's name) or 2, by an access key.",
    takes=_takes,
    takes_form=_takes_form,
    endpoints=dict.fromkeys(SERVICES, ""),
    actions=_actions,
    errors=_errors,
)
"""The declaration of this face."""
