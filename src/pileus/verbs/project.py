"""Projects: made with the network that their first instance lands on, disabled, and deleted when they hold no more."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from pileus.model import quota
from pileus.model.credential import Credential
from pileus.model.errors import Conflict, Duplicate, InvalidValue
from pileus.model.grant import Grant
from pileus.model.project import Project
from pileus.model.user import User
from pileus.rules import credential, find, grant
from pileus.rules.defaultnetwork import default_nouns, remove
from pileus.rules.project import add, held
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core

_ALIAS = re.compile(r"[a-z0-9](-?[a-z0-9])*", re.ASCII)

_DEED = "looks after projects"


@requires("administrator", _DEED)
def ensure(caller: Caller, core: Core, name: str, limits: Mapping[str, int] | None = None) -> Project:
    """The project of this name, made with its default router, network, subnet and group if there is none yet."""
    with core.store.write() as tx:
        limits = quota.DEFAULTS if limits is None else limits
        return tx.named(Project, name) or add(caller, core, tx, name, limits)


@requires("administrator", _DEED)
def create(caller: Caller, core: Core, name: str) -> Project:
    """Make a project with the default limits, and with its default router, network, subnet and group.

    Raises Forbidden, InvalidValue, Duplicate.
    """
    with core.store.write() as tx:
        return add(caller, core, tx, name, quota.DEFAULTS)


@requires("administrator", _DEED)
def modify(caller: Caller, core: Core, uuid: str, *, enabled: bool) -> Project:
    """Enable a project, or disable it: nobody acts in it then, and what it holds goes on as it is.

    Raises Forbidden, NotFound; Conflict for the caller's own project, and for the home of an administrator.
    """
    with core.store.write() as tx:
        project = find.living(caller, tx, Project, uuid)
        if project.wanted.enabled == enabled:
            return project
        administrators = [user.name for user in tx.list(User, project=uuid) if user.wanted.admin]
        if not enabled and (administrators or uuid == caller.project):
            text = f"The {project.label} is yours, or the home of an administrator, and stays enabled."
            raise Conflict(text, noun=Project.KIND, ident=uuid, reason="self")
        project = tx.want(project, msgspec.structs.replace(project.wanted, enabled=enabled))
        verb = "project.enable" if enabled else "project.disable"
        tx.add_journal_line(caller, project, verb, goal=project.generation, outcome="done")
        return project


@requires("administrator", _DEED)
def delete(caller: Caller, core: Core, uuid: str) -> Project:
    """Delete a project that holds nothing but its default network, with its grants and access keys.

    It is gone once that network is. Raises Forbidden, NotFound; Conflict, which says what it still holds.
    """
    with core.store.write() as tx:
        project = find.living(caller, tx, Project, uuid)
        tx.lock(project)
        network = default_nouns(tx, uuid)
        going = {noun.uuid for noun in network}
        contents = Counter(noun.KIND for noun in held(tx, uuid) if noun.uuid not in going and not noun.wanted.gone)
        if contents or uuid == caller.project:
            listed = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in sorted(contents.items()))
            text = f"The {project.label} still holds {listed or 'you'}: delete these first."
            raise Conflict(text, noun=Project.KIND, ident=uuid, reason="in-use")
        for access_key in tx.list(Credential, project=uuid):
            credential.end(caller, tx, access_key)
        for each in tx.list(Grant, project=uuid):
            grant.end(caller, tx, each)
        remove(caller, tx, network)
        project = tx.want_gone(project)
        tx.add_journal_line(caller, project, "project.delete", goal=project.generation)
        tx.wake(project)
        return project


@requires("admin")
def set_alias(caller: Caller, core: Core, alias: str) -> Project:
    """Give the account of the caller's project an alias in place of its earlier one; an empty alias is none.

    Raises Forbidden, InvalidValue, Duplicate.
    """
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
        tx.add_journal_line(caller, project, "project.alias", goal=project.generation, outcome="done", detail=alias)
        return project


@requires("reader")
def alias_of(caller: Caller, core: Core) -> str:
    """The alias of the account of the caller's project; empty for none."""
    with core.store.read() as tx:
        return tx.need(Project, caller.project).wanted.alias


@requires("reader")
def listing(caller: Caller, core: Core) -> list[Project]:
    """The caller's project; every one for an admin."""
    with core.store.read() as tx:
        projects = tx.list(Project)
    return [project for project in projects if caller.admin or project.uuid == caller.project]
