"""The journal: a line for each change that was asked for, with its outcome. GCE calls such a line an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model import listing as pages
from pileus.model.errors import NotFound
from pileus.model.instance import LAUNCH
from pileus.rules.rights import requires

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.journalreader import JournalEntry

_LONGEST = 19
"""Digits of a line's number at most."""


@requires("reader")
def shown(caller: Caller, lines: Iterable[JournalEntry]) -> list[JournalEntry]:
    """The lines of these that the caller may see: of its own project; an administrator all of them.

    Of what hosts there are, and how full, administrators alone are told.
    """
    if caller.admin:
        return list(lines)
    own = [line for line in lines if line.project == caller.project]
    return [
        msgspec.structs.replace(line, detail="") if line.verb == LAUNCH and line.outcome != "superseded" else line
        for line in own
    ]


@requires("reader")
def line(caller: Caller, core: Core, number: str) -> JournalEntry:
    """The line with this number. Raises NotFound."""
    if number.isascii() and number.isdecimal() and len(number) < _LONGEST:
        with core.store.read() as tx:
            entry = tx.journal_line(int(number))
        if entry is not None and (visible_lines := shown(caller, [entry])):
            return visible_lines[0]
    raise NotFound(f"The journal has no line {number}.", noun="journal", ident=number)


@requires("reader")
def listing(
    caller: Caller,
    core: Core,
    *,
    uuid: str = "",
    request: str = "",
    everywhere: bool = False,
    after: str | None = None,
    limit: int = 50,
) -> tuple[list[JournalEntry], str | None]:
    """The project's lines, newest first: of one noun, of one request, or all. The second value continues the list.

    With `everywhere`, an administrator gets those of every project.
    """
    before = pages.after(after) or None
    project = None if caller.admin and (everywhere or uuid) else caller.project
    with core.store.read() as tx:
        # A noun has few lines, and they are all of its project: the database is asked by the noun alone.
        lines = tx.journal(
            uuid or None,
            project=None if uuid else project,
            request=request or None,
            before=before,
            limit=limit + 1,
        )
    newest_first = lines[::-1]
    more = pages.token(newest_first[limit - 1].id) if len(newest_first) > limit else None
    return shown(caller, newest_first[:limit]), more
