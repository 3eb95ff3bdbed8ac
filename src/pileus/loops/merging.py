"""The transaction that merges what hosts hold, and the search for a host whose answer makes it fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from pileus.model.errors import Unavailable
from pileus.rules import recover as verb
from pileus.store.reader import RECOVERING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.bus.messages import Report
    from pileus.model.provider import Recalled
    from pileus.store.store import Store

log = structlog.get_logger()


class _Trial(Exception):
    """Raised to take back a merge that was made to see whether it fails."""


def merge(store: Store, answers: Mapping[str, Report], recalled: Sequence[Recalled]) -> verb.Outcome | None:
    """Merge what hosts and engine hold, and end the recovery. None: another process has ended it.

    Raises what the merge raises, and Unavailable while the database cannot be written.
    """
    with store.write(recovering=True) as tx:
        if not tx.recovering:
            return None
        outcome = verb.recover(tx, answers, recalled)
        tx.keep_meta(RECOVERING, 0)
    return outcome


def unmergeable(store: Store, answers: Mapping[str, Report], recalled: Sequence[Recalled]) -> list[str]:
    """The hosts whose answers cannot be merged even alone; none when it fails without any answer too.

    Nothing is changed. Raises Unavailable while the database cannot be written.
    """
    if _fails(store, {}, recalled):
        return []
    return [host for host, answer in answers.items() if _fails(store, {host: answer}, recalled)]


def _fails(store: Store, answers: Mapping[str, Report], recalled: Sequence[Recalled]) -> bool:
    """Whether the merge of these answers fails; it is taken back."""
    try:
        with store.write(recovering=True) as tx:
            verb.recover(tx, answers, recalled)
            raise _Trial
    except _Trial:
        return False
    except Unavailable:
        raise
    except Exception:
        log.exception("answers cannot be merged", hosts=sorted(answers))
        return True
