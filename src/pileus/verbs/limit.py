"""Limits: what a project may use and uses, and the cloud's bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import quota
from pileus.model.bounds import Bound
from pileus.model.errors import InvalidValue
from pileus.model.noun import project_scope
from pileus.model.project import UNLIMITED, Project
from pileus.rules import find
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.reader import Reader

MOST = 1 << 40
"""The highest limit of a resource; what is beyond it may as well be none."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a resource a project uses, and may use (None: any amount), in the units of `quota.DEFAULTS`."""

    used: int
    limit: int | None


class ProjectLimits(msgspec.Struct, frozen=True, kw_only=True):
    """A project's resources by name, and the bounds that hold for everybody."""

    project: str
    resources: dict[str, Resource]
    bounds: dict[str, Bound]


@requires("reader")
def show(caller: Caller, core: Core, uuid: str = "") -> ProjectLimits:
    """The limits of the caller's project, or (for an administrator) of the one with this uuid. NotFound."""
    with core.store.read() as tx:
        project = _project(caller, tx, uuid)
        scope = project_scope(project.uuid)
        used = tx.usage(scope)
    resources = {
        resource: Resource(used=used.get((scope, resource), 0), limit=quota.limit(project, resource))
        for resource in sorted(quota.DEFAULTS)
    }
    return ProjectLimits(project=project.name, resources=resources, bounds=dict(core.bounds))


@requires("administrator", "changes limits")
def change(caller: Caller, core: Core, uuid: str, limits: Mapping[str, int | None]) -> ProjectLimits:
    """Give a project other limits; None: any amount. Usage beyond a new limit stays.

    Raises Forbidden, NotFound, InvalidValue for what is no resource or no amount.
    """
    for resource, limit in limits.items():
        if resource not in quota.DEFAULTS:
            text = f"'{resource[:40]}' is no resource; there are: {', '.join(sorted(quota.DEFAULTS))}."
            raise InvalidValue(text, ident=resource[:40], reason="resource")
        if limit is not None and not 0 <= limit <= MOST:
            raise InvalidValue(f"{limit} is no limit of {resource}: 0 to {MOST}.", ident=resource, reason="limit")
    with core.store.write() as tx:
        project = _project(caller, tx, uuid)
        # A project without a quota has no limits: those that are not named stay so.
        old_quota = project.wanted.quota or dict.fromkeys(quota.DEFAULTS, UNLIMITED)
        new = {resource: UNLIMITED if limit is None else limit for resource, limit in limits.items()}
        project = tx.want(project, msgspec.structs.replace(project.wanted, quota={**old_quota, **new}))
        words = " ".join(f"{resource}={limit}" for resource, limit in sorted(new.items()))
        tx.add_journal_line(caller, project, "project.limit", goal=project.generation, outcome="done", detail=words)
    return show(caller, core, uuid)


def _project(caller: Caller, tx: Reader, uuid: str) -> Project:
    if uuid not in ("", caller.project) and not caller.admin:
        raise find.absent(Project, [uuid])
    return find.living(caller, tx, Project, uuid or caller.project)
