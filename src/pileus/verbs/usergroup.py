"""Groups of users, which are granted roles together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.errors import Conflict, Duplicate, NotFound
from pileus.model.grant import Grant
from pileus.model.ids import new_uuid
from pileus.model.user import User
from pileus.model.usergroup import UserGroup, Wanted
from pileus.rules import find, grant, identityname, usergroup
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


@requires("admin")
def create(caller: Caller, core: Core, name: str) -> UserGroup:
    """Make a group without users. Raises Forbidden, InvalidValue, Duplicate, QuotaExceeded."""
    identityname.check(name, UserGroup.KIND, usergroup.LONGEST_NAME)
    with core.store.write() as tx:
        try:
            group = tx.add(UserGroup(uuid=new_uuid(), project=caller.project, name=name, wanted=Wanted()))
        except Duplicate as error:
            text = f"The group '{name}' exists already."
            raise Duplicate(text, noun=UserGroup.KIND, ident=name, reason="name") from error
        tx.add_journal_line(caller, group, "usergroup.create", outcome="done")
        return group


@requires("admin")
def add(caller: Caller, core: Core, uuid: str, user: str) -> UserGroup:
    """Put a user (a uuid) into a group; one that is in it changes nothing. Raises NotFound, QuotaExceeded."""
    with core.store.write() as tx:
        group, member = find.living(caller, tx, UserGroup, uuid), find.living(caller, tx, User, user)
        if member.wanted.service:
            raise find.absent(User, [user])
        if member.uuid in group.wanted.members:
            return group
        members = (*group.wanted.members, member.uuid)
        group = tx.want(group, msgspec.structs.replace(group.wanted, members=members))
        tx.add_journal_line(caller, group, "usergroup.add", goal=group.generation, outcome="done", detail=member.uuid)
        return group


@requires("admin")
def remove(caller: Caller, core: Core, uuid: str, user: str) -> UserGroup:
    """Take a user (a uuid) out of a group; a user that is not in it changes nothing. Raises NotFound."""
    with core.store.write() as tx:
        return usergroup.without(caller, tx, find.living(caller, tx, UserGroup, uuid), user)


@requires("admin")
def delete(caller: Caller, core: Core, uuid: str, *, cascade: bool = True) -> UserGroup:
    """Delete a group with its grants; its users stay.

    Without `cascade` a group with a user or a grant stays, as in IAM. Raises NotFound, Conflict.
    """
    with core.store.write() as tx:
        group = find.living(caller, tx, UserGroup, uuid)
        if not cascade:
            _check_unused(tx, group)
        for held_grant in tx.referring(Grant, [uuid]):
            grant.end(caller, tx, held_grant)
        tx.make_tombstone(tx.want_gone(group))
        tx.add_journal_line(caller, group, "usergroup.delete", outcome="done")
        return group


@requires("reader")
def listing(caller: Caller, core: Core) -> list[UserGroup]:
    """The groups of the caller's project, in the order of their making."""
    with core.store.read() as tx:
        return tx.list(UserGroup, project=caller.project)


@requires("reader")
def named(caller: Caller, core: Core, name: str) -> UserGroup:
    """The group of the caller's project with this name. Raises NotFound."""
    with core.store.read() as tx:
        group = tx.named(UserGroup, name, caller.project)
    if group is None:
        text = f"The group with name {name[:128]} cannot be found."
        raise NotFound(text, noun=UserGroup.KIND, ident=name[:128], reason="name")
    return group


@requires("reader")
def members(caller: Caller, core: Core, uuid: str) -> list[User]:
    """The users of a group, in the order in which they were put into it. Raises NotFound."""
    with core.store.read() as tx:
        group = find.living(caller, tx, UserGroup, uuid)
        users = tx.many(User, group.wanted.members)
    return [users[member] for member in group.wanted.members if member in users]


def _check_unused(tx: Writer, group: UserGroup) -> None:
    """Raise Conflict for a group with a user or a grant."""
    lacking = "detach all policies" if tx.referring(Grant, [group.uuid]) else ""
    if group.wanted.members:
        lacking = "remove users from group"
    if lacking:
        text = f"Cannot delete entity, must {lacking} first."
        raise Conflict(text, noun=UserGroup.KIND, ident=group.name, reason="in-use")
