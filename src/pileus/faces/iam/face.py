"""Requests for IAM and STS to actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.faces.iam import (  # noqa: F401  (importing a noun's file registers its actions)
    SERVICES,
    accesskey,
    account,
    errors,
    group,
    instanceprofile,
    ledger,
    policy,
    role,
    session,
    unsupported,
    user,
)
from pileus.faces.iam.call import ACTIONS, Action, Call
from pileus.faces.wire import query
from pileus.faces.wire.queryface import QueryFace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.faces.wire.errors import ErrorResponse
    from pileus.faces.wire.model import ServiceModel
    from pileus.rules.core import Core
    from pileus.rules.credential import Authority

FACE = "iam"
"""How the journal names this face."""


class IamFace(QueryFace):
    """Answers IAM and STS requests. Keeps no state; any number of threads may call it at once."""

    NAME = FACE
    SERVICES = SERVICES
    READS = ("Get", "List")
    ROLELESS = ("sts",)

    def __init__(self, core: Core, authority: Authority) -> None:
        super().__init__(core, authority, ACTIONS)

    def result(self, service: ServiceModel, action: str, call: Call, params: Mapping[str, str]) -> dict[str, Any]:
        """The result of an action."""
        entry = ACTIONS.get((service.name, action))
        if entry is None:
            raise ledger.LEDGER.refusal(service, action)
        _, args = query.parse(service, params)
        unsupported.check(action, args)
        return entry.run(call._replace(args=args))

    def reads(self, action: str) -> bool:
        """Credentials that are given out are audited, though nothing is written."""
        return super().reads(action) and action != "GetSessionToken"

    def told(self, error: Exception) -> ErrorResponse | None:
        """The error by this face's table."""
        return errors.told(error)

    def internal(self) -> ErrorResponse:
        """Amazon's error for a mistake of the service."""
        return errors.INTERNAL


def registered() -> Mapping[tuple[str, str], Action]:
    """Every action, by service and name: importing this module has registered them."""
    return ACTIONS
