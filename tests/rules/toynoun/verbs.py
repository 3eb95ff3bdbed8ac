"""Reminders: made, listed, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from pileus.model.reminder import Reminder, Wanted

from pileus.model.errors import NotFound
from pileus.model.ids import new_uuid
from pileus.rules import find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core


def create(caller: Caller, core: Core, name: str, wanted: Wanted) -> Reminder:
    """Make a reminder. Raises Duplicate when the project has one of this name, QuotaExceeded."""
    with core.store.write() as tx:
        row = tx.add(Reminder(uuid=new_uuid(), project=caller.project, name=name, wanted=wanted))
        tx.add_journal_line(caller, row, "reminder.create", goal=row.generation)
        tx.wake(row)
        return row


def delete(caller: Caller, core: Core, uuid: str) -> None:
    """Delete a reminder. Raises NotFound."""
    with core.store.write() as tx:
        row = find.living(caller, tx, Reminder, uuid)
        row = tx.want(row, msgspec.structs.replace(row.wanted, gone=True))
        tx.add_journal_line(caller, row, "reminder.delete", goal=row.generation)
        tx.wake(row)


def listing(caller: Caller, core: Core, names: Sequence[str] = (), uuids: Sequence[str] = ()) -> list[Reminder]:
    """The project's reminders; NotFound when one that is named does not exist."""
    with core.store.read() as tx:
        return find.chosen(caller, tx, Reminder, names, uuids, lambda name: NotFound(name, noun="reminder"))
