"""The caches of a process: kinds that change seldom, and lists of projects. A snapshot knows which versions it sees.

A write that touches such a kind raises the kind's version in the same transaction, and one that touches a project's
other nouns raises the project's version. A snapshot uses what is cached of its own version alone, so this holds for any
number of processes, and no snapshot sees what another one does not. A version is of an incarnation: a store that was
recovered counts on from an older copy, to versions that were before.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = frozenset({"flavor", "image", "project", "user", "credential", "router", "network", "subnet", "securitygroup"})
MOST = 20_000
"""Cached nouns of one kind, and cached entries of all projects' lists: bounds for memory, not for what works."""

LISTED = frozenset({"instance", "port", "volume", "floatingip", "placementgroup"})
"""The kinds whose changes raise the version of their project."""


TOMBSTONES = "tombstones"
"""The word for erased tombstones of kinds of LISTED, of whatever project."""

COUNTED = KINDS | {TOMBSTONES}
"""The kinds, and erased tombstones, that have a version for the whole store."""


def version_name(kind: str) -> str:
    """The number in the store's `meta` that counts the transactions that touched `kind`."""
    return f"version:{kind}"


def project_version(project: str) -> str:
    """The number in the store's `meta` that counts the transactions that touched a project's nouns of LISTED."""
    return f"{PROJECTS}{project.replace('-', '')[:26]}"


PROJECTS = "lists:"
"""The beginning of these names, which have 32 characters at most."""

_NAMES = {kind: version_name(kind) for kind in COUNTED}


Version = tuple[int, ...]
"""The store's incarnation, and the number of transactions that touched a kind, or a project and each of the kinds."""


class Unreadable(msgspec.Struct, frozen=True):
    """A row that this version cannot decode: it was damaged. Lists leave it out; its claims stay."""

    kind: str
    uuid: str
    ec2_id: str
    project: str
    name: str


class CachedKind:
    """Nouns of one kind by uuid and by EC2 id, and the living ones of a project, or of all."""

    def __init__(self) -> None:
        self.nouns: dict[str, Any] = {}
        self.ec2: dict[str, Any] = {}
        self.living: dict[str | None, list[Any]] = {}
        self.unreadable: dict[str, Unreadable] = {}


_EMPTY = 40
"""The size of the lists of a project without entries: MOST holds the number of cached projects down too."""


class ProjectLists:
    """Lists of one project as of one version, by the kind that they list."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.lists: dict[str, list[Any]] = {}

    @property
    def size(self) -> int:
        """The number of entries, and _EMPTY for the project."""
        return _EMPTY + sum(map(len, self.lists.values()))


class Cache:
    """The caches of one process: the newest version of each kind, and of the lists of projects that were asked for."""

    def __init__(self) -> None:
        self._cached: dict[str, tuple[Version, CachedKind]] = {}
        self._projects: dict[str, ProjectLists] = {}
        self._lock = threading.Lock()
        self.logged: set[str] = set()
        """The uuids of unreadable rows, and `journal ID` of unreadable lines, that the log names already."""
        self.remembered: dict[str, object] = {}
        """Notes that rules keep between transactions, by name: they may be out of date, and are checked."""

    def at(self, kind: str, versions: Mapping[str, int]) -> CachedKind | None:
        """Return the cached rows of a kind for a snapshot with these `versions`; None when that snapshot is old."""
        version = versions.get("incarnation", 0), versions.get(_NAMES[kind], 0)
        entry = self._cached.get(kind)
        if entry is None or entry[0] < version or len(entry[1].nouns) > MOST:
            with self._lock:
                entry = self._cached.get(kind)
                if entry is None or entry[0] < version or len(entry[1].nouns) > MOST:
                    entry = self._cached[kind] = (version, CachedKind())
        return entry[1] if entry[0] == version else None

    def lists(self, project: str, versions: Mapping[str, int]) -> ProjectLists | None:
        """Return the lists of a project for a snapshot with these `versions`; None when that snapshot is old."""
        names = ("incarnation", project_version(project), *_NAMES.values())
        version = tuple(versions.get(name, 0) for name in names)
        with self._lock:
            entry = self._projects.pop(project, None)
            if entry is None or any(ours < theirs for ours, theirs in zip(entry.version, version, strict=True)):
                entry = ProjectLists(version)
                self._evict()
            self._projects[project] = entry  # behind all that were asked for before
        return entry if entry.version == version else None

    def _evict(self) -> None:
        """Drop the lists that were not asked for longest, until there is room for another project within MOST."""
        size = _EMPTY + sum(each.size for each in self._projects.values())
        while size > MOST and self._projects:
            size -= self._projects.pop(next(iter(self._projects))).size
