"""Users: made with what they need to begin, a project and credentials; changed, disabled and deleted."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from pileus.model import quota
from pileus.model.certificate import Certificate
from pileus.model.credential import Credential
from pileus.model.errors import Conflict, Forbidden, NotFound
from pileus.model.grant import Grant
from pileus.model.project import Project
from pileus.model.user import User, Wanted
from pileus.model.usergroup import UserGroup
from pileus.rules import certificate, grant, usergroup
from pileus.rules import credential as credential_rules
from pileus.rules import password as password_rules
from pileus.rules import project as project_rules
from pileus.rules import user as user_rules
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.model.role import Role
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


def _random_password() -> tuple[str, str]:
    """A password of our making, and its hash."""
    text = secrets.token_urlsafe(18)
    return text, password_rules.hash_random(text)


@requires("admin")
def create(
    caller: Caller,
    core: Core,
    name: str,
    project_name: str = "",
    *,
    admin: bool = False,
    role: Role | None = None,
    password: str = "",
    limits: Mapping[str, int] | None = None,
) -> Account:
    """Make a user with an access key, a token that does not expire, and a role in its project.

    A project's admin makes users of that project; administrators those of any, which is made when it is missing. The
    role is by default `admin` in a project that is made, else `member`. An empty password is drawn at random. Raises
    Forbidden, InvalidValue, Duplicate, QuotaExceeded.
    """
    user_rules.check_name(name)
    if admin or project_name not in ("", caller.project_name):
        caller.require("administrator", "makes administrators, and users of other projects")
    if password:
        hashed = core.passwords.hash_chosen(password)
    else:
        password, hashed = _random_password()
    with core.store.write() as tx:
        home, is_new = _home(caller, core, tx, project_name or (name if caller.admin else caller.project_name), limits)
        user = user_rules.add(caller, tx, home, name, Wanted(password=hashed, admin=admin, home=home.uuid))
        grant.put(caller, tx, home.uuid, role or ("admin" if is_new else "member"), user=user.uuid)
        return _account(caller, core, tx, user, home, password)


@requires("admin")
def create_without_role(caller: Caller, core: Core, name: str) -> User:
    """Make a user of the caller's project without any credential and without any role: IAM's users begin so.

    Raises Forbidden, InvalidValue, Duplicate, QuotaExceeded.
    """
    with core.store.write() as tx:
        return user_rules.add(caller, tx, tx.need(Project, caller.project), name, Wanted(home=caller.project))


def _home(caller: Caller, core: Core, tx: Writer, name: str, limits: Mapping[str, int] | None) -> tuple[Project, bool]:
    """The project of this name, which is made when it is missing, and whether it was. Raises Forbidden, Conflict."""
    home = tx.named(Project, name)
    if home is None:
        caller.require("administrator", "makes projects")
        return project_rules.add(caller, core, tx, name, quota.DEFAULTS if limits is None else limits), True
    if home.wanted.gone:
        raise Conflict(f"The {home.label} is being deleted.", noun=Project.KIND, ident=home.uuid)
    return home, False


def _account(caller: Caller, core: Core, tx: Writer, user: User, home: Project, password: str) -> Account:
    """The account of `user`, with an access key and a token made now."""
    access_key, secret_key = credential_rules.add_aws(caller, core, tx, user, home)
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


@requires("administrator", "renews a user's secrets")
def renew(caller: Caller, core: Core, name: str) -> Account:
    """New secrets for a user that has lost its own: another password, access key and token; the old keys stay good.

    The user is enabled by that, and its signed tokens end. Raises NotFound.
    """
    password, hashed = _random_password()
    with core.store.write() as tx:
        user = tx.need(User, _named(tx, name))
        home = tx.need(Project, user.wanted.home)
        user = tx.want(user, _ended(user.wanted, password=hashed, enabled=True))
        tx.add_journal_line(caller, user, "user.renew", outcome="done")
        return _account(caller, core, tx, user, home, password)


@requires("administrator", "makes users anew")
def remake(caller: Caller, core: Core, name: str) -> Account:
    """New secrets for an administrator with a damaged row: its row and its project's are made anew, where damaged.

    Both keep their ids, and all signed tokens of the user end. A project made anew has no limits. Raises NotFound.
    """
    password, hashed = _random_password()
    with core.store.write(recovering=True) as tx:
        uuid, home = _named(tx, name), project_rules.remake(caller, tx, name)
        user = tx.get(User, uuid)
        # Above each count of the row that cannot be read: tokens that it had ended stay so.
        epoch = int(tx.now) if user is None else user.wanted.epoch + 1
        wanted = Wanted(password=hashed, admin=True, home=home.uuid, epoch=epoch)
        if user is None:
            user = tx.add(User(uuid=uuid, project=home.uuid, name=name, wanted=wanted))
        else:
            user = tx.want(user, wanted)
        tx.add_journal_line(caller, user, "user.remake", outcome="done")
        return _account(caller, core, tx, user, home, password)


@requires("reader")
def set_password(caller: Caller, core: Core, password: str, uuid: str = "", old: str = "") -> User:
    """Give the caller, who says its `old` password, or a user whom it looks after, another password.

    All signed tokens of that user end. Raises Forbidden, NotFound, InvalidValue, Throttled, Conflict for a user of the
    directory.
    """
    password_rules.check_chosen(password)
    with core.store.read() as tx:
        user = user_rules.self_or_managed(caller, tx, uuid)
    if user.wanted.directory:
        text = f"The {user.label} is of the directory, which has its password."
        raise Conflict(text, noun=User.KIND, ident=user.uuid, reason="directory")
    hashed_old = user.wanted.password if user.uuid == caller.user else ""
    if hashed_old and not core.passwords.right(user.name, hashed_old, old):
        raise _wrong_old()
    hashed = core.passwords.hash_chosen(password)
    with core.store.write() as tx:
        user = user_rules.self_or_managed(caller, tx, uuid)
        if hashed_old not in ("", user.wanted.password):
            raise _wrong_old()
        user = tx.want(user, _ended(user.wanted, password=hashed))
        tx.add_journal_line(caller, user, "user.password", goal=user.generation, outcome="done")
        return user


def _wrong_old() -> Forbidden:
    return Forbidden("The old password is wrong.", noun=User.KIND, reason="password")


@requires("admin")
def modify(caller: Caller, core: Core, uuid: str, *, enabled: bool | None = None, admin: bool | None = None) -> User:
    """Enable a user, or disable it: its keys and tokens are refused then, and its signed tokens end for good.

    Administrators make a user an administrator too, or take that away. None leaves a part as it is. Raises NotFound,
    Forbidden, Conflict for the caller itself.
    """
    if admin is not None:
        caller.require("administrator", "makes administrators")
    with core.store.write() as tx:
        user = user_rules.managed(caller, tx, uuid)
        if user.uuid == caller.user and (enabled is False or admin is False):
            text = "You cannot disable yourself, nor give up to be an administrator: another administrator can."
            raise Conflict(text, noun=User.KIND, ident=uuid, reason="self")
        chosen = {"enabled": enabled, "admin": admin}
        changes = {name: value for name, value in chosen.items() if value not in (None, getattr(user.wanted, name))}
        if not changes:
            return user
        user = tx.want(user, _ended(user.wanted, **changes))
        detail = " ".join(f"{name}={str(value).lower()}" for name, value in changes.items())
        tx.add_journal_line(caller, user, "user.modify", goal=user.generation, outcome="done", detail=detail)
        return user


@requires("admin")
def delete(caller: Caller, core: Core, uuid: str, *, cascade: bool = True) -> User:
    """Delete a user with its access keys, tokens, certificates, grants and places in groups; what it made stays.

    Without `cascade` a user with an access key, a grant or a place in a group stays, as in IAM. Raises NotFound,
    Forbidden, and Conflict, also for the caller itself.
    """
    with core.store.write() as tx:
        user = user_rules.managed(caller, tx, uuid)
        if user.uuid == caller.user:
            raise Conflict("You cannot delete yourself.", noun=User.KIND, ident=uuid, reason="self")
        if not cascade:
            _check_unused(tx, user)
        for credential in tx.referring(Credential, [uuid]):
            credential_rules.end(caller, tx, credential)
        certificate.revoke(caller, tx, *tx.referring(Certificate, [uuid]))
        for held_grant in tx.referring(Grant, [uuid]):
            grant.end(caller, tx, held_grant)
        for group in tx.referring(UserGroup, [uuid]):
            usergroup.without(caller, tx, group, uuid)
        tx.make_tombstone(tx.want_gone(user))
        tx.add_journal_line(caller, user, "user.delete", outcome="done")
        return user


@requires("reader")
def listing(caller: Caller, core: Core) -> list[User]:
    """The users whose home is the caller's project, without service users, in the order of their making."""
    with core.store.read() as tx:
        return [user for user in tx.list(User, project=caller.project) if not user.wanted.service]


