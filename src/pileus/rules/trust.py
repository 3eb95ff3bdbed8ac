"""Trust policies of roles: JSON documents that say who may assume a role.

Source: "IAM JSON policy elements" in the IAM user guide. Of its language this cloud has what names principals: `Allow`,
`sts:AssumeRole`, services, accounts, and users and roles by ARN. Anything else is refused, and never passed over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pileus.model import bounds
from pileus.model.errors import InvalidValue
from pileus.model.role import includes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.caller import Caller

EC2: Final = "ec2.amazonaws.com"
"""The service that assumes the roles of instance profiles."""

_ACTIONS = ("sts:AssumeRole", "sts:*")
_STATEMENT = {"Effect", "Action", "Principal", "Sid"}
_ACCOUNT = re.compile(r"(?:arn:aws:iam::)?([0-9]{12})(?::root)?", re.ASCII)
_IDENTITY = re.compile(r"arn:aws:iam::[0-9]{12}:(?:user|role)/[A-Za-z0-9_+=,.@-]{1,64}", re.ASCII)


def principals(document: str) -> frozenset[str]:
    """The principals that a trust policy names: services, 12-digit accounts, and ARNs. Raises InvalidValue."""
    if not document or len(document) > bounds.TRUST_POLICY.most:
        raise _malformed(f"it has 1 to {bounds.TRUST_POLICY.most} characters")
    try:
        policy = msgspec.json.decode(document.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise _malformed("it is no JSON object") from None
    if policy.get("Version", "2012-10-17") not in ("2012-10-17", "2008-10-17") or policy.keys() - {
        *("Version", "Statement", "Id")
    }:
        raise _malformed("it has Version (2012-10-17), Id and Statement only")
    statements = _listed(policy.get("Statement"))
    if not statements:
        raise _malformed("it has no Statement")
    return frozenset(name for statement in statements for name in _of_statement(statement))


def trusts(document: str, account: str, caller: Caller) -> bool:
    """Whether a trust policy of a role of an account, checked when it was written, lets a caller assume the role.

    A caller that the policy names by its ARN needs no right of its own within the account. A policy that names an
    account leaves it to that account who assumes the role: its members and admins, and no readers.
    """
    own = f"arn:aws:iam::{caller.account_id}:{'role' if caller.session else 'user'}/{caller.user_name}"
    names = principals(document)
    if own in names and account == caller.account_id:
        return True
    return not names.isdisjoint((caller.account_id, own)) and includes(caller.right, "member")


def _of_statement(statement: Any) -> Iterable[str]:
    if not isinstance(statement, dict):
        raise _malformed("a Statement is a JSON object")
    if statement.keys() - _STATEMENT:
        text = ", ".join(sorted(str(key)[:40] for key in statement.keys() - _STATEMENT))
        raise _malformed(f"this cloud supports the elements {', '.join(sorted(_STATEMENT))}, and not {text}")
    if statement.get("Effect") != "Allow":
        raise _malformed("this cloud supports the Effect Allow only")
    actions = _listed(statement.get("Action"))
    if not actions or any(action not in _ACTIONS for action in actions):
        raise _malformed("this cloud supports the Action sts:AssumeRole only")
    named = statement.get("Principal")
    if not isinstance(named, dict) or not named or named.keys() - {"AWS", "Service"}:
        raise _malformed("a Principal has AWS or Service, which name accounts, users, roles or services")
    for name in _listed(named.get("Service", [])):
        if name != EC2:
            raise _malformed(f"the only Service that assumes roles here is {EC2}")
        yield name
    for name in _listed(named.get("AWS", [])):
        yield _aws(name)


def _aws(name: object) -> str:
    text = name if isinstance(name, str) else ""
    account = _ACCOUNT.fullmatch(text)
    if account is not None:
        return account[1]
    if not _IDENTITY.fullmatch(text):
        raise _malformed(f"'{text[:80]}' is no account, and no ARN of a user or role")
    return text


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _malformed(why: str) -> InvalidValue:
    return InvalidValue(f"The trust policy is malformed: {why}.", noun="user", reason="trust")
