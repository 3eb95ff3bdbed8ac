"""The comparison between an opened store and its hosts: nothing goes out before both were compared.

A store that is behind its hosts or its network engine was restored from an old copy, or is new. It is recovered: it
gets a higher incarnation, every host answers in that one with all that it holds, and one transaction merges it all.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from pileus.bus.messages import Ask
from pileus.loops import report as intake
from pileus.loops.closings import Closings
from pileus.loops.inquiry import Inquiry
from pileus.loops.merging import merge, unmergeable
from pileus.loops.standing import OPEN, OPEN_UNTIL, STANDING, stands
from pileus.model.errors import Fault
from pileus.model.host import LOST_AFTER, Host
from pileus.model.noun import NEVER, Revision
from pileus.rules import comparison
from pileus.rules import recover as verb
from pileus.store.reader import OPENING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pileus.bus.messages import Report
    from pileus.loops.gate import Gate
    from pileus.model.provider import NetworkEngine
    from pileus.rules.core import Core
    from pileus.store.reader import Reader

GRACE = 5.0
"""Seconds for which a known host that has not said anything yet is waited for before stores are compared without it."""

LONGEST = 300.0
"""Seconds for which a host's answer, or a step's end, is waited for at most, however long the last answer took."""

NOBODY = 15.0
"""Seconds of silence after which a store that knows no host has none: three times what hosts pause between reports."""

log = structlog.get_logger()


class Recovery:
    """Compares a store with hosts and engine when it is opened, and recovers it if it is behind.

    The store is closed from the making of this until it is `opened`. `heard` takes every report, from any thread;
    `tick` is to be called every now and then. With `requested` it is recovered whether or not it is behind.

    A `shared` store is looked after by several processes. While one of them keeps it open, another that starts need not
    compare it anew; each compares every host itself before it sends it anything. A store that any of them finds
    behind is closed for all.
    """

    def __init__(
        self, core: Core, gate: Gate, engine: NetworkEngine, *, requested: bool = False, shared: bool = False
    ) -> None:
        self._core = core
        self._store = core.store
        self._gate = gate
        self._engine = engine
        self._lock = threading.RLock()
        self._heard: dict[str, float] = {}
        self._placed: set[str] = set()
        self._told, self._compared = Closings(), Closings()
        self._refused: dict[str, str] = {}
        self._logged: dict[str, str] = {}
        self._patience: dict[str, float] = {}
        self._asked = requested
        self._known = self._latest = 0
        self.opened = False
        self.outcome: verb.Outcome | None = None
        """The result of this process's last recovery; None when there was nothing to recover."""
        self._shared = core.store.shared = shared
        self._store.closed = self._store.guarded = True
        self._begin()

    def _begin(self) -> None:
        """Begin to compare: only answers to what is asked from now on count."""
        self._inquiry = Inquiry(self._store.monotonic)
        self._highest: Revision | None = None
        self._opening: int | None = None

    # -- what happens ----------------------------------------------------------------------------------------------

    def heard(self, report: Report) -> None:
        """A host reported: take it in if that host was compared, else ask it, or take its answer."""
        self.heard_all([report])

    def heard_all(self, reports: Sequence[Report]) -> None:
        """The same for many reports, at most one of each host."""
        with self._lock:
            with self._store.read() as tx:
                last_revision = self._reached(tx)
            admitted_reports = [report for report in reports if self._admits(report, last_revision)]
        if admitted_reports:
            intake.absorb_all(self._core, admitted_reports)

    def _admits(self, report: Report, last_revision: Revision) -> bool:
        """Whether a report is of a host that was compared.

        `last_revision` is what the store had given after all were told.
        """
        self._heard[report.host] = self._store.monotonic()
        self._refused.pop(report.host, None)
        if not self._credible(report, last_revision):
            self._refuse(report.host, "It reports an incarnation, opening or revision that no store can have given.")
            return False
        if self._closes_again(report, last_revision):
            self._refuse(report.host, "The database was recovered because of it, and it has not answered since.")
            if not report.answer:
                self._ask(report.host)
            return False
        self._known = max(self._known, report.opening)
        if self._outrun(report, last_revision):
            return False
        if self._inquiry.answers_to(report):
            self._take(report)
            return False
        if report.host not in self._gate.admitted:
            self._inquiry.reported(report)
            self._ask(report.host)
            return False
        # A page of an answer to another question is no whole report: what it does not name is not absent.
        return report.pages == 1

    def _take(self, page: Report) -> None:
        """Take a page of a host's answer in, and go on when the answer is whole."""
        answer = self._inquiry.take(page)
        if answer is None:
            return
        if (answer.orders or {}).keys() - answer.bodies.keys():
            self._refuse(page.host, "Its answer has orders of bodies that the answer does not describe.")
        else:
            self._inquiry.answers[page.host] = answer
        self._advance()

    def _credible(self, report: Report, last_revision: Revision) -> bool:
        newest = max(last_revision[0], (self._highest or NEVER)[0])
        return comparison.credible(report, newest, max(self._latest, int(self._store.now() * 1000)))

    def _refuse(self, host: str, why: str) -> None:
        """Leave a host out, and only that one, until it says something else."""
        self._inquiry.leave_out(host)
        self._refused[host] = why
        if self._logged.get(host) != why:
            # It may report ten times a second.
            self._logged[host] = why
            log.warning("a host is left out of the comparison", host=host, reason=why)

    def _closes_again(self, report: Report, last_revision: Revision) -> bool:
        """Whether the store was closed because of this host, which did not answer then, and would be once more.

        One that reported more than it could answer then, because its disk was full, may close it with its answer.
        """
        now = self._store.monotonic()
        compared = self._compared.barred(report.host, last_revision[0], now)
        if not compared and not self._told.barred(report.host, last_revision[0], now):
            return False
        with self._store.read() as tx:
            recovering = tx.recovering
            if self._shows_more(report, last_revision, recovering=recovering):
                return True
            answers = self._inquiry.answers_to(report)
            # One that is slow would be compared in vain with less patience than it needs.
            slower = report.orders is not None and self._needed(report.host) > self._patient(report.host)
            return compared and answers and not (recovering or slower) and self._differs(tx, report, last_revision)

    def _reached(self, tx: Reader) -> Revision:
        """The highest revision that the store has given; beside that, note the latest opening that it had."""
        self._latest = tx.opening
        return tx.reached

    def tick(self) -> None:
        """Look at the engine, ask again those who have not answered, and go on without those who are away."""
        with self._lock:
            self._follow()
            if self.opened:
                return
            if self._highest is None:
                try:
                    recalled = list(self._engine.recall())
                    self._highest = max((entry.revision for entry in recalled), default=NEVER)
                    self._placed = verb.placed(recalled)
                except Fault as fault:
                    log.warning("the network engine cannot be compared yet", error=str(fault))
            for host in self.waiting():
                self._ask(host)
            self._advance()

    def waiting(self) -> list[str]:
        """The hosts whose answers are waited for."""
        now = self._store.monotonic()
        with self._store.read() as tx:
            known_hosts = {host.name for host in tx.list(Host)}
            patience = GRACE
            if tx.recovering:
                # A lost store knows no host; the engine knows whose the ports are.
                known_hosts |= self._placed
                patience = LOST_AFTER
        away = {host for host in known_hosts - self._heard.keys() if now - self._inquiry.began >= patience}
        heard_times = dict(self._heard)
        lost = {host for host, at in heard_times.items() if now - max(at, self._inquiry.began) >= self._patient(host)}
        answered = self._inquiry.answers.keys()
        return sorted((known_hosts | heard_times.keys()) - away - lost - self._mute() - answered - self._refused.keys())

    @property
    def deserted(self) -> bool:
        """Whether the store is open, and no host of it has answered this process."""
        return self.opened and not self._gate.admitted

    def _mute(self) -> set[str]:
        """The hosts that have reported for as long as an answer is waited for, and have not answered."""
        return self._inquiry.mute(self._patient)

    def _patient(self, host: str) -> float:
        """Seconds for which an answer of this host is waited for: longer once the store was closed for a late one."""
        return self._patience.get(host, LOST_AFTER)

    def _needed(self, host: str) -> float:
        """Twice the seconds for which this host has been asked, which its next answer may take; at most `LONGEST`."""
        return min(LONGEST, 2 * self._inquiry.asked_for(host))

    def unanswered(self) -> dict[str, str]:
        """The known hosts that reported within 30 s and that an open store could not be compared with, and why."""
        if not self.opened:
            return {}
        with self._store.read() as tx:
            known_hosts = {host.name for host in tx.list(Host)} | self._placed
        now = self._store.monotonic()
        reporting = {host for host, at in dict(self._heard).items() if now - at < LOST_AFTER}
        silent = (self._mute() - self._gate.admitted) | set(self._refused)
        return {f"host {host}": self._why(host) for host in sorted(silent & known_hosts & reporting)}

    def _why(self, host: str) -> str:
        """Why a host has not answered, as far as it has said."""
        refused = self._refused.get(host)
        if refused is not None:
            return refused
        report = self._inquiry.unanswered(host)
        if report is None or report.fault is None:
            return "It has not said yet what it holds."
        return f"It cannot say what it holds: {report.fault.code}: {report.fault.message}"

    def missing(self) -> dict[str, str]:
        """Return the reasons why the store is not open, by what it waits for; empty when it is open."""
        if self.opened:
            return {}
        with self._store.read() as tx:
            recovering = tx.recovering
        behind = "The database is older than what this cloud's hosts hold: it is recovered from them."
        reasons = {"recovery": behind} if recovering else {}
        if recovering and self._has_steps():
            reasons["steps"] = "What was begun before the recovery is still under way."
        hosts = {f"host {host}": self._why(host) for host in self.waiting()}
        awaited = hosts or ({} if self._inquiry.answers else {"host": self._why("")})
        return reasons | awaited | ({"network engine": self._why("")} if self._highest is None else {})

    # -- one thing after the other ---------------------------------------------------------------------------------

    def _draw(self) -> None:
        """Give the store a new opening, unless another process holds it open: hosts refuse what was decided before.

        An order of the store that was may be under way for long. Were it taken after the comparison, at a revision that
        this store has given to something else, nobody would notice.
        """
        with self._store.write(recovering=True) as tx:
            opening = tx.opening
            if not stands(tx, self._store.now()):
                # By the clock: an old copy does not know how often the store was opened after it was made.
                opening = max(opening, self._known, int(self._store.now() * 1000)) + 1
                tx.keep_meta(OPENING, opening)
        self._opening = opening

    def _overtaken(self, report: Report) -> bool:
        """Whether a host was asked in an opening that this store never had: it was put in another's place."""
        return report.opening > self._latest

    def _ask(self, host: str) -> None:
        if self._inquiry.is_answering(host, GRACE):
            # The other pages of its answer are under way.
            return
        if self._opening is None:
            self._draw()
        with self._store.read() as tx:
            recovering = tx.recovering
            incarnation = tx.incarnation
            rows = tx.many(Host, tx.holders("host", [host]).values())
            row = next(iter(rows.values()), None)
        ask = Ask(
            call=self._inquiry.call,
            incarnation=incarnation if recovering else 0,
            opening=self._opening or 0,
            orders=recovering,
            pages=recovering,
            epoch=row.seen.epoch if row is not None else 0,
            sequence=row.seen.sequence if row is not None else 0,
        )
        self._inquiry.asks(host)
        self._gate.bus.send(host, ask)

    def _advance(self) -> None:
        with self._store.read() as tx:
            last_revision, recovering = self._reached(tx), tx.recovering
        if self._behind(last_revision, recovering=recovering):
            self._close(last_revision)
            return
        if self.opened:
            self._admit()
        elif self._highest is not None and not self.waiting() and self._enough():
            if recovering:
                if self._has_steps() or not self._recovered():
                    return
            else:
                self._without()
            self._open()
            self._admit()

    def _has_steps(self) -> bool:
        """Whether steps of a lost time are still under way: what they tell the engine is to be merged too."""
        return self._store.has_steps() and self._store.monotonic() - self._inquiry.began < LONGEST

    def _enough(self) -> bool:
        """Whether an opening can do with the hosts that have answered."""
        return bool(self._inquiry.answers) or self._hostless() or self._deserted()

    def _hostless(self) -> bool:
        """Whether a shared store has no hosts yet: the first could not join one that waits for it.

        Had it lost the rows of some, these would have said something by now; if they do later, it is closed then.
        """
        if not self._shared or self._heard or self._store.monotonic() - self._inquiry.began < NOBODY:
            return False
        with self._store.read() as tx:
            return not any(host.seen.heard for host in tx.list(Host))

    def _deserted(self) -> bool:
        """Whether there are hosts, and none of them has answered for as long as any is waited for."""
        with self._store.read() as tx:
            has_rows = any(True for _ in tx.list(Host))
        exist = has_rows or bool(self._placed) or bool(self._heard)
        return exist and self._store.monotonic() - self._inquiry.began >= LOST_AFTER

    def _open(self) -> None:
        self._store.closed = False
        self.opened = True
        self._follow()

    def _follow(self) -> None:
        """Close when a recovery has begun; of a shared store, open when another process has, and keep it open.

        A transaction of any process that meets an older copy in the store's place begins one. Hosts may show it too
        late: loops that go on from a copy give higher revisions than hosts have seen.
        """
        with self._store.read() as tx:
            recovering, standing = tx.recovering, stands(tx, self._store.now())
            remaining = tx.meta(OPEN_UNTIL) - self._store.now()
            # An older copy that no revision tells apart may be one that was opened without them.
            self._gate.admitted -= comparison.late_among(tx, self._gate.admitted)
        if self.opened and recovering:
            log.warning("a recovery of the store has begun")
            self._gate.admitted = frozenset()
            self._store.closed = True
            self.opened = False
            self._begin()
        elif not self._shared:
            return
        elif self.opened and (not standing or remaining < STANDING / 2):
            with self._store.write() as tx:
                tx.keep_meta(OPEN, tx.incarnation)
                tx.keep_meta(OPEN_UNTIL, int(self._store.now()) + STANDING)
        elif standing and not self.opened and not self._asked:
            self._store.closed = False
            self.opened = True

    def _outrun(self, report: Report, last_revision: Revision) -> bool:
        """Whether a host that reports to an open store knows what it never gave: then it is closed for all.

        It was put in another's place while processes ran, or an order of the process before was under way when the
        host was compared. A host's sighting stays true however late it is told.
        """
        if not self.opened:
            return False
        if not self._shows_more(report, last_revision, recovering=False):
            return False
        self._inquiry.answers = {report.host: report}
        self._close(last_revision)
        return True

    def _shows_more(self, report: Report, last_revision: Revision, *, recovering: bool) -> bool:
        """Whether a host knows of what this store never gave, which is true in any report, however old."""
        if report.incarnation > last_revision[0] or self._overtaken(report):
            return True
        return not recovering and report.highest > last_revision

    @staticmethod
    def _differs(tx: Reader, report: Report, last_revision: Revision) -> bool:
        """Whether an answer shows that the store was opened without this host, or that the host is in another one."""
        before = report.highest != NEVER and report.incarnation < last_revision[0]
        return before or comparison.missed(tx, report) or comparison.ahead(tx, report)

    def _differing(self, last_revision: Revision, *, recovering: bool) -> set[str]:
        """The hosts because of which the store has to be recovered."""
        reports = self._inquiry.reports()
        differing = {
            report.host for report in reports if self._shows_more(report, last_revision, recovering=recovering)
        }
        if not recovering:
            with self._store.read() as tx:
                answers = self._inquiry.answers.items()
                differing |= {host for host, report in answers if self._differs(tx, report, last_revision)}
        return differing

    def _behind(self, last_revision: Revision, *, recovering: bool) -> bool:
        """Whether a host, or the engine, knows of what this store never gave, or a host of another incarnation."""
        if self._differing(last_revision, recovering=recovering):
            return True
        return not recovering and (self._asked or (self._highest is not None and self._highest > last_revision))

    def _close(self, last_revision: Revision) -> None:
        """Begin a recovery: the store is in an incarnation above all that anybody knows, and no wake is anybody's."""
        incarnations = [last_revision[0], (self._highest or NEVER)[0], self._store.reached[0]]
        incarnations += [max(report.incarnation, report.highest[0]) for report in self._inquiry.reports()]
        incarnation = max(incarnations) + 1
        self._blame(last_revision, incarnation)
        self._gate.admitted = frozenset()
        self._store.closed = True
        self.opened = False
        with self._store.write(recovering=True) as tx:
            # Another process may have begun, or even ended, a recovery since that was read.
            if tx.incarnation == last_revision[0]:
                tx.begin_recovery(incarnation)
        log.warning("older than what its hosts hold: recovering", given=last_revision, incarnation=incarnation)
        self._asked = False
        highest = self._highest
        self._begin()
        self._highest = highest
        for host in self.waiting():
            self._ask(host)

    def _blame(self, last_revision: Revision, incarnation: int) -> None:
        """Note the hosts because of which the store is closed, and how long an answer of each may take next time."""
        with self._store.read() as tx:
            recovering = tx.recovering
        culprits, now = self._differing(last_revision, recovering=recovering), self._store.monotonic()
        self._told.closed(culprits, incarnation, now)
        answers = [answer for host, answer in self._inquiry.answers.items() if host in culprits]
        compared = [answer for answer in answers if answer.answer == self._inquiry.call]
        self._compared.closed((answer.host for answer in compared), incarnation, now)
        late = [answer.host for answer in compared if answer.orders is not None]
        self._patience |= {host: max(self._patient(host), self._needed(host)) for host in late}

    def _recovered(self) -> bool:
        """All have answered in the store's incarnation: merge what they hold. False when the engine is away now."""
        try:
            recalled = list(self._engine.recall())
        except Fault as fault:
            log.warning("the network engine cannot be asked now", error=str(fault))
            return False
        try:
            outcome = merge(self._store, self._inquiry.answers, recalled)
        except Exception:
            failing = unmergeable(self._store, self._inquiry.answers, recalled)
            for host in failing:
                self._refuse(host, "Its answer cannot be merged: the log says why.")
            if not failing:
                raise
            # The next look merges the answers of the others.
            return False
        if outcome is None:
            # Another process has done it meanwhile: the store is compared once more, as it is now.
            return False
        self.outcome = outcome
        log.warning("recovered", **{name: len(getattr(self.outcome, name)) for name in self.outcome.__struct_fields__})
        return True

    def _without(self) -> None:
        """Known hosts that are away now may know better, later: what they have waits for them."""
        with self._store.read() as tx:
            silent = {host.name for host in tx.list(Host)} - self._inquiry.answers.keys()
        if silent:
            with self._store.write(recovering=True) as tx:
                for host in silent:
                    comparison.without(tx, host)

    def _admit(self) -> None:
        """Take in what those said who answered, and let orders pass to them.

        In this order: who is admitted is believed, and what it had said before its answer may still come.
        """
        answers = self._inquiry.answers
        with self._store.read() as tx:
            late = [host for host in answers if comparison.late(tx, host)]
        if late:
            with self._store.write() as tx:
                for host in late:
                    comparison.caught_up(tx, host)
        if answers:
            intake.absorb_all(self._core, list(answers.values()))
        self._gate.admitted |= answers.keys()
        for host in answers:
            self._logged.pop(host, None)
        self._told.answered(answers)
        self._compared.answered(answers)
        self._inquiry.answers = {}
