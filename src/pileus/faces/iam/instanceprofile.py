"""Instance profiles, and the role that each has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.faces.iam import role as roles
from pileus.faces.iam import shape
from pileus.faces.iam.call import Call, action, paged
from pileus.model.errors import NotFound
from pileus.rules import instanceprofile as rules
from pileus.verbs import instanceprofile as verbs
from pileus.verbs import serviceuser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.instanceprofile import InstanceProfile


@action("CreateInstanceProfile")
def create(call: Call) -> dict[str, Any]:
    """Make an instance profile without a role."""
    profile = verbs.create(call.caller, call.core, call.args["InstanceProfileName"])
    return {"InstanceProfile": shape.profile(profile, None, call.caller.account_id)}


@action("GetInstanceProfile")
def get(call: Call) -> dict[str, Any]:
    """Show an instance profile with its role."""
    return {"InstanceProfile": _rendered(call, [_named(call)])[0]}


@action("ListInstanceProfiles")
def list_profiles(call: Call) -> dict[str, Any]:
    """List the instance profiles of the account."""
    return paged(call.args, "InstanceProfiles", _rendered(call, verbs.listing(call.caller, call.core)))


@action("ListInstanceProfilesForRole")
def list_of_role(call: Call) -> dict[str, Any]:
    """List the instance profiles that have a role."""
    role = roles.named(call)
    profiles = [each for each in verbs.listing(call.caller, call.core) if each.wanted.role == role.uuid]
    return paged(call.args, "InstanceProfiles", _rendered(call, profiles))


@action("DeleteInstanceProfile")
def delete(call: Call) -> dict[str, Any]:
    """Delete an instance profile that has no role and that no instance has."""
    verbs.delete(call.caller, call.core, _named(call).uuid)
    return {}


@action("AddRoleToInstanceProfile")
def add_role(call: Call) -> dict[str, Any]:
    """Give an instance profile its only role; instances with the profile have its credentials at once."""
    verbs.set_role(call.caller, call.core, _named(call).uuid, roles.named(call).uuid)
    return {}


@action("RemoveRoleFromInstanceProfile")
def remove_role(call: Call) -> dict[str, Any]:
    """Take the role of an instance profile away; credentials that were given out are good until they end."""
    profile, role = _named(call), roles.named(call)
    if profile.wanted.role != role.uuid:
        text = f"Role {role.name} is not in the instance profile {profile.name}."
        raise NotFound(text, noun="user", ident=role.name, reason="detached")
    verbs.set_role(call.caller, call.core, profile.uuid, None)
    return {}


def _named(call: Call) -> InstanceProfile:
    with call.core.store.read() as tx:
        return rules.named(call.caller, tx, call.args["InstanceProfileName"])


def _rendered(call: Call, profiles: Iterable[InstanceProfile]) -> list[dict[str, Any]]:
    by_uuid = {role.uuid: role for role in serviceuser.listing(call.caller, call.core)}
    account = call.caller.account_id
    return [shape.profile(profile, by_uuid.get(profile.wanted.role or ""), account) for profile in profiles]
