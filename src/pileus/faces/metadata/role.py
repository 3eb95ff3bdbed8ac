"""The role of an instance in its metadata: `iam/info`, and `iam/security-credentials/ROLE` with its credentials.

Source: "Retrieve security credentials from instance metadata" in the EC2 user guide.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pileus.faces.wire import arn

if TYPE_CHECKING:
    from pileus.model.rolecredentials import RoleCredentials
    from pileus.model.spec import InstanceSpec

PLACE: Final = ("meta-data", "iam")
"""The directory of the role below each version."""


def found(spec: InstanceSpec, credentials: RoleCredentials | None, path: tuple[str, ...]) -> str | None:
    """The text at `path` below PLACE; None where there is none: the instance has no role, or no credentials yet."""
    profile = spec.profile
    if profile is None:
        return None
    if path == ("security-credentials",):
        return profile.role
    if credentials is None:
        return None
    if path == ():
        return "info\nsecurity-credentials/"
    if path == ("info",):
        return _document(
            {
                "Code": "Success",
                "LastUpdated": _time(credentials.since),
                "InstanceProfileArn": arn.arn(spec.account_id, arn.INSTANCE_PROFILE, profile.name),
                "InstanceProfileId": arn.unique_id(arn.PROFILE, profile.uuid),
            }
        )
    if path == ("security-credentials", profile.role):
        return _document(
            {
                "Code": "Success",
                "LastUpdated": _time(credentials.since),
                "Type": "AWS-HMAC",
                "AccessKeyId": credentials.access_key,
                "SecretAccessKey": credentials.secret_key,
                "Token": credentials.token,
                "Expiration": _time(credentials.until),
            }
        )
    return None


def _document(members: dict[str, str]) -> str:
    return json.dumps(members, indent=2)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
