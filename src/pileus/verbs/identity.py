"""The identities of an account: its users, and its roles, which are service users. Groups of users will join them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from pileus.model import bounds, tag
from pileus.model.credential import Credential
from pileus.model.errors import Conflict, Duplicate, InvalidValue, NotFound, QuotaExceeded
from pileus.model.ids import new_uuid
from pileus.model.project import Project
from pileus.model.sizes import Description
from pileus.model.user import User, Wanted
from pileus.rules import account, find, policy, trust

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer

_ALIAS = re.compile(r"[a-z0-9](-?[a-z0-9])*", re.ASCII)

LONGEST_NAME = 64
"""Characters of the name of a user or role."""

SESSIONS = (3600, 43200)
"""The least and the most seconds that a role may allow its sessions."""


class RoleChange(msgspec.Struct, frozen=True, kw_only=True):
    """The changes to a role; None leaves a part as it is."""

    trust: Annotated[str, Meta(max_length=bounds.TRUST_POLICY.most)] | None = None
    description: Description | None = None
    longest_session: int | None = None


def create_user(caller: Caller, core: Core, name: str) -> User:
    """Make a user of the caller's project, without any credential.

    Raises Forbidden, InvalidValue, Duplicate, QuotaExceeded.
    """
    account.require_administrator(caller, "makes users")
    return _create(caller, core, name, Wanted(home=caller.project), "user.create")


def create_role(
    caller: Caller, core: Core, name: str, trust_policy: str, description: str = "", longest_session: int = SESSIONS[0]
) -> User:
    """Make a role of the caller's project, which those assume whom the trust policy names.

    Raises Forbidden, InvalidValue, Duplicate, QuotaExceeded.
    """
    account.require_administrator(caller, "makes roles")
    wanted = Wanted(home=caller.project, service=True)
    change = RoleChange(trust=trust_policy, description=description, longest_session=longest_session)
    return _create(caller, core, name, _changed(wanted, change), "role.create")


def _create(caller: Caller, core: Core, name: str, wanted: Wanted, verb: str) -> User:
    account.check_name(name, User.KIND, LONGEST_NAME)
    with core.store.write() as tx:
        # One after another: the count of them is a limit.
        tx.lock(tx.need(Project, caller.project))
        if len(tx.list(User, project=caller.project)) >= bounds.IDENTITIES.most:
            text = f"Cannot exceed quota for users and roles of an account: {bounds.IDENTITIES.most}"
            raise QuotaExceeded(text, noun=User.KIND, reason="users")
        try:
            user = tx.add(User(uuid=new_uuid(), project=caller.project, name=name, wanted=wanted))
        except Duplicate as error:
            raise _taken(name, wanted) from error
        tx.add_journal_line(caller, user, verb, outcome="done")
        return user


def rename_user(caller: Caller, core: Core, uuid: str, name: str) -> User:
    """Give a user another name. Raises Forbidden, InvalidValue, NotFound, Duplicate."""
    account.require_administrator(caller, "renames users")
    account.check_name(name, User.KIND, LONGEST_NAME)
    with core.store.write() as tx:
        user = _own(caller, tx, uuid)
        try:
            user = tx.want(user, name=name)
        except Duplicate as error:
            raise _taken(name, user.wanted) from error
        tx.add_journal_line(caller, user, "user.rename", outcome="done")
        return user


def change_role(caller: Caller, core: Core, uuid: str, change: RoleChange) -> User:
    """Change a role. Sessions that run already go on. Raises Forbidden, InvalidValue, NotFound."""
    account.require_administrator(caller, "changes roles")
    with core.store.write() as tx:
        role = _own(caller, tx, uuid)
        role = tx.want(role, _changed(role.wanted, change))
        tx.add_journal_line(caller, role, "role.change", outcome="done")
        return role


def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a user or role without access keys and policies; its sessions end with it.

    Raises Forbidden, NotFound, and Conflict where something is left, or where the user administers the cloud.
    """
    account.require_administrator(caller, "deletes users and roles")
    with core.store.write() as tx:
        user = _own(caller, tx, uuid)
        tx.lock(user)
        _check_unused(tx, user)
        for credential in tx.referring(Credential, [user.uuid]):
            tx.make_tombstone(tx.want_gone(credential))
        tx.make_tombstone(tx.want_gone(user))
        tx.add_journal_line(caller, user, "role.delete" if user.wanted.service else "user.delete", outcome="done")


def attach_policy(caller: Caller, core: Core, uuid: str, name: str, *, attached: bool = True) -> User:
    """Attach a managed policy to a user or role, or detach it: its role in the project, by a grant of that role.

    Raises Forbidden, NotFound, and NotFound for a policy to detach that is not attached.
    """
    account.require_administrator(caller, "attaches policies")
    if name not in policy.MANAGED:
        raise policy.unknown(name)
    with core.store.write() as tx:
        user = _own(caller, tx, uuid)
        if not attached and name not in user.wanted.policies:
            text = f"Policy {name} is not attached."
            raise NotFound(text, noun="policy", ident=name, reason="detached")
        left = tuple(each for each in user.wanted.policies if each != name)
        wanted = msgspec.structs.replace(user.wanted, policies=(*left, name) if attached else left)
        user = tx.want(user, wanted)
        tx.add_journal_line(caller, user, "user.attach" if attached else "user.detach", outcome="done", detail=name)
        return user


