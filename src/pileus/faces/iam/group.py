"""Groups of users, which are given policies together."""

from __future__ import annotations

from typing import Any

from pileus.faces.iam import shape
from pileus.faces.iam.call import Call, action, paged, user_of
from pileus.model.usergroup import UserGroup
from pileus.verbs import usergroup
from pileus.verbs.rename import rename


def named(call: Call) -> UserGroup:
    """The group that `GroupName` names. Raises NotFound."""
    return usergroup.named(call.caller, call.core, call.args["GroupName"])


@action("CreateGroup")
def create(call: Call) -> dict[str, Any]:
    """Make a group without users and without any right."""
    group = usergroup.create(call.caller, call.core, call.args["GroupName"])
    return {"Group": shape.group(group, call.caller.account_id)}


@action("GetGroup")
def get(call: Call) -> dict[str, Any]:
    """Show a group with its users."""
    group, account = named(call), call.caller.account_id
    users = [shape.user(user, account) for user in usergroup.members(call.caller, call.core, group.uuid)]
    return {"Group": shape.group(group, account), **paged(call.args, "Users", users)}


@action("ListGroups")
def list_groups(call: Call) -> dict[str, Any]:
    """List the groups of the account."""
    groups = sorted(usergroup.listing(call.caller, call.core), key=lambda group: group.name)
    return paged(call.args, "Groups", [shape.group(group, call.caller.account_id) for group in groups])


@action("UpdateGroup")
def update(call: Call) -> dict[str, Any]:
    """Give a group another name."""
    group = named(call)
    if call.args.get("NewGroupName"):
        rename(call.caller, call.core, UserGroup, group.uuid, call.args["NewGroupName"])
    return {}


@action("DeleteGroup")
def delete(call: Call) -> dict[str, Any]:
    """Delete a group that has no user and no policy."""
    usergroup.delete(call.caller, call.core, named(call).uuid, cascade=False)
    return {}


@action("AddUserToGroup")
def add_user(call: Call) -> dict[str, Any]:
    """Put a user into a group: it has the rights of the group's policies at once."""
    usergroup.add(call.caller, call.core, named(call).uuid, user_of(call).uuid)
    return {}


@action("RemoveUserFromGroup")
def remove_user(call: Call) -> dict[str, Any]:
    """Take a user out of a group."""
    usergroup.remove(call.caller, call.core, named(call).uuid, user_of(call).uuid)
    return {}
