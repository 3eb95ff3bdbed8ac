"""The cache of kinds that change seldom: every snapshot knows which version of them it sees.

A write that touches such a kind raises the kind's version in the same transaction. A snapshot uses the cached rows of
its own version alone, so this holds for any number of processes, and no snapshot sees what another one does not. A
version is of an incarnation: a store that was recovered counts on from an older copy, to versions that were before.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = frozenset({"flavor", "image", "project", "user", "credential", "router", "network", "subnet", "securitygroup"})
MOST = 20_000
"""Cached nouns of one kind: a bound for memory, not for what works."""


def version_name(kind: str) -> str:
    """The number in the store's `meta` that counts the transactions that touched `kind`."""
    return f"version:{kind}"


_NAMES = {kind: version_name(kind) for kind in KINDS}


Version = tuple[int, int]
"""The store's incarnation, and the number of transactions that touched a kind."""


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


class Cache:
    """The decoded rows that one process caches: the newest version of each kind alone."""

    def __init__(self) -> None:
        self._cached: dict[str, tuple[Version, CachedKind]] = {}
        self._lock = threading.Lock()
        self.logged: set[str] = set()
        """The uuids of unreadable rows, and `journal ID` of unreadable lines, that the log names already."""

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
