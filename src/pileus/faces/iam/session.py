"""STS: the caller's own name, and temporary credentials."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pileus.faces.iam.call import Call, action
from pileus.faces.wire import arn
from pileus.model.errors import Forbidden, InvalidValue
from pileus.verbs import session as verbs

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.session import SessionCredentials


_ROLE = re.compile(r"arn:aws:iam::([0-9]{12}):role/([A-Za-z0-9_+=,.@-]{1,64})", re.ASCII)


@action("GetCallerIdentity", service="sts")
def get_caller_identity(call: Call) -> dict[str, Any]:
    """The account and the user, or the session of a role, that the credentials belong to."""
    ident, name = _identity(call.caller)
    return {"UserId": ident, "Account": call.caller.account_id, "Arn": name}


@action("GetSessionToken", service="sts")
def get_session_token(call: Call) -> dict[str, Any]:
    """Temporary credentials of the caller, for 12 hours unless it says otherwise."""
    credentials = verbs.of_caller(call.caller, call.core, call.args.get("DurationSeconds", 12 * 3600))
    return {"Credentials": _rendered(credentials)}


@action("AssumeRole", service="sts")
def assume_role(call: Call) -> dict[str, Any]:
    """Temporary credentials of a role that trusts the caller, for an hour unless it says otherwise."""
    args, caller = call.args, call.caller
    name, seconds = args["RoleSessionName"], args.get("DurationSeconds", 3600)
    match = _ROLE.fullmatch(args["RoleArn"])
    if match is None:
        raise InvalidValue(f"{args['RoleArn'][:160]} is no ARN of a role.", noun="user", reason="arn")
    account = match[1]
    try:
        role, credentials = verbs.assume(caller, call.core, account, match[2], name, seconds)
    except Forbidden as error:
        text = f"User: {_identity(caller)[1]} is not authorized to perform: sts:AssumeRole on resource: {match[0]}"
        raise Forbidden(text, noun="user") from error
    assumed = {
        "AssumedRoleId": f"{arn.unique_id(arn.ROLE, role.uuid)}:{name}",
        "Arn": arn.arn(account, "assumed-role", f"{role.name}/{name}", "sts"),
    }
    return {"Credentials": _rendered(credentials), "AssumedRoleUser": assumed}


@action("GetAccessKeyInfo", service="sts")
def get_access_key_info(call: Call) -> dict[str, Any]:
    """The account of an access key of the caller's account."""
    return {"Account": verbs.account_of(call.caller, call.core, call.args["AccessKeyId"])}


def _identity(caller: Caller) -> tuple[str, str]:
    """The unique id and the ARN of a caller."""
    if caller.session:
        ident = f"{arn.unique_id(arn.ROLE, caller.user)}:{caller.session}"
        return ident, arn.arn(caller.account_id, "assumed-role", f"{caller.user_name}/{caller.session}", "sts")
    return arn.unique_id(arn.USER, caller.user), arn.arn(caller.account_id, "user", caller.user_name)


def _rendered(credentials: SessionCredentials) -> dict[str, Any]:
    return {
        "AccessKeyId": credentials.access_key,
        "SecretAccessKey": credentials.secret_key,
        "SessionToken": credentials.token,
        "Expiration": credentials.until,
    }
