"""Roles: service users, which those assume whom their trust policies name."""

from __future__ import annotations

from typing import Any

from pileus.faces.iam import shape
from pileus.faces.iam.call import Call, action, paged
from pileus.model.user import User
from pileus.verbs import serviceuser


def named(call: Call) -> User:
    """The role that `RoleName` names. Raises NotFound."""
    return serviceuser.named(call.caller, call.core, call.args["RoleName"])


@action("CreateRole")
def create(call: Call) -> dict[str, Any]:
    """Make a role with its trust policy."""
    args = call.args
    role = serviceuser.create(
        call.caller,
        call.core,
        args["RoleName"],
        args["AssumeRolePolicyDocument"],
        args.get("Description", ""),
        args.get("MaxSessionDuration", serviceuser.SESSIONS[0]),
    )
    return {"Role": shape.role(role, call.caller.account_id)}


@action("GetRole")
def get(call: Call) -> dict[str, Any]:
    """Show a role."""
    return {"Role": shape.role(named(call), call.caller.account_id)}


@action("ListRoles")
def list_roles(call: Call) -> dict[str, Any]:
    """List the roles of the account."""
    roles = sorted(serviceuser.listing(call.caller, call.core), key=lambda role: role.name)
    return paged(call.args, "Roles", [shape.role(role, call.caller.account_id) for role in roles])


@action("UpdateRole")
def update(call: Call) -> dict[str, Any]:
    """Change the description and the longest session of a role."""
    change = serviceuser.ServiceUserChange(
        description=call.args.get("Description"), longest_session=call.args.get("MaxSessionDuration")
    )
    serviceuser.modify(call.caller, call.core, named(call).uuid, change)
    return {}


@action("UpdateAssumeRolePolicy")
def update_trust(call: Call) -> dict[str, Any]:
    """Replace the trust policy of a role; sessions that run already go on."""
    change = serviceuser.ServiceUserChange(trust=call.args["PolicyDocument"])
    serviceuser.modify(call.caller, call.core, named(call).uuid, change)
    return {}


@action("DeleteRole")
def delete(call: Call) -> dict[str, Any]:
    """Delete a role that has no policy and is in no instance profile; its sessions end."""
    serviceuser.delete(call.caller, call.core, named(call).uuid)
    return {}


@action("ListRoleTags")
def tags(call: Call) -> dict[str, Any]:
    """List the tags of a role: roles have none."""
    named(call)
    return paged(call.args, "Tags", [])
