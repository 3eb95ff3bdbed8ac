"""The EC2 face: Amazon's query API in front of the verbs.

`face` answers requests, `call` names the actions, `errors` is the one table from the core's errors to Amazon's,
`filters`, `paging` and `names` are what lists share; every other file is a noun with its actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.faces.ec2.options import Ec2Settings
from pileus.faces.wire.face import ActionKey, ActionSummary, FaceContext, FaceDeclaration, FaceListener, FacePaths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.faces.ec2.face import Ec2Face


def _make(context: FaceContext) -> Ec2Face:
    from pileus.faces.ec2.face import Ec2Face  # noqa: PLC0415  (a declaration is light)

    return Ec2Face(context.core, context.authority)


def _actions() -> Mapping[ActionKey, ActionSummary]:
    from pileus.faces.ec2.face import registered  # noqa: PLC0415  (a declaration is light)

    return {key: ActionSummary(action.says, action.waits) for key, action in registered().items()}


def _errors() -> Mapping[tuple[str, str, str], tuple[str, int]]:
    from pileus.faces.ec2.errors import TABLE  # noqa: PLC0415  (a declaration is light)

    return TABLE


FACE = FaceDeclaration(
    name="ec2",
    make=_make,
    authentication="AWS Signature Version 4 (any region's name) or 2, by an access key.",
    # Amazon's own path, and PiNet's.
    paths=FacePaths(exact=frozenset({"/", "/services/Cloud", "/services/Cloud/"})),
    settings=Ec2Settings,
    listener=FaceListener(lambda settings: settings.listen or "off", shared=True),
    endpoints={"ec2": ""},
    actions=_actions,
    errors=_errors,
)
"""The declaration of this face."""
