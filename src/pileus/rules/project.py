"""Projects that are made anew."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pileus.model.errors import NotFound
from pileus.model.project import Project, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.store.writer import Writer


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
