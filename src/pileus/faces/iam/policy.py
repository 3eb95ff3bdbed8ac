"""Managed policies: three, each of which stands for a role in the project; to attach one is to grant that role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.faces.iam import group as groups
from pileus.faces.iam import role as roles
from pileus.faces.iam import shape
from pileus.faces.iam.call import Call, action, paged, user_of
from pileus.model.errors import NotFound, QuotaExceeded
from pileus.model.usergroup import UserGroup
from pileus.rules import policy
from pileus.verbs import grant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.model.grant import Grant
    from pileus.model.user import User


@action("AttachUserPolicy")
def attach_to_user(call: Call) -> dict[str, Any]:
    """Attach a managed policy to a user."""
    return _attach(call, user_of(call))


@action("AttachGroupPolicy")
def attach_to_group(call: Call) -> dict[str, Any]:
    """Attach a managed policy to a group: each of its users has its rights."""
    return _attach(call, groups.named(call))


@action("AttachRolePolicy")
def attach_to_role(call: Call) -> dict[str, Any]:
    """Attach a managed policy to a role: its sessions have no other rights."""
    return _attach(call, roles.named(call))


@action("DetachUserPolicy")
def detach_from_user(call: Call) -> dict[str, Any]:
    """Detach a managed policy from a user."""
    return _detach(call, user_of(call))


@action("DetachGroupPolicy")
def detach_from_group(call: Call) -> dict[str, Any]:
    """Detach a managed policy from a group."""
    return _detach(call, groups.named(call))


@action("DetachRolePolicy")
def detach_from_role(call: Call) -> dict[str, Any]:
    """Detach a managed policy from a role."""
    return _detach(call, roles.named(call))


@action("ListAttachedUserPolicies")
def attached_to_user(call: Call) -> dict[str, Any]:
    """List the managed policies of a user."""
    return _attached(call, user_of(call))


@action("ListAttachedGroupPolicies")
def attached_to_group(call: Call) -> dict[str, Any]:
    """List the managed policies of a group."""
    return _attached(call, groups.named(call))


@action("ListAttachedRolePolicies")
def attached_to_role(call: Call) -> dict[str, Any]:
    """List the managed policies of a role."""
    return _attached(call, roles.named(call))


@action("ListUserPolicies")
def inline_of_user(call: Call) -> dict[str, Any]:
    """List the inline policies of a user: there are none."""
    user_of(call)
    return paged(call.args, "PolicyNames", [])


@action("ListGroupPolicies")
def inline_of_group(call: Call) -> dict[str, Any]:
    """List the inline policies of a group: there are none."""
    groups.named(call)
    return paged(call.args, "PolicyNames", [])


@action("ListRolePolicies")
def inline_of_role(call: Call) -> dict[str, Any]:
    """List the inline policies of a role: there are none."""
    roles.named(call)
    return paged(call.args, "PolicyNames", [])


@action("ListPolicies")
def list_policies(call: Call) -> dict[str, Any]:
    """List the managed policies that this cloud has, all of them Amazon's."""
    args, grants = call.args, grant.listing(call.caller, call.core)
    policies = [] if args.get("Scope") == "Local" else [_rendered(each, grants) for each in policy.MANAGED.values()]
    if args.get("OnlyAttached"):
        policies = [each for each in policies if each["AttachmentCount"]]
    return paged(args, "Policies", policies)


@action("GetPolicy")
def get(call: Call) -> dict[str, Any]:
    """Show a managed policy."""
    return {"Policy": _rendered(policy.named(call.args["PolicyArn"]), grant.listing(call.caller, call.core))}


def _attach(call: Call, grantee: User | UserGroup) -> dict[str, Any]:
    managed = policy.named(call.args["PolicyArn"])
    of_group = isinstance(grantee, UserGroup)
    try:
        grant.create(
            call.caller,
            call.core,
            managed.role,
            user="" if of_group else grantee.uuid,
            usergroup=grantee.uuid if of_group else "",
            replaces=False,
        )
    except QuotaExceeded as error:
        if error.reason != "role":
            raise
        earlier = grant.held_by(call.caller, call.core, grantee.uuid)
        attached = policy.of_role(earlier.wanted.role).name if earlier else "another one"
        text = (
            f"Cannot exceed quota for attached policies: {policy.MOST}. {grantee.name} has {attached}: detach it first."
        )
        raise QuotaExceeded(text, noun="policy", ident=managed.name) from error
    return {}


def _detach(call: Call, grantee: User | UserGroup) -> dict[str, Any]:
    managed = policy.named(call.args["PolicyArn"])
    held_grant = grant.held_by(call.caller, call.core, grantee.uuid)
    if held_grant is None or held_grant.wanted.role != managed.role:
        text = f"Policy {managed.name} is not attached to {grantee.name}."
        raise NotFound(text, noun="policy", ident=managed.name, reason="detached")
    grant.delete(call.caller, call.core, held_grant.uuid)
    return {}


def _attached(call: Call, grantee: User | UserGroup) -> dict[str, Any]:
    held_grant = grant.held_by(call.caller, call.core, grantee.uuid)
    policies = [shape.attached(policy.of_role(held_grant.wanted.role).name)] if held_grant else []
    return paged(call.args, "AttachedPolicies", policies)


def _rendered(managed: policy.ManagedPolicy, grants: Sequence[Grant]) -> dict[str, Any]:
    return {
        "PolicyName": managed.name,
        "PolicyId": f"ANPA{managed.name.upper()}"[:21],
        "Arn": f"{policy.ARN}{managed.name}",
        "Path": shape.PATH,
        "DefaultVersionId": "v1",
        "AttachmentCount": sum(each.wanted.role == managed.role for each in grants),
        "IsAttachable": True,
        "Description": f"{managed.description} The role {managed.role} in the project.",
    }
