"""Users: made with what they need to begin, a project and credentials."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec
from argon2 import PasswordHasher

from pileus.model import quota
from pileus.model.errors import Duplicate, InvalidValue, NotFound
from pileus.model.ids import new_uuid
from pileus.model.project import Project
from pileus.model.user import User, Wanted
from pileus.rules import credential as credential_rules
from pileus.rules import project as project_rules
from pileus.verbs import credential, project

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A new user and its secrets, which are readable here and nowhere later. Keys as `admin.json` has them."""

    user: str
    user_id: str
    password: str
    project: str
    account_id: str
    canonical_id: str
    access_key: str
    secret_key: str
    token: str


_MADE_HERE = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
"""For passwords of 144 random bits, at which nobody guesses: what makes guessing slow would slow us alone, by 0.25 s
and 64 MiB for each user and each login. A hash says what it was made with, so older ones, and dearer ones, are good."""


def _password() -> tuple[str, str]:
    """A password of our making, and its hash."""
    password = secrets.token_urlsafe(18)
    return password, _MADE_HERE.hash(password)


def create(
    caller: Caller,
    core: Core,
    name: str,
    project_name: str = "",
    *,
    admin: bool = False,
    limits: Mapping[str, int] | None = None,
) -> Account:
    """Make a user, its project if that is missing, an access key and a token that does not expire."""
    caller.require_admin("makes users", "user")
    if not name or len(name) > 64 or not all(c.isalnum() or c in "-_.@" for c in name):
        raise InvalidValue(f"'{name}' is no user name: letters, digits, - _ . @ only, at most 64.", ident=name)
    password, hashed = _password()
    with core.store.write() as tx:
        limits = quota.DEFAULTS if limits is None else limits
        home = project.ensure_in(caller, core, tx, project_name or name, limits)
        wanted = Wanted(password=hashed, admin=admin, home=home.uuid)
        user = User(uuid=new_uuid(), project=home.uuid, name=name, wanted=wanted)
        try:
            user = tx.add(user)
        except Duplicate as error:
            raise Duplicate(f"The user '{name}' exists already.", noun="user", ident=name) from error
        tx.add_journal_line(caller, user, "user.create", outcome="done")
        return _account(caller, core, tx, user, home, password)


def _account(caller: Caller, core: Core, tx: Writer, user: User, home: Project, password: str) -> Account:
    """The account of `user`, with an access key and a token made now."""
    access_key, secret_key = credential.add_aws(caller, core, tx, user, home)
    return Account(
        user=user.name,
        user_id=user.uuid,
        password=password,
        project=home.name,
        account_id=home.wanted.account_id,
        canonical_id=home.wanted.canonical_id,
        access_key=access_key,
        secret_key=secret_key,
        token=credential_rules.add_token(caller, tx, user, home),
    )


def renew(caller: Caller, core: Core, name: str) -> Account:
    """New secrets for a user that has lost its own: another password, access key and token; the old keys stay good."""
    caller.require_admin("renews a user's secrets", "user")
    password, hashed = _password()
    with core.store.write() as tx:
        user = tx.need(User, _named(tx, name))
        home = tx.need(Project, user.wanted.home)
        user = tx.want(user, msgspec.structs.replace(user.wanted, password=hashed))
        tx.add_journal_line(caller, user, "user.renew", outcome="done")
        return _account(caller, core, tx, user, home, password)


def remake(caller: Caller, core: Core, name: str) -> Account:
    """New secrets for an administrator with a damaged row: its row and its project's are made anew, where damaged.

    Both keep their ids. A project made anew has no limits. Raises NotFound.
    """
    caller.require_admin("makes users anew", "user")
    password, hashed = _password()
    with core.store.write(recovering=True) as tx:
        uuid, home = _named(tx, name), project_rules.remake(caller, tx, name)
        user = tx.get(User, uuid)
        wanted = Wanted(password=hashed, admin=True, home=home.uuid)
        if user is None:
            user = tx.add(User(uuid=uuid, project=home.uuid, name=name, wanted=wanted))
        else:
            user = tx.want(user, wanted)
        tx.add_journal_line(caller, user, "user.remake", outcome="done")
        return _account(caller, core, tx, user, home, password)


def _named(tx: Writer, name: str) -> str:
    """The uuid of the user with this name. Raises NotFound."""
    holder = tx.claimed("user", name)
    if holder is None:
        raise NotFound(f"The user '{name}' does not exist.", noun="user", ident=name)
    return holder[1]
