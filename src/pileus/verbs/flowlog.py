"""Flow logs: kept for nouns whose packets are to be logged, and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.errors import Duplicate
from pileus.model.flowlog import FlowLog, Wanted
from pileus.model.ids import new_uuid
from pileus.model.nouns import NOUNS
from pileus.rules import find
from pileus.rules.rights import requires
from pileus.rules.token import once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.model.caller import Caller
    from pileus.rules.core import Core
    from pileus.store.writer import Writer


@requires("member")
def create(
    caller: Caller, core: Core, wanted: Sequence[Wanted], tags: Mapping[str, str] | None = None, token: str = ""
) -> list[FlowLog]:
    """Keep a log for each noun, all or none. Raises NotFound, Duplicate for one that is there already."""
    with core.store.write() as tx:
        return [
            once(
                caller,
                tx,
                FlowLog,
                token,
                [each, dict(tags or {})],
                lambda each=each: _make(caller, tx, each, dict(tags or {})),  # type: ignore[misc]  # (mypy: a default)
                part=each.resource,
            )
            for each in wanted
        ]


def _make(caller: Caller, tx: Writer, wanted: Wanted, tags: dict[str, str]) -> FlowLog:
    noun = find.living(caller, tx, NOUNS[wanted.kind], wanted.resource)
    try:
        log = tx.add(FlowLog(uuid=new_uuid(), project=caller.project, tags=tags, wanted=wanted))
    except Duplicate as error:
        text = f"The {noun.label} has a flow log to this destination."
        raise Duplicate(text, noun=FlowLog.KIND, ident=noun.uuid, reason="pair") from error
    tx.add_journal_line(caller, log, "flowlog.create", outcome="done")
    return log


@requires("member")
def delete(caller: Caller, core: Core, uuids: Sequence[str]) -> None:
    """Delete logs (by uuid), all or none. Raises NotFound."""
    with core.store.write() as tx:
        for log in find.known(caller, tx, FlowLog, uuids):
            gone = tx.want_gone(log)
            tx.make_tombstone(gone)
            tx.add_journal_line(caller, gone, "flowlog.delete", outcome="done")


@requires("reader")
def listing(caller: Caller, core: Core) -> list[FlowLog]:
    """The project's logs."""
    with core.store.read() as tx:
        return list(tx.list(FlowLog, project=caller.project))
