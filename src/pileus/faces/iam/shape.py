"""Users, roles, access keys and instance profiles as Amazon's shapes, with the ids and names that it has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pileus.faces.wire import arn
from pileus.rules import policy

if TYPE_CHECKING:
    from pileus.model.credential import Credential
    from pileus.model.instanceprofile import InstanceProfile
    from pileus.model.user import User

PATH = "/"
"""The path of everything: this cloud has no other."""


def user(row: User, account: str) -> dict[str, Any]:
    """A user as `User`."""
    return {
        "Path": PATH,
        "UserName": row.name,
        "UserId": arn.unique_id(arn.USER, row.uuid),
        "Arn": arn.arn(account, "user", row.name),
        "CreateDate": row.created,
    }


def role(row: User, account: str) -> dict[str, Any]:
    """A service user as `Role`; its trust policy is percent-encoded, as IAM has it."""
    return {
        "Path": PATH,
        "RoleName": row.name,
        "RoleId": arn.unique_id(arn.ROLE, row.uuid),
        "Arn": arn.arn(account, "role", row.name),
        "CreateDate": row.created,
        "AssumeRolePolicyDocument": quote(row.wanted.trust, safe=""),
        "Description": row.wanted.description or None,
        "MaxSessionDuration": row.wanted.longest_session,
    }


def profile(row: InstanceProfile, role_row: User | None, account: str) -> dict[str, Any]:
    """A profile with its role, if it has one, as `InstanceProfile`."""
    return {
        "Path": PATH,
        "InstanceProfileName": row.name,
        "InstanceProfileId": arn.unique_id(arn.PROFILE, row.uuid),
        "Arn": arn.arn(account, arn.INSTANCE_PROFILE, row.name),
        "CreateDate": row.created,
        "Roles": [role(role_row, account)] if role_row is not None else [],
    }


def access_key(row: Credential, name: str) -> dict[str, Any]:
    """An access key of the user `name` as `AccessKeyMetadata`."""
    return {"UserName": name, "AccessKeyId": row.wanted.key, "Status": status(row), "CreateDate": row.created}


def status(row: Credential) -> str:  # noqa: ARG001  (the place where disabling is shown)
    """Whether an access key is good, in Amazon's word. Every one is, until access keys can be disabled."""
    return "Active"


def attached(name: str) -> dict[str, str]:
    """A managed policy as `AttachedPolicy`."""
    return {"PolicyName": name, "PolicyArn": f"{policy.ARN}{name}"}
