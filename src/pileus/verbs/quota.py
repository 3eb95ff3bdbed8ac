"""Quotas: what a project may use at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.project import Project

if TYPE_CHECKING:
    from pileus.store.reader import Reader


def quota(tx: Reader, project: str, resource: str) -> int | None:
    """The project's limit on a resource, None when it has none."""
    found = tx.get(Project, project)
    return found.wanted.limit(resource) if found else None
