"""Grants: roles in projects, given to users and to groups of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import InvalidValue, QuotaExceeded
from pileus.model.grant import Grant
from pileus.model.project import Project
from pileus.model.role import ROLES
from pileus.model.user import User
from pileus.model.usergroup import UserGroup
from pileus.rules import find, grant
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.role import Role
    from pileus.rules.core import Core
    from pileus.store.reader import Reader

COMPLETED = "grants"
"""The number in the store's `meta` that is 1 once users of before grants have some."""


@requires("admin")
def create(
    caller: Caller,
    core: Core,
    role: Role,
    *,
    user: str = "",
    usergroup: str = "",
    project: str = "",
    replaces: bool = True,
) -> Grant:
    """Give a user or a group of users a role in the caller's project, in the place of another role.

    For administrators, `project` is any other project. All are uuids. Unless it `replaces` another role, a grant of
    that role stays, and QuotaExceeded is raised. Raises Forbidden, NotFound, InvalidValue, QuotaExceeded.
    """
    if role not in ROLES:
        raise InvalidValue(f"'{role}' is no role: {', '.join(ROLES)}.", noun=Grant.KIND, reason="role")
    if bool(user) == bool(usergroup):
        text = "A role is granted either to a user or to a group of users."
        raise InvalidValue(text, noun=Grant.KIND, reason="combination")
    with core.store.write() as tx:
        place = find.living(caller, tx, Project, project or caller.project)
        if user:
            user = find.living(caller, tx, User, user).uuid
        else:
            usergroup = find.living(caller, tx, UserGroup, usergroup).uuid
        earlier = None if replaces else _held_by(tx, place.uuid, user or usergroup)
        if earlier is not None and earlier.wanted.role != role:
            text = f"The role '{earlier.wanted.role}' is granted already, and no other beside it: revoke it first."
            raise QuotaExceeded(text, noun=Grant.KIND, ident=earlier.uuid, reason="role")
        return grant.put(caller, tx, place.uuid, role, user=user, usergroup=usergroup)


@requires("administrator", "completes grants")
def complete(caller: Caller, core: Core) -> list[Grant]:
    """Give the users of a database that is older than grants the role `member` in their homes, once."""
    with core.store.write() as tx:
        if tx.meta(COMPLETED):
            return []
        tx.keep_meta(COMPLETED, 1)
        without = [user for user in tx.list(User) if user.wanted.home and not tx.referring(Grant, [user.uuid])]
        return [grant.put(caller, tx, user.wanted.home, "member", user=user.uuid) for user in without]


@requires("admin")
def delete(caller: Caller, core: Core, uuid: str) -> Grant:
    """Take a grant away: its users may do from now on only what other grants say. Raises NotFound."""
    with core.store.write() as tx:
        noun = find.living(caller, tx, Grant, uuid)
        grant.end(caller, tx, noun)
        return noun


@requires("reader")
def held_by(caller: Caller, core: Core, grantee: str) -> Grant | None:
    """The grant of a user or group of users (a uuid) in the caller's project, if there is one."""
    with core.store.read() as tx:
        return _held_by(tx, caller.project, grantee)


def _held_by(tx: Reader, project: str, grantee: str) -> Grant | None:
    claim = tx.claimed(Grant.POOL, Grant.place(project, grantee))
    return tx.get(Grant, claim[1]) if claim else None


@requires("reader")
def listing(caller: Caller, core: Core) -> list[Grant]:
    """The grants in the caller's project, in the order of their making."""
    with core.store.read() as tx:
        return tx.list(Grant, project=caller.project)
