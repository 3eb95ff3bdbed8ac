"""Lists: nouns of a kind, nouns by the time of their last change, and lines of the journal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from pileus.faces.rest import documents
from pileus.model import listing as pages
from pileus.model.errors import InvalidValue
from pileus.model.ids import public_id
from pileus.model.nouns import NOUNS
from pileus.verbs import journal

if TYPE_CHECKING:
    from pileus.faces.wire.typed import TypedRequest
    from pileus.model.noun import Noun
    from pileus.store.journalreader import JournalEntry

MOST = 1000
"""How many items one page of a list has at most."""


def nouns(request: TypedRequest) -> dict[str, Any]:
    """A page of the nouns of the kind that the path names."""
    cls = documents.kind_of(request.path["nouns"])
    limit = page_size(request)
    since = _since(request.query.get("changed-since"))
    everywhere, deleted = request.flag("all"), request.flag("deleted")
    with request.core.store.read() as tx:
        if since is None:
            start = pages.after(request.query.get("after"))
            listed = documents.listed(
                request.caller, tx, cls, everywhere=everywhere, gone=deleted, after=start, limit=limit + 1
            )
            shown, rest = pages.page(listed, lambda noun: noun.id, start, limit)
        else:
            moment, start = pages.after_change(request.query.get("after"), since)
            listed = documents.changed(
                request.caller, tx, cls, moment, everywhere=everywhere, gone=deleted, after=start, limit=limit + 1
            )
            shown = listed[:limit]
            rest = pages.change_token(shown[-1].changed, shown[-1].id) if len(listed) > limit else None
        return {f"{cls.KIND}s": documents.documents(request.core, tx, shown), "next": rest}


def page_size(request: TypedRequest) -> int:
    """How many items the page has at most, as the query says. Raises InvalidValue."""
    text = request.query.get("limit")
    if text is None:
        return MOST
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and int(text) >= 1):
        raise InvalidValue(f"'{text}' is no limit: 1 to {MOST}.", ident=text, reason="limit")
    return min(int(text), MOST)


def _since(text: str | None) -> float | None:
    """The time that `changed-since` says: seconds since the epoch. Raises InvalidValue."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise InvalidValue(f"'{text}' is no time: give seconds since the epoch.", ident=text, reason="time")
    return seconds


def journal_lines(request: TypedRequest) -> dict[str, Any]:
    """A page of the journal, newest first: of a noun (`kind` and `id`), of a `request`, or of the project."""
    uuid = ""
    if request.query.get("kind") or request.query.get("id"):
        cls: type[Noun] = documents.kind_of(request.query.get("kind") or "instance")
        uuid = documents.uuid_of(request, cls, request.query.get("id", ""))
    lines, rest = journal.listing(
        request.caller,
        request.core,
        uuid=uuid,
        request=request.query.get("request", ""),
        everywhere=request.flag("all"),
        after=request.query.get("after"),
        limit=page_size(request),
    )
    return {"journal": [line_document(line) for line in lines], "next": rest}


def journal_line(request: TypedRequest) -> dict[str, Any]:
    """The line of the journal whose number the path has."""
    return line_document(journal.line(request.caller, request.core, request.path["number"]))


def line_document(line: JournalEntry) -> dict[str, Any]:
    """A line of the journal; `noun` is the public id of the noun that it is about."""
    document: dict[str, Any] = msgspec.to_builtins(line)
    cls = NOUNS.get(line.kind)
    return {**document, "noun": public_id(cls.PREFIX, line.uuid) if cls else line.uuid}
