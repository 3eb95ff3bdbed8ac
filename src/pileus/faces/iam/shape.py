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
    from pileus.model.usergroup import UserGroup

PATH = "/"
"""The path of everything: this cloud has no other."""


ACTIVE, INACTIVE = "Active", "Inactive"
"""The statuses of an access key that is enabled, and of one that is disabled."""


def user(row: User, account: str) -> dict[str, Any]:
    """A user as `User`."""
    return {
        "Path": PATH,
        "UserName": row.name,
        "UserId": arn.unique_id(arn.USER, row.uuid),
        "Arn": arn.arn(account, "user", row.name),
        "CreateDate": row.created,
    }


def group(row: UserGroup, account: str) -> dict[str, Any]:
    """A group of users as `Group`."""
    return {
        "Path": PATH,
        "GroupName": row.name,
        "GroupId": arn.unique_id(arn.GROUP, row.uuid),
        "Arn": arn.arn(account, "group", row.name),
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
    status = ACTIVE if row.wanted.enabled else INACTIVE
    return {"UserName": name, "AccessKeyId": row.wanted.key, "Status": status, "CreateDate": row.created}


def attached(name: str) -> dict[str, str]:
    """A managed policy as `AttachedPolicy`."""
    return {"PolicyName": name, "PolicyArn": f"{policy.ARN}{name}"}
