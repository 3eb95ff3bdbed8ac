"""The identities of nouns that one process keeps: an EC2 id means the same noun for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MOST = 20_000
"""Kept identities of one kind: a bound for memory, not for what works."""


class Identity(NamedTuple):
    """A noun's uuid, and the uuid of its project: neither ever changes."""

    uuid: str
    project: str


class Identities:
    """The identities that one process knows, by kind and EC2 id: an id means the same noun for ever.

    The noun may have ended since, or its row may be damaged. Up to `most` of a kind are kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._cached: dict[str, dict[str, Identity]] = {}
        self._shown: set[tuple[str, str]] = set()
        """(project, EC2 id) of nouns of others that a project has seen."""

    def has_shown(self, project: str, ident: str) -> bool:
        """Whether a project has seen the noun of another with this EC2 id; it may not see the noun any more."""
        return (project, ident) in self._shown

    def note_shown(self, project: str, idents: Iterable[str]) -> None:
        """Note that a project has seen the nouns of others with these EC2 ids."""
        shown = {(project, ident) for ident in idents}
        if len(self._shown) + len(shown) > self._most:
            self._shown = shown
        else:
            self._shown |= shown

    def of(
        self, kind: str, ids: Iterable[str], look: Callable[[list[str]], Mapping[str, Identity]]
    ) -> dict[str, Identity]:
        """Return the identities of `kind` by id; `look` reads those that are not known. Ids of nothing are absent."""
        cached = self._cached.setdefault(kind, {})
        identities = {ident: cached.get(ident) for ident in ids}
        missing = [ident for ident, identity in identities.items() if identity is None]
        if missing:
            read = look(missing)
            if len(cached) + len(read) > self._most:
                cached = self._cached[kind] = {}
            cached.update(read)
            identities.update(read)
        return {ident: identity for ident, identity in identities.items() if identity is not None}
