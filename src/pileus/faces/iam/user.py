"""Users of an account."""

from __future__ import annotations

from typing import Any

from pileus.faces.iam import shape
from pileus.faces.iam.call import Call, action, paged, user_of
from pileus.verbs import identity


@action("CreateUser")
def create(call: Call) -> dict[str, Any]:
    """Make a user without any credential."""
    user = identity.create_user(call.caller, call.core, call.args["UserName"])
    return {"User": shape.user(user, call.caller.account_id)}


@action("GetUser")
def get(call: Call) -> dict[str, Any]:
    """Show a user, or the caller itself."""
    return {"User": shape.user(user_of(call), call.caller.account_id)}


@action("ListUsers")
def list_users(call: Call) -> dict[str, Any]:
    """List the users of the account."""
    users = identity.listing(call.caller, call.core)
    return paged(call.args, "Users", [shape.user(user, call.caller.account_id) for user in users])


@action("UpdateUser")
def update(call: Call) -> dict[str, Any]:
    """Give a user another name."""
    user = user_of(call)
    if call.args.get("NewUserName"):
        identity.rename_user(call.caller, call.core, user.uuid, call.args["NewUserName"])
    return {}


@action("DeleteUser")
def delete(call: Call) -> dict[str, Any]:
    """Delete a user that has no access key and no policy."""
    identity.delete(call.caller, call.core, user_of(call).uuid)
    return {}


@action("ListGroupsForUser")
def groups(call: Call) -> dict[str, Any]:
    """List the groups of a user: there are none in IAM's sense yet."""
    user_of(call)
    return paged(call.args, "Groups", [])


@action("ListMFADevices")
def devices(call: Call) -> dict[str, Any]:
    """List the MFA devices of a user: there are none."""
    user_of(call)
    return paged(call.args, "MFADevices", [])


@action("ListUserTags")
def tags(call: Call) -> dict[str, Any]:
    """List the tags of a user: users have none."""
    user_of(call)
    return paged(call.args, "Tags", [])
