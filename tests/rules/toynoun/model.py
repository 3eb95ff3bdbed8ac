"""Reminder: a text with a time, which the network engine keeps."""

from __future__ import annotations

from typing import ClassVar, Literal

from pileus.model.network import Assigned, Seen
from pileus.model.noun import Keeper, Noun, Part
from pileus.model.spec import Spec


class Wanted(Part, frozen=True, kw_only=True):
    """`at` in seconds since the epoch."""

    text: str
    at: float = 0.0
    gone: bool = False


class Reminder(Noun, frozen=True, kw_only=True):
    """Its name is unique in its project."""

    KIND: ClassVar[str] = "reminder"
    PREFIX: ClassVar[str] = "rem"
    NAMES: ClassVar[Literal["", "project", "cloud"]] = "project"
    KEEPER: ClassVar[Keeper] = "engine"
    QUOTA: ClassVar[dict[str, int]] = {"reminders": 2}
    wanted: Wanted
    assigned: Assigned = Assigned()
    seen: Seen = Seen()


class ReminderSpec(Spec, frozen=True, kw_only=True, omit_defaults=True, tag="reminder"):
    """The order for a reminder."""

    KIND: ClassVar[str] = "reminder"
    text: str
    at: float = 0.0