@requires("reader")
def named(caller: Caller, core: Core, name: str = "") -> User:
    """The user of the caller's project with this name; the caller itself without a name. Raises NotFound."""
    with core.store.read() as tx:
        user = tx.named(User, name) if name else tx.need(User, caller.user)
    if user is None or (name and user.project != caller.project):
        text = f"The user with name {name[:64]} cannot be found."
        raise NotFound(text, noun=User.KIND, ident=name[:64], reason="name")
    return user


def _check_unused(tx: Writer, user: User) -> None:
    """Raise Conflict for a user with an access key, a grant or a place in a group."""
    lacking = ""
    if any(each.wanted.type == "aws" for each in tx.referring(Credential, [user.uuid])):
        lacking = "delete access keys"
    elif tx.referring(Grant, [user.uuid]):
        lacking = "detach all policies"
    elif tx.referring(UserGroup, [user.uuid]):
        lacking = "remove users from group"
    if lacking:
        text = f"Cannot delete entity, must {lacking} first."
        raise Conflict(text, noun=User.KIND, ident=user.name, reason="in-use")


def _ended(wanted: Wanted, **changes: object) -> Wanted:
    """A user's wanted part with changes that end its signed tokens."""
    return msgspec.structs.replace(wanted, epoch=wanted.epoch + 1, revoked=(), **changes)


def _named(tx: Writer, name: str) -> str:
    """The uuid of the user with this name. Raises NotFound."""
    holder = tx.claimed("user", name)
    if holder is None:
        raise NotFound(f"The user '{name}' does not exist.", noun="user", ident=name)
    return holder[1]
