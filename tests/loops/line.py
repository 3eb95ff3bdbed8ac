"""What a switchable line of the protocol is."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgspec

from tests.loops.temper import Temper


class Line(msgspec.Struct, frozen=True):
    """A line: its number, what it says, its switch, the temper of the worlds that show it best, and one such world.

    When the worlds change, so does what their seeds bring: `seed` is where a search begins. `rare`: a search is too
    long for every day; other tests hold the line.
    """

    number: int
    says: str
    off: Any
    temper: Temper = Temper()
    seed: int = 0
    rare: bool = False


def replaced(target: object, name: str, value: object) -> Any:
    """A switch that puts `value` in the place of an attribute."""
    return lambda: mock.patch.object(target, name, value)
