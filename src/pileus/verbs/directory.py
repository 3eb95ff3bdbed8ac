"""Users of an LDAP directory: made at first login, changed as the directory has them, disabled when they are gone.

The directory decides over its users' roles in the projects that its mappings name, and over nobody else's.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

from pileus.model import bounds, quota
from pileus.model.caller import SYSTEM
from pileus.model.errors import Conflict, Forbidden, InvalidValue, Throttled, Unsupported
from pileus.model.grant import Grant
from pileus.model.ids import new_uuid
from pileus.model.project import Project
from pileus.model.role import RIGHTS
from pileus.model.user import User, Wanted
from pileus.rules import grant
from pileus.rules import project as project_rules
from pileus.rules.password import PATIENCE, PasswordChecks
from pileus.rules.rights import requires
from pileus.rules.user import check_name

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.directory import DirectoryRole, DirectoryUser, UserDirectory
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


class SkippedUser(msgspec.Struct, frozen=True):
    """A user of the directory that is not let in, and why."""

    name: str
    reason: str


class DirectorySync(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a synchronisation: names of users by what became of them. `current` counts the others."""

    created: tuple[str, ...]
    changed: tuple[str, ...]
    disabled: tuple[str, ...]
    skipped: tuple[SkippedUser, ...]
    current: int


class DirectoryPasswords(PasswordChecks):
    """Proves the directory's users by the directory, and the cloud's own by their hashes."""

    def __init__(self, directory: UserDirectory) -> None:
        super().__init__()
        self.directory: UserDirectory = directory
        self._turns = threading.BoundedSemaphore(bounds.DIRECTORY_QUERIES.most)

    def user(self, core: Core, name: str, password: str) -> User | None:
        """The user with this name and password. Raises Throttled, Unavailable, Forbidden for one without a role."""
        with core.store.read() as tx:
            row = tx.named(User, name) if name else None
        if not name or (row is not None and not row.wanted.directory):
            return super().user(core, name, password)
        self.refuse_guesses(name.casefold())
        if not self._turns.acquire(timeout=PATIENCE):
            raise Throttled("Too many users log in by the directory: try again.", noun=User.KIND, reason="passwords")
        try:
            entry = self.directory.entry(name)
            is_right = entry is not None and self.directory.proves(entry, password)
        finally:
            self._turns.release()
        if entry is not None and is_right:
            with core.store.write() as tx:
                user = _put(SYSTEM, core, tx, self.directory, entry)
            if user is None:
                raise _without_role(entry)
            return user
        self.note_wrong(name.casefold())
        if entry is None and row is not None:
            with core.store.write() as tx:
                _disable(SYSTEM, tx, tx.need(User, row.uuid))
        return None


@requires("administrator", "synchronises the directory's users")
def sync(caller: Caller, core: Core) -> DirectorySync:
    """Make and change the directory's users as it has them now, and disable those that are gone from it.

    Each user is a transaction of its own: a synchronisation that is interrupted is repeated. Raises Unsupported without
    a directory, Unavailable, Conflict for a directory without users.
    """
    directory = core.passwords.directory
    if directory is None:
        raise Unsupported("This cloud has no directory: PILEUS_LDAP_URL names one.", noun=User.KIND)
    entries = {entry.name: entry for entry in directory.users()}
    if not entries:
        text = "The directory has no users where PILEUS_LDAP_BASE and PILEUS_LDAP_FILTER look: nobody is disabled."
        raise Conflict(text, noun=User.KIND, reason="directory-users")
    names: dict[str, list[str]] = {"created": [], "changed": [], "disabled": []}
    skipped = []
    with core.store.read() as tx:
        before = {user.name: user for user in tx.list(User) if user.wanted.directory}
    for entry in entries.values():
        try:
            with core.store.write() as tx:
                user = _put(caller, core, tx, directory, entry)
            if user is None:
                raise _without_role(entry)
        except (Forbidden, InvalidValue, Conflict) as error:
            skipped.append(SkippedUser(entry.name, error.message))
            continue
        previous = before.get(entry.name)
        if previous is None:
            names["created"].append(entry.name)
        elif previous.generation != user.generation:
            names["changed"].append(entry.name)
    for user in before.values():
        if user.name not in entries and user.wanted.enabled:
            with core.store.write() as tx:
                _disable(caller, tx, tx.need(User, user.uuid))
            names["disabled"].append(user.name)
    current = len(entries) - len(skipped) - len(names["created"]) - len(names["changed"])
    lists = {outcome: tuple(sorted(listed)) for outcome, listed in names.items()}
    return DirectorySync(**lists, skipped=tuple(sorted(skipped, key=lambda each: each.name)), current=current)


