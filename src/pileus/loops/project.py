"""Projects that are to go: each ends once everything that it held has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.project import Project
from pileus.rules.project import held

if TYPE_CHECKING:
    from pileus.rules.core import Core

AGAIN = 1.0
"""Seconds until a project whose network is still there is looked at again."""


def step(core: Core, uuid: str) -> float | None:
    """Make a project that is to go a tombstone, if it holds nothing; when to look again, None for never."""
    with core.store.read() as tx:
        project = tx.get(Project, uuid)
        if project is None or project.gone is not None or not project.wanted.gone:
            return None
        if held(tx, uuid):
            return core.store.now() + AGAIN
    with core.store.write() as tx:
        project = tx.get(Project, uuid)
        if project is None or project.gone is not None or held(tx, uuid):
            return core.store.now() + AGAIN
        tx.make_tombstone(project)
        tx.settle([line.id for line in tx.journal(uuid, open_only=True)], "done")
    return None
