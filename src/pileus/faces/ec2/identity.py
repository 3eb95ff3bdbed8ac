"""The STS action that says to whom the caller's access key belongs."""

from __future__ import annotations

from typing import Any

from pileus.faces.ec2.call import Call, action


@action("GetCallerIdentity", service="sts")
def get_caller_identity(call: Call) -> dict[str, Any]:
    """The account and the user that the access key belongs to."""
    caller = call.caller
    return {
        "UserId": f"AIDA{caller.user.replace('-', '')[:17].upper()}",
        "Account": caller.account_id,
        "Arn": f"arn:aws:iam::{caller.account_id}:user/{caller.user_name}",
    }
