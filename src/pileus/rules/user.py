"""Users as parts of other verbs' transactions, and as their projects' admins see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model import bounds
from pileus.model.errors import Duplicate, Forbidden, QuotaExceeded
from pileus.model.ids import new_uuid
from pileus.model.project import Project
from pileus.model.user import User, Wanted
from pileus.rules import find, identityname

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer

LONGEST_NAME = 64
"""Characters of the name of a user or service user."""


def add(caller: Caller, tx: Writer, project: Project, name: str, wanted: Wanted) -> User:
    """Make a user, or a service user, whose home is the project. Raises InvalidValue, Duplicate, QuotaExceeded."""
    check_name(name)
    # One after another: the count of them is a limit.
    tx.lock(project)
    if len(tx.list(User, project=project.uuid)) >= bounds.IDENTITIES.most:
        text = f"Cannot exceed quota for users and roles of an account: {bounds.IDENTITIES.most}"
        raise QuotaExceeded(text, noun=User.KIND, reason="users")
    try:
        user = tx.add(User(uuid=new_uuid(), project=project.uuid, name=name, wanted=wanted))
    except Duplicate as error:
        kind = "role" if wanted.service else "user"
        raise Duplicate(f"The {kind} '{name}' exists already.", noun=User.KIND, ident=name) from error
    tx.add_journal_line(caller, user, "role.create" if wanted.service else "user.create", outcome="done")
    return user


def check_name(name: str) -> None:
    """Raise InvalidValue for a name that no user may have."""
    identityname.check(name, User.KIND, LONGEST_NAME)


def managed(caller: Caller, tx: Reader, uuid: str) -> User:
    """The user whom the caller looks after: of its project, for that project's admins; any, for administrators.

    Raises NotFound, also for a service user; Forbidden for other callers, and for an administrator of the cloud.
    """
    user = find.living(caller, tx, User, uuid)
    caller.require("admin")
    if user.wanted.service:
        raise find.absent(User, [uuid])
    if user.wanted.admin:
        caller.require("administrator", "looks after administrators")
    if user.wanted.home != caller.project and not caller.admin:
        raise Forbidden(f"The {user.label} belongs to another project.", noun=User.KIND, ident=uuid, reason="owner")
    return user


def self_or_managed(caller: Caller, tx: Reader, uuid: str) -> User:
    """The caller itself (for its own uuid or none), or a user whom it looks after. Raises NotFound, Forbidden."""
    if uuid not in ("", caller.user):
        return managed(caller, tx, uuid)
    # Its home may be another project than the one that it acts in.
    user = tx.need(User, caller.user)
    if user.wanted.service:
        text = f"{user.name} is a role, which has temporary credentials alone."
        raise Forbidden(text, noun=User.KIND, ident=user.uuid, reason="service")
    return user
