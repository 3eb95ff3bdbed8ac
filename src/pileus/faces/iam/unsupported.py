"""Parameters of IAM and STS that this cloud cannot honour: one table, from which requests are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pileus.faces.iam.shape import PATH
from pileus.model.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

REFUSED: Final[Mapping[str, Mapping[str, object]]] = {
    "AssumeRole": dict.fromkeys(
        (
            *("ExternalId", "Policy", "PolicyArns", "ProvidedContexts", "SerialNumber", "SourceIdentity", "Tags"),
            *("TokenCode", "TransitiveTagKeys"),
        )
    ),
    "CreateGroup": {"Path": PATH},
    "CreateInstanceProfile": {"Path": PATH, "Tags": None},
    "CreateRole": {"Path": PATH, "PermissionsBoundary": None, "Tags": None},
    "CreateUser": {"Path": PATH, "PermissionsBoundary": None, "Tags": None},
    "GetSessionToken": dict.fromkeys(("SerialNumber", "TokenCode")),
    "ListPolicies": {"PolicyUsageFilter": "PermissionsPolicy"},
    "UpdateGroup": {"NewPath": PATH},
    "UpdateUser": {"NewPath": PATH},
}
"""The parameters by action, each with the value that asks for what is so anyway; None for no such value."""


def check(action: str, args: Mapping[str, Any]) -> None:
    """Raise Unsupported for a parameter of `action` that asks for what this cloud does not have."""
    for name, accepted in REFUSED.get(action, {}).items():
        value = args.get(name)
        if value and value != accepted:
            text = f"This cloud does not support the parameter {name} of {action}"
            more = f" with another value than {accepted}" if accepted is not None else ""
            raise Unsupported(f"{text}{more}.", noun="user")