def _put(caller: Caller, core: Core, tx: Writer, directory: UserDirectory, entry: DirectoryUser) -> User | None:
    """The row of an entry, made when there is none, with the roles that its groups give; None for an entry without any.

    Raises Forbidden for the name of a user of the cloud's own, InvalidValue for names of no use.
    """
    user = tx.named(User, entry.name)
    if user is not None and not user.wanted.directory:
        text = f"'{entry.name}' is a user of this cloud's own, and the directory has one of this name, too."
        raise Forbidden(text, noun=User.KIND, ident=entry.name, reason="name")
    rights = _rights(directory, entry)
    projects = {name: _project(caller, core, tx, name) for name in rights}
    if rights:
        user = _put_user(
            caller, tx, user, entry, next(iter(projects.values())).uuid, admin="administrator" in rights.values()
        )
    if user is None:
        return None
    roles = {projects[name].uuid: right for name, right in rights.items()}
    if not rights and user.wanted.admin:
        user = tx.want(user, _ended(user, admin=False))
        tx.add_journal_line(caller, user, "user.modify", goal=user.generation, outcome="done", detail="directory")
    for mapping in directory.mappings:
        project = tx.named(Project, mapping.project)
        holder = tx.claimed(Grant.POOL, Grant.place(project.uuid, user.uuid)) if project is not None else None
        if project is not None and project.uuid not in roles and holder is not None:
            grant.end(caller, tx, tx.need(Grant, holder[1]))
    for uuid, right in roles.items():
        grant.put(caller, tx, uuid, "admin" if right == "administrator" else right, user=user.uuid)
    return user if rights else None


def _put_user(caller: Caller, tx: Writer, user: User | None, entry: DirectoryUser, home: str, *, admin: bool) -> User:
    """The row of a user of the directory, made or changed. Raises InvalidValue."""
    if user is None:
        check_name(entry.name)
        wanted = Wanted(directory=entry.dn, admin=admin, home=home)
        user = tx.add(User(uuid=new_uuid(), project=home, name=entry.name, wanted=wanted))
        tx.add_journal_line(caller, user, "user.create", outcome="done", detail="directory")
        return user
    if (user.wanted.directory, user.wanted.admin) == (entry.dn, admin):
        return user
    changes = {"directory": entry.dn, "admin": admin}
    loses = user.wanted.admin and not admin
    user = tx.want(user, _ended(user, **changes) if loses else msgspec.structs.replace(user.wanted, **changes))
    tx.add_journal_line(caller, user, "user.modify", goal=user.generation, outcome="done", detail="directory")
    return user


def _rights(directory: UserDirectory, entry: DirectoryUser) -> dict[str, DirectoryRole]:
    """The rights of an entry by the names of projects, in the order of the mappings; the greatest in each."""
    rights: dict[str, DirectoryRole] = {}
    for mapping in directory.mappings:
        if mapping.group in entry.groups:
            before = rights.get(mapping.project, mapping.right)
            rights[mapping.project] = max(before, mapping.right, key=RIGHTS.index)
    return rights


def _project(caller: Caller, core: Core, tx: Writer, name: str) -> Project:
    """The project of this name, made when there is none. Raises InvalidValue, Conflict."""
    project = tx.named(Project, name)
    if project is None:
        return project_rules.add(caller, core, tx, name, quota.DEFAULTS)
    if project.wanted.gone:
        raise Conflict(f"The {project.label} is being deleted.", noun=Project.KIND, ident=project.uuid)
    return project


def _disable(caller: Caller, tx: Writer, user: User) -> None:
    """Refuse a user that is gone from the directory, with its keys and tokens, until an administrator enables it."""
    if user.gone is None and user.wanted.enabled:
        user = tx.want(user, _ended(user, enabled=False))
        detail = "gone from the directory"
        tx.add_journal_line(caller, user, "user.modify", goal=user.generation, outcome="done", detail=detail)


def _ended(user: User, **changes: object) -> Wanted:
    """The user's wanted part with changes that end its signed tokens."""
    return msgspec.structs.replace(user.wanted, epoch=user.wanted.epoch + 1, revoked=(), **changes)


def _without_role(entry: DirectoryUser) -> Forbidden:
    text = f"The directory has '{entry.name}' in no group that has a role in this cloud: see PILEUS_LDAP_ROLES."
    return Forbidden(text, noun=User.KIND, ident=entry.name, reason="directory-groups")
