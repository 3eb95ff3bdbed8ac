"""Projects as parts of other verbs' transactions: made, made anew."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pileus.model.credential import Credential
from pileus.model.errors import Duplicate, InvalidValue, NotFound
from pileus.model.grant import Grant
from pileus.model.ids import new_account, new_uuid
from pileus.model.nouns import NOUNS
from pileus.model.project import Project, Wanted
from pileus.rules.defaultnetwork import add_default_network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.model.noun import Noun
    from pileus.rules.core import Core
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer


def add(caller: Caller, core: Core, tx: Writer, name: str, limits: Mapping[str, int]) -> Project:
    """Make a project with its default router, network, subnet and group. Raises InvalidValue, Duplicate."""
    if not name or len(name) > 64 or not all(c.isalnum() or c in "-_." for c in name):
        raise InvalidValue(f"'{name}' is no project name: letters, digits, - _ . only, at most 64.", ident=name)
    uuid = new_uuid()
    project = Project(uuid=uuid, project=uuid, name=name, wanted=new_wanted(uuid, new_account(), limits))
    try:
        project = tx.add(project)
    except Duplicate as error:
        raise Duplicate(f"The project '{name}' exists already.", noun="project", ident=name) from error
    tx.add_journal_line(caller, project, "project.create", outcome="done")
    add_default_network(caller, core, tx, project.uuid)
    return project


def held(tx: Reader, project: str) -> list[Noun]:
    """All living nouns of a project beside itself, grants and credentials. Raises DamagedRow for an unreadable row."""
    kinds = [cls for cls in NOUNS.values() if cls not in (Project, Grant, Credential)]
    with tx.complete():
        return [noun for cls in kinds for noun in tx.list(cls, project=project)]


def remake(caller: Caller, tx: Writer, name: str) -> Project:
    """The project of this name; made anew with its ids and without limits if its row is damaged. Raises NotFound."""
    holder = tx.claimed("project", name)
    if holder is None:
        raise NotFound(f"The project '{name}' does not exist.", noun="project", ident=name)
    uuid = holder[1]
    project = tx.get(Project, uuid)
    if project is not None:
        return project
    account = next(value for pool, value, _ in tx.claims(uuid) if pool == "account")
    project = tx.add(Project(uuid=uuid, project=uuid, name=name, wanted=new_wanted(uuid, account, {})))
    tx.add_journal_line(caller, project, "project.remake", outcome="done")
    return project


def new_wanted(uuid: str, account: str, limits: Mapping[str, int]) -> Wanted:
    """Return the wanted part of a new project."""
    canonical = hashlib.sha256(uuid.encode()).hexdigest()
    return Wanted(account_id=account, canonical_id=canonical, quota=dict(limits))
