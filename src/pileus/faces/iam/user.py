"""Users of an account."""

from __future__ import annotations

from typing import Any

from pileus.faces.iam import shape
from pileus.faces.iam.call import Call, action, paged, user_of
from pileus.model.user import User
from pileus.verbs import user as verbs
from pileus.verbs import usergroup
from pileus.verbs.rename import rename


@action("CreateUser")
def create(call: Call) -> dict[str, Any]:
    """Make a user without any credential and without any right."""
    user = verbs.create_without_role(call.caller, call.core, call.args["UserName"])
    return {"User": shape.user(user, call.caller.account_id)}


@action("GetUser")
def get(call: Call) -> dict[str, Any]:
    """Show a user, or the caller itself."""
    return {"User": shape.user(user_of(call), call.caller.account_id)}


@action("ListUsers")
def list_users(call: Call) -> dict[str, Any]:
    """List the users of the account."""
    users = sorted(verbs.listing(call.caller, call.core), key=lambda user: user.name)
    return paged(call.args, "Users", [shape.user(user, call.caller.account_id) for user in users])


@action("UpdateUser")
def update(call: Call) -> dict[str, Any]:
    """Give a user another name."""
    user = user_of(call)
    if call.args.get("NewUserName"):
        rename(call.caller, call.core, User, user.uuid, call.args["NewUserName"])
    return {}


@action("DeleteUser")
def delete(call: Call) -> dict[str, Any]:
    """Delete a user that has no access key, no policy and no group."""
    verbs.delete(call.caller, call.core, user_of(call).uuid, cascade=False)
    return {}


@action("ListGroupsForUser")
def groups(call: Call) -> dict[str, Any]:
    """List the groups of a user."""
    user = user_of(call)
    groups = [group for group in usergroup.listing(call.caller, call.core) if user.uuid in group.wanted.members]
    return paged(call.args, "Groups", [shape.group(group, call.caller.account_id) for group in groups])


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
