"""Projects: made with the network that their first instance lands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model import quota
from pileus.model.errors import Duplicate, InvalidValue
from pileus.model.ids import new_account, new_uuid
from pileus.model.project import Project
from pileus.rules.defaultnetwork import add_default_network
from pileus.rules.project import new_wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


def ensure(caller: Caller, core: Core, name: str, limits: Mapping[str, int] | None = None) -> Project:
    """The project of this name, made with its default router, network, subnet and group if there is none yet."""
    with core.store.write() as tx:
        return ensure_in(caller, core, tx, name, quota.DEFAULTS if limits is None else limits)


def ensure_in(caller: Caller, core: Core, tx: Writer, name: str, limits: Mapping[str, int]) -> Project:
    """The same as a part of another verb's transaction."""
    return tx.named(Project, name) or _create(caller, core, tx, name, limits)


def _create(caller: Caller, core: Core, tx: Writer, name: str, limits: Mapping[str, int]) -> Project:
    if not name or len(name) > 64 or not all(c.isalnum() or c in "-_." for c in name):
        raise InvalidValue(f"'{name}' is no project name: letters, digits, - _ . only, at most 64.", ident=name)
    uuid = new_uuid()
    wanted = new_wanted(uuid, new_account(), limits)
    project = Project(uuid=uuid, project=uuid, name=name, wanted=wanted)
    try:
        project = tx.add(project)
    except Duplicate as error:
        raise Duplicate(f"The project '{name}' exists already.", noun="project", ident=name) from error
    tx.add_journal_line(caller, project, "project.create", outcome="done")
    add_default_network(caller, core, tx, project.uuid)
    return project


def listing(caller: Caller, core: Core) -> list[Project]:
    """The caller's project; every one for an admin."""
    with core.store.read() as tx:
        projects = tx.list(Project)
    return [project for project in projects if caller.admin or project.uuid == caller.project]
