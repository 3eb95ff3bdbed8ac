"""Amazon's names (ARN) and unique ids of users, roles and instance profiles, as several dialects show them.

Source: "IAM identifiers" in the IAM user guide.
"""

from __future__ import annotations

from typing import Final

USER: Final = "AIDA"
GROUP: Final = "AGPA"
ROLE: Final = "AROA"
PROFILE: Final = "AIPA"

INSTANCE_PROFILE: Final = "instance-profile"
"""The kind of instance profiles in their ARNs."""


def arn(account: str, kind: str, name: str, service: str = "iam") -> str:
    """The ARN of an identity of an account; `kind` is `user`, `group`, `role`, `instance-profile` or `assumed-role`."""
    return f"arn:aws:{service}::{account}:{kind}/{name}"


def unique_id(prefix: str, uuid: str) -> str:
    """Amazon's unique id: a prefix for the kind and 17 digits of the uuid."""
    return f"{prefix}{uuid.replace('-', '')[:17].upper()}"
