"""Traits: words for what a host has, by which flavors and images choose where they go."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pileus.model.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 64
"""How many an operator may give to one host, or demand in one flavor."""

_WORD = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}")
_FOUND = re.compile(r"kvm|tcg|(arch|cpu):.*")


def changed(have: Iterable[str], add: Iterable[str], remove: Iterable[str]) -> tuple[str, ...]:
    """`have` with the words of `add` and without those of `remove`, in order. Raises InvalidValue."""
    new = set(add)
    for word in sorted(new):
        if not _WORD.fullmatch(word):
            text = f"'{word}' is no trait: lower-case letters, digits and . _ : - only, at most 64."
            raise InvalidValue(text, ident=word, reason="trait")
    traits = (new | set(have)) - set(remove)
    if len(traits) > MOST:
        raise InvalidValue(f"{len(traits)} traits are too many: at most {MOST}.", reason="trait")
    return tuple(sorted(traits))


def given(have: Iterable[str], add: Iterable[str], remove: Iterable[str]) -> tuple[str, ...]:
    """The same of what an operator says of a host; what a host finds out by itself nobody else may say of it."""
    words = set(add)
    for word in sorted(words):
        if _FOUND.fullmatch(word):
            text = f"'{word}' is what a host finds out by itself: kvm, tcg, arch:… and cpu:… are not given."
            raise InvalidValue(text, ident=word, reason="trait")
    return changed(have, words, remove)
