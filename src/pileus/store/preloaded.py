"""Nouns of one transaction that were read together, for those who ask for them one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pileus.model.noun import referred
from pileus.store.rows import SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pileus.model.noun import Noun


class Preloaded:
    """Nouns by uuid, and living nouns by a uuid that they refer to; of each kind until the transaction writes it."""

    def __init__(self) -> None:
        self._nouns: dict[str, dict[str, Any]] = {}
        self._referring: dict[str, dict[str, list[Any]]] = {}

    def add(self, kind: str, nouns: Mapping[str, Noun]) -> None:
        """Have these nouns, by uuid."""
        self._nouns.setdefault(kind, {}).update(nouns)

    def add_referring(self, cls: type[Noun], targets: Iterable[str], nouns: Iterable[Noun]) -> None:
        """Have the nouns of `cls` that refer to any of `targets`: these."""
        by_target: dict[str, list[Noun]] = {target: [] for target in targets}
        for noun in nouns:
            for target in {target for _, target, _ in referred(noun, SHAPES[cls].references)}:
                if target in by_target:
                    by_target[target].append(noun)
        self._referring.setdefault(cls.KIND, {}).update(by_target)

    def nouns(self, kind: str, uuids: Sequence[str]) -> dict[str, Any] | None:
        """The nouns with these uuids; None: not all of them are here."""
        nouns = self._nouns.get(kind)
        if nouns is None or not all(uuid in nouns for uuid in uuids):
            return None
        return {uuid: nouns[uuid] for uuid in uuids}

    def referring(self, kind: str, targets: Sequence[str]) -> list[Any] | None:
        """The nouns that refer to the only one of `targets`; None: they are not here, or it is not the only one."""
        by_target = self._referring.get(kind)
        if by_target is None or len(targets) != 1 or targets[0] not in by_target:
            return None
        return [*by_target[targets[0]]]

    def forget(self, kind: str) -> None:
        """Have none of a kind that is written."""
        self._nouns.pop(kind, None)
        self._referring.pop(kind, None)
