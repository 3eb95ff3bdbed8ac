"""The store as the other rooms see it: snapshots, transactions, and the queue of wakes."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from sqlalchemy import delete, update

from pileus.model.errors import Unavailable
from pileus.model.host import Host
from pileus.model.noun import NEVER
from pileus.model.nouns import NOUNS
from pileus.store import statements, tables
from pileus.store.cache import Cache
from pileus.store.clock import Clock
from pileus.store.engine import Database
from pileus.store.identities import Identities
from pileus.store.journal import JournalSweep
from pileus.store.keyuse import drop_uses
from pileus.store.reader import Reader, read_numbers
from pileus.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pileus.model.noun import Noun, Revision
    from pileus.store.direct import StatementExecutor
    from pileus.store.identities import Identity

LEASE = 60.0
"""Seconds for which a leased wake belongs to one worker."""

RESYNCED = 200
"""Nouns of a kind that one resync looks at: ten a second of each, for it comes every twenty seconds."""

PROVED = "proved"
"""The number in `meta` that says when it was last found out that the database can be written, in seconds."""

TOMBSTONE = 24 * 3600.0
"""Seconds for which a tombstone answers; longer than any pause of any process."""

ERASED = "erased"
"""The number in `meta` that says until when, in seconds, tombstones and tokens were erased."""

TOGETHER = 100
"""Tombstones beyond a project's bound that one transaction erases."""

HASTE = 2
"""Seconds by which `ERASED` moves at most in a second of a monotonic clock: so long does a jump of the time take."""


log = structlog.get_logger()


class LeasedWake(msgspec.Struct, frozen=True):
    """A wake that a worker has leased: which noun, how often it had been woken, and how often it was tried in vain.

    `request` is the last one that asked for it, `lag` the seconds for which it had been due.
    """

    kind: str
    uuid: str
    wakes: int
    tries: int
    until: float
    request: str = ""
    lag: float = 0.0


