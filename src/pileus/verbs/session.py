"""Sessions: temporary credentials of users, and of roles that somebody assumes. No row is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pileus.model.caller import Caller
from pileus.model.credential import Credential
from pileus.model.errors import Forbidden, InvalidValue, NotFound
from pileus.model.project import Project
from pileus.model.user import User, role_names
from pileus.rules import find, trust
from pileus.rules.rights import requires
from pileus.rules.session import Session, SessionCredentials, of_role, seal

if TYPE_CHECKING:
    from pileus.rules.core import Core
    from pileus.store.reader import Reader

SHORTEST = 900
"""Seconds of the shortest session."""

LONGEST = 36 * 3600
"""Seconds of the longest session of a user; a role has a limit of its own."""

CHAINED = 3600
"""Seconds of the longest session of a role that another role assumes."""

_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}", re.ASCII)


@requires("none")
def of_caller(caller: Caller, core: Core, seconds: int) -> SessionCredentials:
    """Temporary credentials of the caller itself. Raises Forbidden for a caller with such ones, InvalidValue."""
    if caller.temporary:
        raise Forbidden("Cannot call GetSessionToken with session credentials", noun=Credential.KIND)
    _check(seconds, LONGEST)
    until = core.store.now() + seconds
    return seal(core, Session(user=caller.user, project=caller.project, until=until, origin=caller.key))


@requires("none")
def assume(
    caller: Caller, core: Core, account: str, role_name: str, name: str, seconds: int
) -> tuple[User, SessionCredentials]:
    """Temporary credentials of a role of an account (12 digits), and the role; `name` is the session's.

    Raises InvalidValue, and Forbidden for a role that does not trust the caller, or that there is not.
    """
    if not _NAME.fullmatch(name):
        text = f"The session name '{name[:64]}' is invalid: 2 to 64 letters, digits and _+=,.@- only."
        raise InvalidValue(text, noun=User.KIND, reason="session")
    with core.store.read() as tx:
        role = _role(tx, account, role_name)
    if role is None or not trust.trusts(role.wanted.trust, account, caller):
        text = (
            f"{caller.user_name} is not authorized to assume the role {role_name[:64]} of the account {account[:12]}."
        )
        raise Forbidden(text, noun=User.KIND)
    _check(seconds, min(role.wanted.longest_session, CHAINED if caller.session else LONGEST))
    return role, of_role(core, role, name, seconds, caller.origin if caller.temporary else caller.key)


@requires("none")
def account_of(caller: Caller, core: Core, access_key: str) -> str:
    """The account of an access key: the caller's own, or any for an administrator. Raises NotFound."""
    with core.store.read() as tx:
        holder = tx.claimed("credential", access_key)
        credential = tx.get(Credential, holder[1]) if holder else None
        if credential is None or not find.visible(caller, credential):
            text = f"The access key {access_key[:32]} is none of this account's."
            raise NotFound(text, noun=Credential.KIND, ident=access_key[:32])
        return tx.need(Project, credential.project).wanted.account_id


def _role(tx: Reader, account: str, name: str) -> User | None:
    project = tx.claimed("account", account)
    role = tx.claimed(role_names(project[1]), name) if project else None
    return tx.get(User, role[1]) if role else None


def _check(seconds: int, most: int) -> None:
    if not SHORTEST <= seconds <= most:
        text = f"DurationSeconds is from {SHORTEST} to {most} here, not {seconds}."
        raise InvalidValue(text, noun=Credential.KIND, reason="duration")
