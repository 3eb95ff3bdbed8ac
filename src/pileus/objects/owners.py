"""The projects that had objects stored: one empty file a project and object, beside the objects themselves.

It is kept here and not in the database, as is the time of an object's last use: rows of deleted images go before the
bytes do, and with a database that is replaced.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Owners:
    """Notes below the folder `root`. A writer holds the object store's lock; removing takes it alone."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, owner: str, digest: str) -> None:
        """Note that the project `owner` has stored this object. Raises OSError."""
        note = self._root / owner / digest
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        note.touch(mode=0o600)

    def remove(self, owner: str, digest: str) -> None:
        """Forget that it has. Raises OSError."""
        note = self._root / owner / digest
        note.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            note.parent.rmdir()

    def has(self, owner: str, digest: str) -> bool:
        """Whether it has."""
        return (self._root / owner / digest).exists()

    def of(self, digest: str) -> set[str]:
        """The projects that have stored this object."""
        return {note.parent.name for note in self._root.glob(f"*/{digest}")}

    def noted(self) -> dict[str, list[str]]:
        """The digests of the objects that each project has stored; some may be kept no more."""
        digests: dict[str, list[str]] = {}
        for note in sorted(self._root.glob("*/*")):
            digests.setdefault(note.parent.name, []).append(note.name)
        return digests
