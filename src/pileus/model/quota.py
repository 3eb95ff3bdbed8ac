"""Quotas: how much of each resource a project may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.nouns import NOUNS
from pileus.model.project import UNLIMITED

if TYPE_CHECKING:
    from pileus.model.project import Project

DEFAULTS: dict[str, int] = {resource: most for cls in NOUNS.values() for resource, most in cls.QUOTA.items()}
"""The amounts that a project may use by default, by resource: memory in MiB, disk and imagespace in GiB."""


def limit(project: Project, resource: str) -> int | None:
    """How much of a resource there may be; None: any amount. A quota may be older than the resource."""
    quota = project.wanted.quota
    most = quota.get(resource, DEFAULTS.get(resource)) if quota else None
    return None if most == UNLIMITED else most