class Store:
    """Opens `url`; `migrate` must have run on it before. `now` is the clock of everything stored, in seconds.

    A `now` that is no `Clock` is one that nobody sets.
    """

    def __init__(self, url: str, *, sync: str = "normal", now: Callable[[], float] | None = None) -> None:
        self.engine = Database(url, sync=sync)
        self.now = now or Clock()
        self._swept = int(self.now() - TOMBSTONE), self.monotonic()
        """`ERASED` as this process saw it last, and when that was by the monotonic clock."""
        self._cache = Cache()
        self._snapshot = threading.local()
        self._identities = Identities()
        self.closed = False
        """Whether nothing may be written but what recovers it, and no wake be had."""
        self.shared = False
        """Whether other processes use it too."""
        self.guarded = False
        """Whether every transaction looks for a recovery that has begun, and for an older copy in the store's place."""
        self.reached: Revision = NEVER
        """The highest revision that the store was seen to have given, where it is guarded."""
        self._set_back = False
        """Whether the clock was set back, and due times are still those of before."""
        self._resynced: dict[str, str] = {}
        """Up to which uuid the last resync came, by kind."""
        self._sweep = JournalSweep()
        self._leased: set[LeasedWake] = set()
        """The wakes that this process has leased and not given back."""
        self._owed: dict[LeasedWake, tuple[float | None, bool]] = {}
        self._on_commit: list[Callable[[bool, set[str]], None]] = []

    @property
    def trouble(self) -> Unavailable | None:
        """Why the database could not be used when that was tried last; None since it could be written."""
        return self.engine.trouble

    @property
    def embedded(self) -> bool:
        """Whether the database is a file that this process reads itself: a snapshot waits for no server or writer."""
        return bool(self.engine.dialect.file)

    @property
    def replaced(self) -> bool:
        """Whether the database's file or log was deleted or replaced: this process is to begin anew."""
        return self.engine.replaced

    def abandon(self) -> bool:
        """Leave the files of a replaced database as the next process needs them; the process is to end at once then.

        Returns whether all that was committed is in them.
        """
        return self.engine.abandon()

    def listen(self, callback: Callable[[bool, set[str]], None]) -> None:
        """Call back after each commit with whether anything was woken, and the kinds of nouns touched."""
        self._on_commit.append(callback)

    def _first(self, session: StatementExecutor) -> Any:
        """The numbers that nearly every transaction looks at, where they cost no round trip of their own."""
        return read_numbers(session) if self.engine.dialect.pipelined else None

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """One snapshot; within a block of `one_snapshot`, that block's."""
        reader: Reader | None = getattr(self._snapshot, "reader", None)
        if reader is not None:
            yield reader
            return
        with self.engine.read(self._first) as connection:
            yield Reader(self.engine.direct(connection), self._cache)

    @contextmanager
    def one_snapshot(self) -> Iterator[Reader]:
        """Context manager: each `read` of this thread in the block is of one snapshot. The block writes nothing."""
        with self.read() as reader:
            self._snapshot.reader = reader
            try:
                yield reader
            finally:
                self._snapshot.reader = None

    def identities(self, cls: type[Noun], ids: Iterable[str]) -> dict[str, Identity]:
        """The uuids and projects of nouns by their EC2 ids, ended ones too; ids of nothing are absent.

        The database is asked for those alone that this process has not seen: whoever acts on one looks at its row.
        """

        def look(unknown_ids: list[str]) -> dict[str, Identity]:
            with self.read() as tx:
                return tx.identities(cls, unknown_ids)

        return self._identities.of(cls.KIND, ids, look)

    def has_shown(self, project: str, ident: str) -> bool:
        """Whether a project has seen the noun of another with this EC2 id; it may not see the noun any more."""
        return self._identities.has_shown(project, ident)

    def note_shown(self, project: str, idents: Iterable[str]) -> None:
        """Note that a project has seen the nouns of others with these EC2 ids."""
        self._identities.note_shown(project, idents)

    @contextmanager
    def write(self, *, recovering: bool = False, lasting: bool = True) -> Iterator[Writer]:
        """One transaction; what it wakes and touches is told after the commit.

        A crash of the database's server may take back a transaction that is not `lasting`, unless a lasting one came
        after it: it is for work that will be seen, or done, once more then. It gives no revision and acknowledges
        nothing.

        Raises Unavailable, to all but those who are `recovering` it, while the store is `closed` or is recovered. A
        `guarded` one that this process has seen at a higher revision is an older copy: its recovery begins here.
        """
        before = self.reached
        with self.engine.write(lasting=lasting, first=self._first) as connection:
            writer = Writer(self.engine.direct(connection), self.now(), self._cache)
            writer.replacing = recovering
            if not recovering and (self.closed or (self.guarded and writer.recovering)):
                raise _compared()
            is_older = self.guarded and not recovering and writer.reached < before
            if is_older:
                log.warning("older than it was: recovering", given=writer.reached, reached=before)
                writer.begin_recovery(before[0] + 1)
            else:
                yield writer
                writer.count_versions()
            reached = writer.reached if self.guarded else NEVER
        if is_older:
            raise _compared()
        self.reached = max(self.reached, reached)
        for callback in self._on_commit:
            callback(writer.woken, writer.touched)

    def prove(self) -> None:
        """Write what nobody reads. Raises Unavailable while the database cannot be written."""
        with self.write() as tx:
            tx.keep_meta(PROVED, int(tx.now))

    def lease_wakes(self, most: int) -> list[LeasedWake]:
        """Lease up to `most` wakes that are due and nobody's, those that have been due for longest."""
        if self.closed:
            return []
        self._set_back = self._set_back or (isinstance(self.now, Clock) and self.now.was_set_back())
        if self._set_back:
            self._bring_forward()
            self._set_back = False
        self._give_owed()
        now = self.now()
        if not self.engine.look(lambda session: _due(session, now, 1)):
            return []
        with self.engine.write(lasting=False, first=lambda session: _due(session, now, most)) as connection:
            leased_wakes = self._lease(self.engine.direct(connection), now)
        self._leased.update(leased_wakes)
        return leased_wakes

    def finish_wakes(
        self, done: Sequence[tuple[LeasedWake, float | None, bool]], *, lease: int = 0
    ) -> list[LeasedWake]:
        """Give wakes back, each with when it is due (None: when woken or resynced) and whether it failed.

        One that was woken meanwhile is due at once. With `lease`, lease up to that many others in the same transaction.
        A wake that cannot be given back now, perhaps because the disk is full, is given back before this process leases
        another one: it would wait for its lease's end.
        """
        self._leased.difference_update(wake for wake, _, _ in done)
        try:
            now = self.now()

            def first(session: StatementExecutor) -> Any:
                self._give(session, done)
                return _due(session, now, lease) if lease else []

            with self.engine.write(lasting=False, first=first) as connection:
                leased_wakes = self._lease(self.engine.direct(connection), now)
        except Unavailable:
            self._owed.update({wake: (due, failed) for wake, due, failed in done})
            raise
        self._leased.update(leased_wakes)
        return leased_wakes

    def next_due(self) -> float | None:
        """The earliest stored due time."""
        due: float | None = self.engine.look(lambda session: Reader(session).next_due())
        return due

    def has_steps(self) -> bool:
        """Whether a worker of this process is at a step."""
        return bool(self._leased)

    def _give_owed(self) -> None:
        owed = self._owed.copy()
        if not owed:
            return
        with self.engine.write(lasting=False) as connection:
            self._give(self.engine.direct(connection), [(wake, due, failed) for wake, (due, failed) in owed.items()])
        for wake in owed:
            self._owed.pop(wake, None)

    def _give(self, session: StatementExecutor, done: Iterable[tuple[LeasedWake, float | None, bool]]) -> None:
        # A failure of a wake that nobody has touched since: the number of tries in the row is the one leased.
        now = self.now()
        alike: dict[tuple[str, float, int, float | None, int], list[str]] = {}
        for wake, due, failed in done:
            tries = wake.tries + 1 if failed else 0
            alike.setdefault((wake.kind, wake.until, wake.wakes, due, tries), []).append(wake.uuid)
        for (kind, until, wakes, due, tries), uuids in alike.items():
            values = {"leased_until": until, "seen": wakes, "later": due, "now": now, "failed": tries}
            session.defer(statements.GIVE_WAKES, {"of_kind": kind, "uuids": uuids, **values})

    def _lease(self, session: StatementExecutor, now: float) -> list[LeasedWake]:
        """Lease the wakes that the transaction's first statement found due."""
        rows = [] if self.closed else session.first
        until = now + LEASE
        by_kind: dict[str, list[str]] = {}
        for row in rows:
            by_kind.setdefault(row.kind, []).append(row.uuid)
        for kind, uuids in by_kind.items():
            # Due again when the lease ends: a worker that dies has not lost the wake.
            session.defer(statements.LEASE_WAKES, {"of_kind": kind, "uuids": uuids, "until": until, "due": until})
        return [LeasedWake(row.kind, row.uuid, row.wakes, row.tries, until, row.request, now - row.due) for row in rows]

    def release_wakes(self) -> None:
        """Give back every leased wake; for a process that knows it is the only one, as it starts.

        A wake that is due later is due now: its time may be of a clock that was set back since.
        """
        table, now = tables.wake, self.now()
        with self.engine.write() as connection:
            late = (table.c.until > 0.0) | (table.c.due > now)
            connection.execute(update(table).where(late).values(until=0.0, due=now))

    def _bring_forward(self) -> None:
        """Make later wakes due now, and bound every lease: the clock was set back."""
        log.warning("the machine's clock was set back")
        now = self.now()
        with self.engine.write(lasting=False) as connection:
            connection.execute(statements.END_LEASES, {"beyond": now + LEASE})
            connection.execute(statements.BRING_FORWARD, {"beyond": now, "at": now})

    def wake_everything(self, kinds: Iterable[str]) -> None:
        """The resync: living nouns of these kinds are due, and wakes of what ended are dropped.

        Of a kind with more than `RESYNCED` nouns it takes so many, and goes on from there the next time: what is not at
        rest has a wake of its own. A lease, or a due time, that is later than any could be was given before the clock
        was set back: it has come.
        """
        with self.write(lasting=False) as tx:
            tx.sql.execute(statements.END_LEASES, {"beyond": self.now() + 2 * LEASE})
            tx.sql.execute(statements.BRING_FORWARD, {"beyond": self.now() + 2 * LEASE, "at": self.now()})
            for kind in kinds:
                living, drop_dead = statements.living(kind)
                after = self._resynced.get(kind, "")
                uuids = [row.uuid for row in tx.sql.execute(living, {"after": after, "most": RESYNCED})]
                self._resynced[kind] = uuids[-1] if len(uuids) == RESYNCED else ""
                tx.wake_all(kind, uuids)
                tx.sql.execute(drop_dead)

    def forget_tombstones(self) -> None:
        """Erase tombstones, and idempotency rows, that are older than a day; half a day, where the clock was set.

        A project's tombstones beyond `bounds.TOMBSTONES` go before their time.

        Removed hosts are kept: a host that is readmitted has its certificates.
        """
        with self.write() as tx:
            before = self._erasable(tx)
            for cls in NOUNS.values():
                if cls is not Host:
                    tx.erase(cls, before)
            tx.sql.execute(delete(tables.idempotency).where(tables.idempotency.c.at < before))
            drop_uses(tx)
        for cls in NOUNS.values():
            if cls.QUOTA:
                self._forget_surplus(cls)

    def _forget_surplus(self, cls: type[Noun]) -> None:
        """Erase the tombstones of each project that are beyond its bound, as many as there are.

        Every place that could have held anything of them has confirmed that it does not, or they were none.
        """
        with self.read() as tx:
            surplus = tx.surplus_tombstones(cls)
        for start in range(0, len(surplus), TOGETHER):
            with self.write(lasting=False) as tx:
                tx.erase_these(cls, surplus[start : start + TOGETHER])

    def _erasable(self, tx: Writer) -> int:
        """The time before which rows may be erased: a day ago, but never further ahead than monotonic time has passed.

        It is never above a day before the time that rows are given now. So a row is erased only after it has moved by
        a day, which takes half a day of some process's life, whatever becomes of the wall clock meanwhile. An exception
        is a row that ended while the clock was more than a day behind, if no sweep met it before the clock was right.
        """
        before, stored, now = int(self.now() - TOMBSTONE), tx.meta(ERASED), self.monotonic()
        erased, at = self._swept
        # Of several processes that sweep, only the one that moved it last goes on.
        passed = now - at if stored in (0, erased) else 0.0
        before = min(before, (stored or erased) + int(HASTE * passed))
        if before != stored:
            tx.keep_meta(ERASED, before)
        self._swept = before, now
        return before

    def monotonic(self) -> float:
        """Seconds of the monotonic clock: how long something takes is measured by it, never by `now`."""
        return self.now.monotonic() if isinstance(self.now, Clock) else self.now()

    def shorten_journal(self) -> int:
        """Erase lines of the journal beyond `bounds.JOURNAL` and `bounds.OPEN_JOURNAL` of a noun; how many."""
        return self._sweep.sweep(self)

    def close(self) -> None:
        """Close every connection."""
        self.engine.close()


def _due(session: StatementExecutor, now: float, most: int) -> list[Any]:
    """The rows of up to `most` wakes that are due and nobody's."""
    rows: list[Any] = session.execute(statements.NEXT_WAKE, {"at": now, "most": most}).all()
    return rows


def _compared() -> Unavailable:
    text = "The cloud compares its database with what its hosts hold, and takes no changes until that is done"
    return Unavailable(f"{text}; try again shortly.", noun="store", reason="recovering")
