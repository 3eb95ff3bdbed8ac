"""The mcc face: MiniCloud's XML-RPC, five methods over the instances of one project, on a port of its own.

The dialect knows neither paths nor credentials. The port is on this machine's loopback unless the settings say
otherwise; addresses and a token can bound its callers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.faces.mcc.settings import MccSettings
from pileus.faces.wire.face import ActionKey, ActionSummary, FaceContext, FaceDeclaration, FaceListener, OpenCalls
from pileus.model import bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.faces.mcc.face import MccFace


def _make(context: FaceContext) -> MccFace:
    from pileus.faces.mcc.face import MccFace  # noqa: PLC0415  (a declaration is light)

    return MccFace(context.core, context.settings)


def _actions() -> Mapping[ActionKey, ActionSummary]:
    from pileus.faces.mcc.methods import METHODS  # noqa: PLC0415  (a declaration is light)

    return {
        ("", name): ActionSummary((work.__doc__ or "").strip().partition("\n")[0]) for name, work in METHODS.items()
    }


FACE = FaceDeclaration(
    name="mcc",
    make=_make,
    authentication="None; a token where the setting `token` has one, addresses where `allow` has some.",
    settings=MccSettings,
    # Two threads: Python computes in one thread at a time, and each more slows the other faces down.
    listener=FaceListener(
        lambda settings: settings.listen or "off",
        OpenCalls(
            threads=2,
            share=1,
            waiting=bounds.ADDRESS_MCC_CALLS,
            total=bounds.MCC_CALLS,
            body=bounds.MCC_BODY,
            allowed=lambda settings: settings.allow,
        ),
    ),
    endpoints={"mcc": ""},
    actions=_actions,
)
"""The declaration of this face."""
