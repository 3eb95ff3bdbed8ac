"""Instance profiles: made and deleted, given a role, and given to instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, Duplicate, NotFound, QuotaExceeded
from pileus.model.ids import new_uuid
from pileus.model.instance import Instance, State, state
from pileus.model.instanceprofile import InstanceProfile, Wanted
from pileus.model.user import User
from pileus.rules import find, identityname
from pileus.rules import instanceprofile as rules
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core


@requires("admin")
def create(caller: Caller, core: Core, name: str) -> InstanceProfile:
    """Make a profile without a role. Raises Forbidden, InvalidValue, Duplicate, QuotaExceeded."""
    identityname.check(name, InstanceProfile.KIND, 128)
    with core.store.write() as tx:
        if tx.claimed(InstanceProfile.names(caller.project), name) is not None:
            text = f"Instance Profile {name} already exists."
            raise Duplicate(text, noun=InstanceProfile.KIND, ident=name)
        profile = tx.add(InstanceProfile(uuid=new_uuid(), project=caller.project, name=name))
        tx.add_journal_line(caller, profile, "instanceprofile.create", outcome="done")
        return profile


@requires("admin")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a profile. Raises Forbidden, NotFound, Conflict while it has a role or an instance has it."""
    with core.store.write() as tx:
        profile = find.living(caller, tx, InstanceProfile, uuid)
        tx.lock(profile)
        if profile.wanted.role:
            text = "Cannot delete entity, must remove roles from instance profile first."
            raise Conflict(text, noun=InstanceProfile.KIND, ident=profile.name, reason="in-use")
        if tx.referrers(profile.uuid):
            text = "Cannot delete entity, must disassociate the instance profile from its instances first."
            raise Conflict(text, noun=InstanceProfile.KIND, ident=profile.name, reason="in-use")
        tx.make_tombstone(tx.want_gone(profile))
        tx.add_journal_line(caller, profile, "instanceprofile.delete", outcome="done")


@requires("admin")
def set_role(caller: Caller, core: Core, uuid: str, role: str | None) -> InstanceProfile:
    """Give a profile the role with the uuid `role`, or take its role away (None); its instances have it at once.

    Raises Forbidden, NotFound, QuotaExceeded for a second role.
    """
    with core.store.write() as tx:
        profile = find.living(caller, tx, InstanceProfile, uuid)
        if role is not None:
            if profile.wanted.role is not None:
                text = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
                raise QuotaExceeded(text, noun=InstanceProfile.KIND, ident=profile.name)
            row = find.living(caller, tx, User, role)
            if not row.wanted.service or row.project != profile.project:
                raise find.absent(User, [role])
            tx.lock(row)
        profile = tx.want(profile, Wanted(role=role))
        rules.wake_instances(tx, profile)
        tx.add_journal_line(caller, profile, "instanceprofile.set_role", outcome="done")
        return profile


@requires("reader")
def listing(caller: Caller, core: Core) -> list[InstanceProfile]:
    """The profiles of the caller's project, oldest first."""
    with core.store.read() as tx:
        return tx.list(InstanceProfile, project=caller.project)


@requires("member")
def associate(caller: Caller, core: Core, instance: str, profile: str | None, *, replaces: bool = False) -> Instance:
    """Give an instance a profile, or take its profile away (None); both are uuids.

    Unless it `replaces` one, an instance that has a profile keeps it. Raises NotFound, Conflict.
    """
    with core.store.write() as tx:
        row = find.living(caller, tx, Instance, instance)
        if state(row) is State.SHUTTING_DOWN:
            text = f"The {row.label} is shutting down."
            raise Conflict(text, noun=Instance.KIND, ident=row.uuid, reason="state")
        if profile is not None and row.wanted.instanceprofile is not None and not replaces:
            text = f"There is an existing association for instance {row.label}"
            raise Conflict(text, noun=Instance.KIND, ident=row.uuid, reason="associated")
        if row.wanted.instanceprofile is None and (replaces or profile is None):
            text = f"The {row.label} has no instance profile."
            raise NotFound(text, noun=InstanceProfile.KIND, ident=row.uuid, reason="association")
        usable = rules.usable(caller, tx, profile) if profile is not None else None
        if usable is not None and usable.project != row.project:
            raise find.absent(InstanceProfile, [usable.uuid])
        wanted = msgspec.structs.replace(row.wanted, instanceprofile=usable.uuid if usable else None)
        row = tx.want(row, wanted)
        tx.add_journal_line(caller, row, "instanceprofile.associate", goal=row.generation, outcome="done")
        tx.wake(row)
        return row


@requires("reader")
def associated(caller: Caller, core: Core) -> list[tuple[Instance, InstanceProfile]]:
    """The living instances of the caller's project that have a profile, and the profile of each."""
    with core.store.read() as tx:
        profiles = {profile.uuid: profile for profile in tx.list(InstanceProfile, project=caller.project)}
        instances: Sequence[Instance] = tx.referring(Instance, profiles)
    return [
        (instance, profiles[instance.wanted.instanceprofile or ""])
        for instance in instances
        if not instance.wanted.gone
    ]
