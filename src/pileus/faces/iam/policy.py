"""Managed policies: three, each of which stands for a role in the project; attached to users and roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.faces.iam import role as roles
from pileus.faces.iam import shape
from pileus.faces.iam.call import Call, action, paged, user_of
from pileus.rules import policy
from pileus.verbs import identity

if TYPE_CHECKING:
    from pileus.model.user import User


@action("AttachUserPolicy")
def attach_to_user(call: Call) -> dict[str, Any]:
    """Attach a managed policy to a user."""
    return _attach(call, user_of(call))


@action("AttachRolePolicy")
def attach_to_role(call: Call) -> dict[str, Any]:
    """Attach a managed policy to a role."""
    return _attach(call, roles.named(call))


@action("DetachUserPolicy")
def detach_from_user(call: Call) -> dict[str, Any]:
    """Detach a managed policy from a user."""
    return _attach(call, user_of(call), attached=False)


@action("DetachRolePolicy")
def detach_from_role(call: Call) -> dict[str, Any]:
    """Detach a managed policy from a role."""
    return _attach(call, roles.named(call), attached=False)


@action("ListAttachedUserPolicies")
def attached_to_user(call: Call) -> dict[str, Any]:
    """List the managed policies of a user."""
    return _attached(call, user_of(call))


@action("ListAttachedRolePolicies")
def attached_to_role(call: Call) -> dict[str, Any]:
    """List the managed policies of a role."""
    return _attached(call, roles.named(call))


@action("ListUserPolicies")
def inline_of_user(call: Call) -> dict[str, Any]:
    """List the inline policies of a user: there are none."""
    user_of(call)
    return paged(call.args, "PolicyNames", [])


@action("ListRolePolicies")
def inline_of_role(call: Call) -> dict[str, Any]:
    """List the inline policies of a role: there are none."""
    roles.named(call)
    return paged(call.args, "PolicyNames", [])


@action("ListPolicies")
def list_policies(call: Call) -> dict[str, Any]:
    """List the managed policies that this cloud has, all of them Amazon's."""
    args, users = call.args, _identities(call)
    policies = [] if args.get("Scope") == "Local" else [_rendered(each, users) for each in policy.MANAGED.values()]
    if args.get("OnlyAttached"):
        policies = [each for each in policies if each["AttachmentCount"]]
    return paged(args, "Policies", policies)


@action("GetPolicy")
def get(call: Call) -> dict[str, Any]:
    """Show a managed policy."""
    return {"Policy": _rendered(policy.named(call.args["PolicyArn"]), _identities(call))}


def _attach(call: Call, user: User, *, attached: bool = True) -> dict[str, Any]:
    name = policy.named(call.args["PolicyArn"]).name
    identity.attach_policy(call.caller, call.core, user.uuid, name, attached=attached)
    return {}


def _attached(call: Call, user: User) -> dict[str, Any]:
    return paged(call.args, "AttachedPolicies", [shape.attached(name) for name in user.wanted.policies])


def _identities(call: Call) -> list[User]:
    return [user for roles in (False, True) for user in identity.listing(call.caller, call.core, roles=roles)]


def _rendered(managed: policy.ManagedPolicy, users: list[User]) -> dict[str, Any]:
    return {
        "PolicyName": managed.name,
        "PolicyId": f"ANPA{managed.name.upper()}"[:21],
        "Arn": f"{policy.ARN}{managed.name}",
        "Path": shape.PATH,
        "DefaultVersionId": "v1",
        "AttachmentCount": sum(managed.name in user.wanted.policies for user in users),
        "IsAttachable": True,
        "Description": f"{managed.description} The role {managed.role} in the project.",
    }
