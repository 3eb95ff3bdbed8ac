"""The interface by which instances' providers look up captures of a disk, and record the moment of each capture."""

from __future__ import annotations

from typing import Protocol

from pileus.model.spec import ImageSpec
from pileus.providers.local.capture.folders import Moment
from pileus.providers.local.capture.work import View, Work


class CaptureLookup(Protocol):
    """The source of orders for captures; uuids are those of images, where nothing else is said."""

    def waiting(self, instance: str) -> ImageSpec | None:
        """The capture of the instance that is to have its moment before its next start."""

    def reading(self, instance: str) -> list[Work]:
        """Return the captures that read the instance's disk now."""

    def wanted(self, uuid: str) -> bool:
        """Whether this capture may still be asked for, and is not whole."""

    def begin(self, spec: ImageSpec, view: View) -> None:
        """Begin to write what `view` shows. Raises OSError."""

    def moment(self, uuid: str) -> Moment | None:
        """The moment of a capture; None while there is none."""

    def rest(self, uuid: str) -> None:
        """The moment is now: its instance is off, and `kept` or `lose` is called before it starts. Raises OSError."""

    def kept(self, uuid: str, by: str = "") -> None:
        """Somebody shows the disk as it was at that moment, or, where there was none, as it is now. Raises OSError."""

    def lose(self, uuid: str) -> None:
        """Nobody shows the disk as it was at that moment any more. Raises OSError."""


class _Nobody:
    """The lookup that orders no captures."""

    def waiting(self, instance: str) -> ImageSpec | None:
        return None

    def reading(self, instance: str) -> list[Work]:
        return []

    def wanted(self, uuid: str) -> bool:
        return False

    def begin(self, spec: ImageSpec, view: View) -> None:
        """Nothing is begun."""

    def moment(self, uuid: str) -> Moment | None:
        return None

    def rest(self, uuid: str) -> None:
        """Nothing is kept."""

    def kept(self, uuid: str, by: str = "") -> None:
        """Nothing is kept."""

    def lose(self, uuid: str) -> None:
        """Nothing is lost."""


NOBODY: CaptureLookup = _Nobody()
"""Where no captures are made."""
