"""The caches of a process: kinds that change seldom, and lists of projects. A snapshot knows which versions it sees.

A write that touches such a kind raises the kind's version in the same transaction, and one that touches a project's
other nouns raises the project's version. A snapshot uses what is cached of its own version alone, so this holds for any
number of processes, and no snapshot sees what another one does not. A version is of an incarnation: a store that was
recovered counts on from an older copy, to versions that were before.
"""

from __future__ import annotations

import operator
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from pileus.model.nouns import NOUNS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KINDS = frozenset(
    {
        "flavor",
        "image",
        "project",
        "user",
        "usergroup",
        "grant",
        "credential",
        "router",
        "network",
        "subnet",
        "securitygroup",
    }
)
MOST = 20_000
"""Cached nouns of one kind, and cached entries of all projects' lists: bounds for memory, not for what works."""

LISTED = frozenset(NOUNS) - KINDS - {"host"}
"""The kinds whose changes raise the version of their project, and of the other projects that see the noun."""


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
_NUMBERS = tuple(_NAMES.values())


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


ANSWERS = 32
"""Answers of faces that are kept of one project."""

_WEIGHT = 2048
"""Bytes of an answer, and of the request for it, that count as one entry."""


class CachedAnswer(msgspec.Struct, frozen=True):
    """The body of an answer of a face, before and behind the id of its request.

    `request` is the length of the parameters by which it is found, which are kept too.
    """

    begin: bytes
    end: bytes
    request: int = 0

    @property
    def size(self) -> int:
        """The number of entries that it counts as."""
        return 1 + (len(self.begin) + len(self.end) + self.request) // _WEIGHT


class ProjectLists:
    """Lists of one project as of one version, by the kind that they list, and answers that faces made of such lists."""

    def __init__(
        self, version: Version, make_room: Callable[[], None] = lambda: None, before: ProjectLists | None = None
    ) -> None:
        self.version = version
        self.lists: dict[str, list[Any]] = {}
        self.earlier: dict[str, list[Any]] = {} if before is None else {**before.earlier, **before.lists}
        """Lists of earlier versions, until they are made anew: items that are equal still need not be made again."""
        self.answers: dict[tuple[object, ...], CachedAnswer] = {}
        self._make_room = make_room

    def put(self, name: str, items: list[Any]) -> None:
        """Have a list of this version, in the place of an earlier one."""
        self.lists[name] = items
        self.earlier.pop(name, None)
        self._make_room()

    def keep(self, key: tuple[object, ...], answer: CachedAnswer) -> None:
        """Keep an answer, in the place of the one that was kept first where there are ANSWERS already."""
        while len(self.answers) >= ANSWERS:
            self.answers.pop(next(iter([*self.answers])), None)
        self.answers[key] = answer
        self._make_room()

    @property
    def size(self) -> int:
        """The number of entries, and _EMPTY for the project."""
        answers = sum(answer.size for answer in [*self.answers.values()])
        lists = [*self.lists.values(), *self.earlier.values()]
        return _EMPTY + sum(map(len, lists)) + answers


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
        number = versions.get
        version = (
            number("incarnation", 0),
            number(project_version(project), 0),
            *[number(name, 0) for name in _NUMBERS],
        )
        with self._lock:
            entry = self._projects.pop(project, None)
            if entry is None or (entry.version != version and any(map(operator.lt, entry.version, version))):
                entry = ProjectLists(version, self._make_room, entry)
                self._evict()
            self._projects[project] = entry  # behind all that were asked for before
        return entry if entry.version == version else None

    def _make_room(self) -> None:
        with self._lock:
            self._evict()

    def _evict(self) -> None:
        """Drop the lists that were not asked for longest, until there is room for another project within MOST."""
        size = _EMPTY + sum(each.size for each in self._projects.values())
        while size > MOST and self._projects:
            size -= self._projects.pop(next(iter(self._projects))).size
