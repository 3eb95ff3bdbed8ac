"""Reading the journal: by the number of a line, by noun, by project, and by request."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from sqlalchemy import Integer, bindparam, func, select

from pileus.store import tables
from pileus.store.rows import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Select

    from pileus.store.cache import Cache
    from pileus.store.direct import StatementExecutor

LAST_LINE = "last-line"
"""The number in `meta` that is the id of the journal's newest line, as it was when lines were erased last."""

log = structlog.get_logger()


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the journal. `outcome`: open, done, failed, superseded."""

    id: int
    at: float
    project: str
    kind: str
    uuid: str
    verb: str
    goal: int
    user: str
    face: str
    request: str
    outcome: str
    detail: str
    ended: float | None


_LINE = JournalEntry.__struct_fields__
"""The journal's columns in order. A row's own names are of a class that msgspec does not take for text."""


class JournalReader:
    """Questions to the journal. `unreadable_lines` are lines that could not be decoded, by id: what each is of."""

    def __init__(self, session: StatementExecutor, cache: Cache | None = None) -> None:
        self.unreadable_lines: dict[int, str] = {}
        self.sql = session
        self._cache = cache

    def journal(
        self,
        uuid: str | None = None,
        *,
        project: str | None = None,
        request: str | None = None,
        before: int | None = None,
        open_only: bool = False,
        limit: int | None = 50,
    ) -> list[JournalEntry]:
        """The newest lines, oldest first: of one noun, one project, one request, or all; `limit` None: every one.

        With `before`, lines of lower numbers than this alone.
        """
        filters = {"uuid": uuid, "project": project, "request": request, "before": before, "limit": limit}
        parameters = {key: value for key, value in filters.items() if value is not None}
        rows = self.sql.execute(lines_statement(tuple(parameters), open_only), parameters).all()
        entries = self._entries(rows)
        if limit is not None and len(entries) < len(rows) == limit:
            more = limit + len(rows) - len(entries)
            longer = self.journal(
                uuid, project=project, request=request, before=before, open_only=open_only, limit=more
            )
            return longer[-limit:]
        return entries[::-1]

    def journal_line(self, number: int) -> JournalEntry | None:
        """The line with this number; None where there is none, or it cannot be read."""
        return next(iter(self._entries(self.sql.execute(ONE_LINE, {"number": number}).all())), None)

    def _entries(self, rows: Iterable[Any]) -> list[JournalEntry]:
        """These lines of the journal; unreadable ones are noted, logged once, and left out."""
        entries: list[JournalEntry] = []
        for row in rows:
            try:
                entries.append(msgspec.convert(dict(zip(_LINE, row, strict=True)), JournalEntry))
            except UNDECODABLE as error:
                self.unreadable_lines[row.id] = f"{row.verb} of the {row.kind} {row.uuid}"
                self._log_once(f"journal {row.id}", error, kind="journal", id=row.id)
        return entries

    def _log_once(self, key: str, error: Exception, **about: Any) -> None:
        if self._cache is not None and key not in self._cache.logged:
            self._cache.logged.add(key)
            log.warning("row cannot be read", **about, reason=str(error))


@cache
def lines_statement(names: tuple[str, ...], open_only: bool) -> Select[Any]:  # noqa: FBT001  (a key of the cache)
    """The newest lines, by parameters of these names."""
    table = tables.journal
    statement = select(table).order_by(table.c.id.desc())
    for key in ("uuid", "project", "request"):
        if key in names:
            statement = statement.where(table.c[key] == bindparam(key))
    if "before" in names:
        statement = statement.where(table.c.id < bindparam("before"))
    if "limit" in names:
        statement = statement.limit(bindparam("limit", type_=Integer))
    return statement.where(table.c.outcome == "open") if open_only else statement


ONE_LINE = select(tables.journal).where(tables.journal.c.id == bindparam("number"))
NEWEST_LINE = select(func.max(tables.journal.c.id))
UNSETTLED = (
    select(tables.journal)
    .where(tables.journal.c.uuid.in_(bindparam("uuids", expanding=True)), tables.journal.c.outcome == "open")
    .order_by(tables.journal.c.id)
)
