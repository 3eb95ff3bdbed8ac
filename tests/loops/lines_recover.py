"""The switches of lines 9 to 11: a store that was restored, or is gone, is recovered first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.bus.messages import Ask
from pileus.loops import report as reports
from pileus.loops.recover import Recovery
from pileus.model.instance import Instance
from pileus.rules import comparison, recount
from pileus.rules import recover as verb
from pileus.store.writer import Writer
from tests.loops.line import Line, replaced
from tests.loops.temper import Temper

if TYPE_CHECKING:
    from pileus.bus.messages import Report
    from pileus.model.noun import Revision
    from pileus.model.port import Port
    from pileus.rules.core import Core
    from pileus.rules.recover import _Merge
    from pileus.store.reader import Reader

COPY, BUSY = Temper(restored="copy"), Temper(verbs=("tag", "rules"), restored="gone")
COUNTED = Temper(verbs=("launch", "stop", "start", "tag", "group"), mishaps=("cut", "machine"), restored="copy")
LOST = Temper(restored="gone", silent=True)
POWER = Temper(verbs=("launch", "stop", "start"), restored="copy", silent=True)
ENDS = Temper(verbs=("launch", "terminate"), restored="gone", silent=True)


def _never_behind(recovery: Recovery, revision: Revision, *, recovering: bool) -> bool:
    del recovery, revision, recovering
    return False


_keep_meta = Writer.keep_meta


def _same_incarnation(tx: Writer, name: str, value: int) -> None:
    if name != "incarnation":
        _keep_meta(tx, name, value)


def _same_opening(recovery: Recovery) -> None:
    del recovery


_instance = verb._Merge._instance


def _store_wins(merge: _Merge, uuid: str, row: Instance | None) -> None:
    if row is None or uuid in merge.ended:
        _instance(merge, uuid, row)


def _forgets_the_gone(merge: _Merge, row: Instance) -> None:
    del merge, row


def _remembers_nothing(merge: _Merge) -> None:
    del merge


def _vouch_at_once(core: Core, report: Report) -> None:
    with core.store.write() as tx:
        revision, opening = tx.bump(), tx.opening
        comparison.vouch(tx, report.host, revision)
    core.hosts.send(report.host, Ask(forget=revision, opening=opening))


def _not_counted(tx: Writer) -> list[str]:
    del tx
    return []


_heard = Recovery.heard


def _any_report_answers(recovery: Recovery, report: Report) -> None:
    if report.full and not recovery.opened:
        recovery._inquiry.answers[report.host] = report
        recovery._advance()
    else:
        _heard(recovery, report)


def _not_again(merge: _Merge) -> None:
    for row in merge.tx.list(Instance):
        merge.tx.wake(row)


def _every_unknown(merge: _Merge, port: Port) -> bool:
    row = merge.tx.get(Instance, port.wanted.instance or "")
    return not port.wanted.gone and (row is None or row.gone is not None)


_again = verb._Merge._again


def _no_wait(merge: _Merge) -> None:
    _again(merge)
    for row in merge.tx.list(Instance):
        if row.assigned.unheard is not None:
            merge.tx.wake(merge.tx.assign(row, msgspec.structs.replace(row.assigned, unheard=None)))


def _not_missed(tx: Reader, report: Report) -> bool:
    del tx, report
    return False


def _never_outrun(recovery: Recovery, report: Report, revision: Revision) -> bool:
    del recovery, report, revision
    return False


def _nothing_since(merge: _Merge, row: Instance, instance: Instance) -> None:
    del merge, row, instance


def _holds_on(merge: _Merge) -> None:
    del merge


LINES: dict[str, Line] = {
    "compare first": Line(
        9,
        "a store that is behind its hosts is noticed before anything is sent",
        replaced(Recovery, "_behind", _never_behind),
        COPY,
    ),
    "answers alone": Line(
        9,
        "only what a host answers to this process is compared, not what it said before",
        replaced(Recovery, "heard", _any_report_answers),
        COPY,
        seed=1,
    ),
    "another opening": Line(
        9,
        "hosts refuse what was decided before the store was opened last",
        replaced(Recovery, "_draw", _same_opening),
        COUNTED,
        # It takes a message that is late for very long: test_recover.py holds it.
        rare=True,
    ),
    "late is noticed": Line(
        9,
        "a host that has taken more than the open store ever gave closes it again",
        replaced(Recovery, "_outrun", _never_outrun),
        POWER,
        # Needed where a database is replaced under a running process, which no world does: see test_recover*.py.
        rare=True,
    ),
    "another incarnation": Line(
        10,
        "a recovered store is in a higher incarnation, and hosts refuse what an earlier one sent",
        replaced(Writer, "keep_meta", _same_incarnation),
        BUSY,
        seed=6,
    ),
    "the host wins": Line(
        10,
        "where a host is ahead of a row, its spec wins",
        replaced(verb._Merge, "_instance", _store_wins),
        COPY,
        seed=1,
    ),
    "gone stays gone": Line(
        10,
        "what a host remembers as gone is gone",
        replaced(verb._Merge, "_gone", _forgets_the_gone),
        Temper(verbs=("launch", "terminate"), restored="copy"),
        seed=56,
    ),
    "the forgotten is gone": Line(
        10,
        "what a host does not hold, and was allowed to forget since the copy was made, is gone",
        replaced(verb._Merge, "_forgotten", _remembers_nothing),
        Temper(verbs=("launch", "terminate"), restored="copy"),
        # It takes a copy, and a host that has forgotten removals since: test_removals.py holds it.
        rare=True,
    ),
    "vouched when held": Line(
        10,
        "removals are forgotten when their host holds all that is placed there",
        replaced(reports, "_vouch", _vouch_at_once),
        Temper(verbs=("launch", "terminate"), restored="copy"),
        # It takes an order that is late, a copy, and two removals: test_removals.py holds it.
        rare=True,
        seed=109,
    ),
    "tokens come back": Line(
        10,
        "a token leads to the instances that were made for it, as orders' records tell",
        replaced(verb._Merge, "_tokens", _remembers_nothing),
        Temper(verbs=("launch", "terminate"), restored="copy"),
        seed=15,
    ),
    "counted anew": Line(
        10,
        "claims and usage are counted anew",
        replaced(recount, "set_right", _not_counted),
        COPY,
    ),
    "ordered anew": Line(
        10,
        "everything is ordered again, above all that was ordered before",
        replaced(verb._Merge, "_again", _not_again),
        COPY,
        seed=27,
    ),
    "the unheard keeps its ports": Line(
        11,
        "a port is nobody's only if the host that its record names was heard, and has no such instance",
        replaced(verb._Merge, "_orphan", _every_unknown),
        LOST,
        seed=1,
    ),
    "the unheard waits": Line(
        11,
        "nothing is ordered anew, or decided, for a row whose host was not heard",
        replaced(verb._Merge, "_again", _no_wait),
        POWER,
        seed=233,
    ),
    "asked since": Line(
        11,
        "what was asked since a recovery without its host is newer than what that one holds",
        replaced(verb._Merge, "_since", _nothing_since),
        POWER,
        seed=22,
    ),
    "late is compared": Line(
        11,
        "a host whose answer the recovery had to do without is compared, in the store's incarnation too",
        replaced(comparison, "missed", _not_missed),
        LOST,
        seed=38,
    ),
    "let go is gone": Line(
        11,
        "what the engine was told to let go of was terminated, whatever a silent host holds",
        replaced(verb._Merge, "_let_go", _holds_on),
        ENDS,
        seed=1,
    ),
}
