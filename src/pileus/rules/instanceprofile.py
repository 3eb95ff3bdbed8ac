"""Instance profiles: those that a caller may give to its instances, and the instances that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import NotFound
from pileus.model.instance import Instance
from pileus.model.instanceprofile import InstanceProfile
from pileus.model.user import User
from pileus.rules import account, find, policy

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

    Raises NotFound, and Forbidden where its role has rights that the caller lacks.
    """
    profile = find.living(caller, tx, InstanceProfile, uuid)
    if profile.project != caller.project:
        raise find.absent(InstanceProfile, [uuid])
    tx.lock(profile)
    role = tx.get(User, profile.wanted.role) if profile.wanted.role else None
    if role is not None and policy.role_of(role) == "admin":
        account.require_administrator(caller, "gives instances a role of an administrator")
    return profile


def wake_instances(tx: Writer, profile: InstanceProfile) -> None:
    """Have the hosts of all instances with this profile be told of its role."""
    tx.wake_all(Instance.KIND, [instance.uuid for instance in tx.referring(Instance, [profile.uuid])])
