"""Service users, IAM's roles: nobody is such a user, and those act as it whom its trust policy names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from pileus.model import bounds, tag
from pileus.model.errors import Conflict, InvalidValue, NotFound
from pileus.model.grant import Grant
from pileus.model.instanceprofile import InstanceProfile
from pileus.model.project import Project
from pileus.model.sizes import Description
from pileus.model.user import User, Wanted, role_names
from pileus.rules import find, trust
from pileus.rules import user as user_rules
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

SESSIONS = (3600, 43200)
"""The least and the most seconds that a service user may allow its sessions."""


class ServiceUserChange(msgspec.Struct, frozen=True, kw_only=True):
    """The changes to a service user; None leaves a part as it is."""

    trust: Annotated[str, Meta(max_length=bounds.TRUST_POLICY.most)] | None = None
    description: Description | None = None
    longest_session: int | None = None


@requires("admin")
def create(
    caller: Caller, core: Core, name: str, trust_policy: str, description: str = "", longest_session: int = SESSIONS[0]
) -> User:
    """Make a service user of the caller's project, without any role in it.

    Raises Forbidden, InvalidValue, Duplicate, QuotaExceeded.
    """
    change = ServiceUserChange(trust=trust_policy, description=description, longest_session=longest_session)
    wanted = _changed(Wanted(home=caller.project, service=True), change)
    with core.store.write() as tx:
        return user_rules.add(caller, tx, tx.need(Project, caller.project), name, wanted)


@requires("admin")
def modify(caller: Caller, core: Core, uuid: str, change: ServiceUserChange) -> User:
    """Change a service user. Sessions that run already go on. Raises Forbidden, InvalidValue, NotFound."""
    with core.store.write() as tx:
        user = _one(caller, tx, uuid)
        user = tx.want(user, _changed(user.wanted, change))
        tx.add_journal_line(caller, user, "role.modify", goal=user.generation, outcome="done")
        return user


@requires("admin")
def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a service user that has no grant and is in no instance profile; its sessions end with it.

    Raises Forbidden, NotFound, Conflict.
    """
    with core.store.write() as tx:
        user = _one(caller, tx, uuid)
        tx.lock(user)
        _check_unused(tx, user)
        tx.make_tombstone(tx.want_gone(user))
        tx.add_journal_line(caller, user, "role.delete", outcome="done")


@requires("reader")
def listing(caller: Caller, core: Core) -> list[User]:
    """The service users of the caller's project, in the order of their making."""
    with core.store.read() as tx:
        return [user for user in tx.list(User, project=caller.project) if user.wanted.service]


@requires("reader")
def named(caller: Caller, core: Core, name: str) -> User:
    """The service user of the caller's project with this name. Raises NotFound."""
    with core.store.read() as tx:
        claim = tx.claimed(role_names(caller.project), name)
        user = tx.get(User, claim[1]) if claim else None
    if user is None:
        text = f"The role with name {name[:64]} cannot be found."
        raise NotFound(text, noun=User.KIND, ident=name[:64], reason="name")
    return user


def _one(caller: Caller, tx: Reader, uuid: str) -> User:
    user = find.living(caller, tx, User, uuid)
    if not user.wanted.service:
        raise find.absent(User, [uuid])
    return user


def _changed(wanted: Wanted, change: ServiceUserChange) -> Wanted:
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
    """Raise Conflict for a service user that has a grant, or is in an instance profile."""
    lacking = "detach all policies" if tx.referring(Grant, [user.uuid]) else ""
    if tx.referring(InstanceProfile, [user.uuid]):
        lacking = "remove roles from instance profile"
    if lacking:
        text = f"Cannot delete entity, must {lacking} first."
        raise Conflict(text, noun=User.KIND, ident=user.name, reason="in-use")
