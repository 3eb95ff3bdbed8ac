"""Instance profiles: those that a caller may give to its instances, and the instances that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import Forbidden, NotFound
from pileus.model.instance import Instance
from pileus.model.instanceprofile import InstanceProfile
from pileus.model.role import includes
from pileus.rules import find
from pileus.rules.rights import role_in

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


def named(caller: Caller, tx: Reader, name: str) -> InstanceProfile:
    """The profile of the caller's project with this name. Raises NotFound."""
    profile = tx.named(InstanceProfile, name, caller.project)
    if profile is None:
        text = f"Instance Profile {name} cannot be found."
        raise NotFound(text, noun=InstanceProfile.KIND, ident=name, reason="name")
    return profile


def usable(caller: Caller, tx: Writer, uuid: str) -> InstanceProfile:
    """The profile, of the caller's project, for an instance; locked, so that it stays.

    Raises NotFound, and Forbidden where the profile's role has rights that the caller lacks.
    """
    profile = find.living(caller, tx, InstanceProfile, uuid)
    if profile.project != caller.project:
        raise find.absent(InstanceProfile, [uuid])
    tx.lock(profile)
    role = role_in(tx, profile.wanted.role, profile.project) if profile.wanted.role else None
    if role is not None and not includes(caller.right, role):
        text = f"The instance profile {profile.name} gives the rights of '{role}', and yours are '{caller.right}'."
        raise Forbidden(text, noun=InstanceProfile.KIND, ident=profile.uuid, reason="role")
    return profile


def wake_instances(tx: Writer, profile: InstanceProfile) -> None:
    """Have the hosts of all instances with this profile be told of its role."""
    tx.wake_all(Instance.KIND, [instance.uuid for instance in tx.referring(Instance, [profile.uuid])])