def set_alias(caller: Caller, core: Core, alias: str) -> None:
    """Give the caller's account an alias in place of its earlier one. Raises Forbidden, InvalidValue, Duplicate."""
    account.require_administrator(caller, "names the account")
    if alias and not (3 <= len(alias) <= 63 and _ALIAS.fullmatch(alias)):
        text = f"The account alias '{alias[:63]}' is invalid: 3 to 63 small letters, digits and single hyphens within."
        raise InvalidValue(text, noun=Project.KIND, ident=alias[:63], reason="alias")
    with core.store.write() as tx:
        project = tx.need(Project, caller.project)
        try:
            project = tx.want(project, msgspec.structs.replace(project.wanted, alias=alias))
        except Duplicate as error:
            text = f"The account alias {alias} already exists."
            raise Duplicate(text, noun=Project.KIND, ident=alias, reason="alias") from error
        tx.add_journal_line(caller, project, "project.alias", outcome="done", detail=alias)


def alias_of(caller: Caller, core: Core) -> str:
    """The alias of the caller's account; empty for none."""
    with core.store.read() as tx:
        return tx.need(Project, caller.project).wanted.alias


def listing(caller: Caller, core: Core, *, roles: bool = False) -> list[User]:
    """The users of the caller's project, or its roles, by name."""
    with core.store.read() as tx:
        users = tx.list(User, project=caller.project)
    return sorted((user for user in users if user.wanted.service == roles), key=lambda user: user.name)


def named(caller: Caller, core: Core, name: str, *, role: bool = False) -> User:
    """The user, or role, of the caller's project with this name. Raises NotFound."""
    with core.store.read() as tx:
        users = [user for user in tx.list(User, project=caller.project, name=name) if user.wanted.service == role]
    if not users:
        kind = "role" if role else "user"
        text = f"The {kind} with name {name[:LONGEST_NAME]} cannot be found."
        raise NotFound(text, noun=User.KIND, ident=name[:LONGEST_NAME], reason="name")
    return users[0]


def own(caller: Caller, core: Core) -> User:
    """The user that the caller is."""
    with core.store.read() as tx:
        return tx.need(User, caller.user)


def access_keys(caller: Caller, core: Core, uuid: str) -> list[Credential]:
    """The access keys of a user, oldest first; an administrator sees those of others. Raises Forbidden, NotFound."""
    with core.store.read() as tx:
        if uuid != caller.user:
            account.require_administrator(caller, "sees the access keys of other users")
        user = find.living(caller, tx, User, uuid)
        return [each for each in tx.referring(Credential, [user.uuid]) if each.wanted.type == "aws"]


def _own(caller: Caller, tx: Writer, uuid: str) -> User:
    user = find.living(caller, tx, User, uuid)
    if user.project != caller.project:
        raise find.absent(User, [uuid])
    return user


def _changed(wanted: Wanted, change: RoleChange) -> Wanted:
    if change.trust is not None:
        trust.principals(change.trust)
        wanted = msgspec.structs.replace(wanted, trust=change.trust)
    if change.description is not None:
        tag.check_text(change.description, bounds.DESCRIPTION.most, "A description")
        wanted = msgspec.structs.replace(wanted, description=change.description)
    if change.longest_session is not None:
        least, most = SESSIONS
        if not least <= change.longest_session <= most:
            text = f"MaxSessionDuration is from {least} to {most} seconds, not {change.longest_session}."
            raise InvalidValue(text, noun=User.KIND, reason="session")
        wanted = msgspec.structs.replace(wanted, longest_session=change.longest_session)
    return wanted


def _check_unused(tx: Writer, user: User) -> None:
    if user.wanted.admin:
        text = f"The user {user.name} administers the cloud, and cannot be deleted."
        raise Conflict(text, noun=User.KIND, ident=user.name, reason="administrator")
    if user.wanted.policies:
        text = "Cannot delete entity, must detach all policies first."
        raise Conflict(text, noun=User.KIND, ident=user.name, reason="in-use")
    if any(use == "uses" for _, _, use in tx.referrers(user.uuid)):
        text = "Cannot delete entity, must remove roles from instance profile first."
        raise Conflict(text, noun=User.KIND, ident=user.name, reason="in-use")
    if any(each.wanted.type == "aws" for each in tx.referring(Credential, [user.uuid])):
        text = "Cannot delete entity, must delete access keys first."
        raise Conflict(text, noun=User.KIND, ident=user.name, reason="in-use")


def _taken(name: str, wanted: Wanted) -> Duplicate:
    kind = "Role" if wanted.service else "User"
    return Duplicate(f"{kind} with name {name} already exists.", noun=User.KIND, ident=name)
