"""Reminders in the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.reminder import Reminder, ReminderSpec

from pileus.loops.enginekind import EngineKind
from pileus.model.project import Project
from pileus.model.record import record

if TYPE_CHECKING:
    from pileus.rules.core import Place
    from pileus.store.reader import Reader


class ReminderKind(EngineKind[Reminder]):
    """Reminders depend on nothing else."""

    def spec(self, tx: Reader, row: Reminder, place: Place) -> ReminderSpec:
        """The text and its time."""
        return ReminderSpec(
            uuid=row.uuid,
            name=row.name,
            project=row.project,
            text=row.wanted.text,
            at=row.wanted.at,
            record=record([tx.need(Project, row.project), row]),
        )


ENGINE_KIND = ReminderKind(Reminder)
