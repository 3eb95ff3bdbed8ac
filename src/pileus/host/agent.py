"""The agent's rules, free of threads: which orders it takes, one step for one body, and what it reports."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import structlog

from pileus.bus import pages
from pileus.bus.messages import FORGOTTEN, Ask, BodyReport, Order, Removed, Report
from pileus.host.book import Book, BookEntry, specs_of
from pileus.host.capture import HostCaptures
from pileus.model import bounds, disk
from pileus.model.errors import Fault
from pileus.model.host import Capacity
from pileus.model.instance import Body, Power, Step, next_step
from pileus.model.noun import NEVER, SeenFault
from pileus.model.provider import BodyRef
from pileus.model.spec import ImageSpec, InstanceSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pileus.model.instance import PowerState
    from pileus.model.provider import Provider, SeenBody

SOON = 0.25
"""Seconds until a body that is on its way (a guest shutting down) is looked at again."""

CALM = 60.0
"""Seconds that a body has to run for its earlier falls to be forgotten."""

LONGEST = 30.0
"""Seconds between fall and start of a body that keeps on falling."""

MOST = bounds.REMOVALS.most
"""Removals that are remembered before the host asks to forget the older half."""

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}", re.ASCII)
"""The form of the id of an order."""

log = structlog.get_logger()


class _Kind(NamedTuple):
    """One kind of spec: `take` changes the entry of a new order, `step` brings a body closer to its order."""

    take: Callable[[BookEntry, Any], BookEntry]
    step: Callable[[BookEntry, Any], tuple[BookEntry, float | None]]


class Agent:
    """One host's mind. `take`, `step` and `report` may be called from any thread; `step` once at a time per body."""

    def __init__(
        self,
        name: str,
        provider: Provider,
        book: Book,
        *,
        zone: str = "",
        chassis: str = "",
        capacity: Capacity | None = None,
        traits: tuple[str, ...] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.provider = provider
        self.book = book
        self.now = now
        self._zone = zone
        self._chassis = chassis
        self._capacity = capacity or Capacity()
        self._traits = traits
        self._lock = threading.RLock()
        self._sequence = self._spoke = 0
        self._found = False
        self._told: set[str] = set()
        self._changed: set[str] = set()
        self._unknown: tuple[str, ...] = ()
        self._refused: dict[str, SeenFault] = {}
        self._unanswered: SeenFault | None = None
        self._captures = HostCaptures(provider, book, now)
        self._kinds = {
            InstanceSpec.KIND: _Kind(_carried, self._step_instance),
            ImageSpec.KIND: _Kind(self._captures.take, self._step_capture),
        }
        self.wake: Callable[[str], None] = lambda _uuid: None
        """Has a body looked at, for whose step another body's waits."""
        self._begin()

    def _begin(self) -> None:
        """Count a start; where the disk takes nothing, in memory: the cloud says when it has heard of a later one."""
        try:
            self.book.begin()
        except OSError as error:
            if not disk.trouble(error):
                raise
            fault = _disk_fault(error)
            log.warning("start not written", code=fault.code, message=fault.message)
            self._unanswered = self._shown(fault)
            self.book.start = msgspec.structs.replace(self.book.start, epoch=self.book.start.epoch + 1)

    # -- orders --------------------------------------------------------------------------------------------------

    def take(self, order: Order) -> bool:
        """Keep an order, unless it is older than what is held or than a removal; True when there is work to do.

        An order that cannot be kept is not done: the next report says why, and the cloud orders it again.
        """
        with self._lock:
            if not self.accepts(order):
                return False
            try:
                has_work = self._keep(order)
            except OSError as error:
                fault = _disk_fault(error)
                log.warning("order not kept", uuid=order.uuid, code=fault.code, message=fault.message)
                self._refused[order.uuid] = self._shown(fault)
                self._changed.add(order.uuid)
                return False
            self._refused.pop(order.uuid, None)
        log.info("order taken", uuid=order.uuid, revision=order.revision, request=order.request or None)
        return has_work

    def _keep(self, order: Order) -> bool:
        self.book.raise_highest(order.revision)
        entry = self.book.entries.get(order.uuid)
        if entry is None:
            # A removal of what was never here is done, and remembered, all the same: its order may still be on the way,
            # and a book that is an old copy may not know of a body.
            entry = BookEntry(uuid=order.uuid, revision=order.revision, kind=order.kind)
        changed = msgspec.structs.replace(
            entry, revision=order.revision, spec=order.spec, why=order.why, fault=None, request=order.request
        )
        if order.spec is not None:
            changed = self._kinds[order.spec.KIND].take(changed, order.spec)
        self.book.keep(changed)
        return True

    def project_of(self, order: Order) -> str:
        """The project that an order is for, empty where the host cannot tell: a removal names none."""
        if order.spec is not None:
            return order.spec.project
        entry = self.book.entries.get(order.uuid)
        return entry.project if entry is not None else ""

    def accepts(self, order: Order) -> bool:
        """Whether an order is news: not of an earlier incarnation or opening, above what is held or was removed.

        An order whose id could not be the name of a file, or is not its spec's, is refused: the host names files and
        folders after it.
        """
        if not _ID.fullmatch(order.uuid) or (order.spec is not None and order.spec.uuid != order.uuid):
            log.warning("order not kept", uuid=order.uuid[:40], code="Malformed", message="its id is no uuid")
            return False
        start = self.book.start
        # Processes of a version that knows no openings, which may run beside those that do, name none.
        if order.revision[0] < start.incarnation or 0 < order.opening < start.opening:
            return False
        removed = self.book.removed.get(order.uuid)
        if removed is not None and order.revision <= removed.revision:
            self._told.add(order.uuid)
            return False
        entry = self.book.entries.get(order.uuid)
        if entry is None and order.spec is not None and order.revision <= self.book.forgotten:
            # Perhaps its removal was forgotten; if not, the cloud orders it again, above that.
            self._told.add(order.uuid)
            return False
        if entry is not None and order.revision <= entry.revision:
            self._changed.add(order.uuid)
            return False
        return True

    def specs(self) -> dict[str, InstanceSpec]:
        """The specs of instances held now, by uuid; removals are none."""
        with self._lock:
            return specs_of(InstanceSpec, self.book.entries.values())

    # -- steps ---------------------------------------------------------------------------------------------------

    def step(self, uuid: str) -> float | None:
        """One step for one body; returns seconds until the next look, None when it is as ordered."""
        entry = self.book.entries.get(uuid)
        if entry is None:
            return None
        try:
            with structlog.contextvars.bound_contextvars(request=entry.request or None):
                done, after = self._step(entry)
            with self._lock:
                self._save(uuid, done)
        except OSError as error:
            if not disk.trouble(error):
                raise
            fault = _disk_fault(error)
            self._blame(uuid, entry, fault)
            raise fault from error
        except Fault as fault:
            self._blame(uuid, entry, fault)
            raise
        return after

    def _step(self, entry: BookEntry) -> tuple[BookEntry, float | None]:
        if entry.spec is None:
            return self._remove(entry)
        return self._kinds[entry.spec.KIND].step(entry, entry.spec)

    def _step_capture(self, entry: BookEntry, spec: ImageSpec) -> tuple[BookEntry, float | None]:
        done, after = self._captures.step(entry, spec, self.wake)
        if spec.reboot and done.capture != entry.capture:
            # Its instance may be waiting for just this.
            with self._lock:
                self._save(entry.uuid, done)
            self.wake(spec.instance)
        return done, after

    def _step_instance(self, entry: BookEntry, spec: InstanceSpec) -> tuple[BookEntry, float | None]:
        ref = BodyRef(kind=entry.kind, uuid=entry.uuid, revision=entry.revision)
        entry = self._absorb(entry, self.provider.observe(ref))
        entry, holding = self._held(entry)
        step = next_step(_power(spec, "stopped").power if holding else spec.power, spec.reboot, entry.body)
        if holding and step is Step.NONE:
            if not entry.body.held:
                entry = _with_body(entry, held=True)
                with self._lock:
                    self._save(entry.uuid, entry)
                self.wake(holding)
            return entry, SOON
        if step is Step.STOP:
            # Written before the guest is asked: whatever dies now, this is not a shutdown by the guest.
            entry = _with_body(entry, ordered_stop=True, held=False)
            with self._lock:
                self._save(entry.uuid, entry)
            self.provider.ensure(_power(spec, "stopped"))
            entry = self._absorb(entry, self.provider.observe(ref))
            return entry, 0.0 if not entry.body.running else SOON
        if step is Step.START and fell(entry, spec):
            # A start that is ahead of the clock was before the clock was set back.
            remaining_pause = min(pause(entry.falls), entry.since + pause(entry.falls) - self.now())
            if remaining_pause > 0:
                times = f"it went down {entry.falls} times in a row soon after its start"
                fault = Fault("GuestFalls", f"{times}; the console log may say why")
                return msgspec.structs.replace(entry, fault=self._shown(fault)), remaining_pause
        wants_start = spec.power.state == "running" and entry.body.satisfied != spec.power.n
        start = step is Step.START or (step is Step.MAKE and wants_start and not holding)
        if step is Step.NONE and entry.body.running:
            # Its guest may have ended itself since it was looked at: nothing here may start it again.
            self.provider.ensure(_power(spec, "running", keep=True))
        else:
            self.provider.ensure(_power(spec, "running" if start else "stopped"))
        seen = self.provider.observe(ref)
        if start and seen is not None and seen.running:
            entry = _with_body(entry, exists=True, running=True, up=seen.up, ordered_stop=False)
            entry = msgspec.structs.replace(entry, ever=True, since=self.now())
        else:
            entry = self._absorb(entry, seen)
        return self._applied(entry, spec, started=start)

    def _held(self, entry: BookEntry) -> tuple[BookEntry, str]:
        """The capture it is kept down for; what relies on that is told of the end before anything starts it."""
        with self._lock:
            holding = self._captures.hold(entry.uuid, held_down=entry.body.held)
            if entry.body.held and not holding:
                entry = _with_body(entry, held=False)
                self._save(entry.uuid, entry)
        return entry, holding

    def _applied(self, entry: BookEntry, spec: InstanceSpec, *, started: bool) -> tuple[BookEntry, float | None]:
        """After an `ensure`: whether the body now is what the spec says, and what is remembered then."""
        if not entry.body.exists or (started and not entry.body.running):
            return entry, SOON
        if next_step(spec.power, spec.reboot, entry.body) is not Step.NONE and not started:
            return entry, 0.0
        if spec.power.n != entry.body.n:
            entry = msgspec.structs.replace(entry, falls=0)
        entry = _with_body(entry, n=spec.power.n, reboot=spec.reboot)
        return msgspec.structs.replace(entry, applied=entry.revision, fault=None), None

    def _absorb(self, entry: BookEntry, seen: SeenBody | None) -> BookEntry:
        """Note the seen state of a body; one that its guest ended by itself satisfies its power number."""
        body = entry.body
        if seen is None:
            ended = body.running
            return _with_body(
                entry, exists=False, running=False, up=False, ordered_stop=body.ordered_stop and not ended
            )
        if body.running and not seen.running:
            calm = self.now() - entry.since >= CALM
            falls = 0 if body.ordered_stop else 1 if calm else entry.falls + 1
            entry = msgspec.structs.replace(entry, since=self.now(), falls=falls)
            if seen.cause == "guest" and not body.ordered_stop:
                entry = _with_body(entry, satisfied=max(body.satisfied, body.n))
        if seen.running and not entry.ever:
            entry = msgspec.structs.replace(entry, ever=True, since=self.now())
        stopping = body.ordered_stop and seen.running
        up = seen.running and (seen.up or (body.running and body.up))
        return _with_body(entry, exists=True, running=seen.running, up=up, ordered_stop=stopping)

    def _remove(self, entry: BookEntry) -> tuple[BookEntry, float | None]:
        ref = BodyRef(kind=entry.kind, uuid=entry.uuid, revision=entry.revision)
        entry = self._absorb(entry, self.provider.observe(ref))
        self.provider.remove(ref)
        if self.provider.observe(ref) is not None:
            return entry, SOON
        with self._lock:
            current = self.book.entries.get(entry.uuid)
            if current is None or current.revision != entry.revision:
                return entry, 0.0
            removed = Removed(revision=entry.revision, why=entry.why, satisfied=entry.body.satisfied)
            self.book.remember(entry.uuid, removed)
            self._told.add(entry.uuid)
            self._changed.discard(entry.uuid)
        return entry, None

    def _save(self, uuid: str, done: BookEntry) -> None:
        """Keep what came of a step, unless a newer order came meanwhile: of that, only the body is kept."""
        current = self.book.entries.get(uuid)
        if current is None:
            return
        if current.revision != done.revision:
            body = msgspec.structs.replace(done.body, satisfied=max(done.body.satisfied, current.body.satisfied))
            done = msgspec.structs.replace(current, body=body, ever=done.ever, since=done.since, capture=done.capture)
        if done != current:
            self.book.keep(done)
            self._changed.add(uuid)

    def _blame(self, uuid: str, entry: BookEntry, fault: Fault) -> None:
        log.warning("body faulty", uuid=uuid, code=fault.code, message=fault.message)
        shown = self._shown(fault)
        with self._lock:
            current = self.book.entries.get(uuid)
            if current is None or current.revision != entry.revision:
                return
            old = current.fault
            if old is not None and (old.code, old.message) == (shown.code, shown.message):
                return
            blamed = msgspec.structs.replace(current, fault=shown)
            try:
                self.book.keep(blamed)
            except OSError:
                # Said all the same: the next start finds it out again.
                self.book.entries[uuid] = blamed
            self._changed.add(uuid)

    def _shown(self, fault: Fault) -> SeenFault:
        return SeenFault.of(fault, self.now())

    # -- reports -------------------------------------------------------------------------------------------------

    @property
    def news(self) -> bool:
        """Whether something changed since the last report."""
        return bool(self._changed or self._told or self._found)

    def survey(self) -> list[str]:
        """Look for bodies that no order names; returns the uuids of those that orders name."""
        entries = self.book.entries
        seen = [body.uuid for body in self.provider.scan() if body.kind == "instance"]
        unknown = tuple(sorted(uuid for uuid in seen if uuid not in entries))
        self._found = self._found or unknown != self._unknown
        self._unknown = unknown
        with self._lock, contextlib.suppress(OSError):
            self.book.note()
        return list(entries)

    def heed(self, ask: Ask) -> bool:
        """Begin a later epoch than the cloud has heard of, if this one is earlier; whether it was."""
        with self._lock:
            if (self.book.start.epoch, self._sequence) >= (ask.epoch, ask.sequence):
                return False
            log.warning("the book is older than the cloud's database", epoch=self.book.start.epoch, heard=ask.epoch)
            try:
                self.book.begin_later_epoch(ask.epoch)
            except OSError as error:
                log.warning("epoch not begun", error=str(error))
                return False
            self._sequence = self._spoke = 0
            return True

    def answer(self, ask: Ask) -> list[Report]:
        """The full report that was asked for, in the incarnation that asks.

        Empty when that incarnation cannot be written down: the next report says why. Permission to forget removals is
        not answered.
        """
        with self._lock:
            self.heed(ask)
            if ask.forget > NEVER:
                self._forget(ask)
                return []
            try:
                self.book.enter(ask.incarnation, ask.opening)
            except OSError as error:
                fault = _disk_fault(error)
                if self._unanswered is None:
                    log.warning("not answered", code=fault.code, message=fault.message)
                self._unanswered = self._shown(fault)
                return []
            self._unanswered = None
            report = self.report(full=True)
            report = msgspec.structs.replace(report, answer=ask.call, forgotten=self.book.forgotten)
            if not ask.orders:
                return [report]
            orders = {uuid: _order(entry) for uuid, entry in self.book.entries.items()}
            if ask.pages:
                return pages.split(report, orders, self.book.removed)
            return [msgspec.structs.replace(report, orders=orders, removed=dict(self.book.removed))]

    def _forget(self, ask: Ask) -> None:
        """Forget the removals that the store vouches for, unless a later opening of the store has asked since."""
        start = self.book.start
        outdated = ask.forget[0] < start.incarnation or ask.opening < start.opening
        # An order that could not be kept was reported like one that is held.
        if outdated or self._refused or ask.forget <= self.book.forgotten:
            return
        try:
            self.book.forget(ask.forget, MOST // 2)
        except OSError as error:
            log.warning("removals not forgotten", error=str(error))

    def report(self, *, full: bool = False) -> Report:
        """Return the present report; a full one repeats every body and the removals that were asked about."""
        with self._lock:
            full = full or bool(self._told) or self._found
            self._sequence += 1
            names = list(self.book.entries) if full else [u for u in self._changed if u in self.book.entries]
            report = Report(
                host=self.name,
                epoch=self.book.start.epoch,
                sequence=self._sequence,
                after=self._spoke,
                incarnation=self.book.start.incarnation,
                opening=self.book.start.opening,
                highest=self.book.start.highest,
                full=full,
                bodies={
                    **{uuid: _body_report(self.book.entries[uuid]) for uuid in names},
                    **{uuid: self._refusal(uuid, fault) for uuid, fault in self._refused.items()},
                },
                removed=dict(self._removals()),
                removals=len(self.book.removed) if full and len(self.book.removed) > MOST and not self._refused else 0,
                unknown=self._unknown,
                capacity=self._capacity,
                limits=self.provider.limits,
                traits=self._traits,
                zone=self._zone,
                chassis=self._chassis,
                fault=self._unanswered,
            )
            if full or report.bodies:
                self._spoke = self._sequence
            self._changed.clear()
            self._told.clear()
            self._found = False
            return report

    def _removals(self) -> Iterator[tuple[str, Removed]]:
        """The removals that were asked about; of one that may have been forgotten, that nothing is held of it."""
        for uuid in self._told:
            if uuid in self.book.removed:
                yield uuid, self.book.removed[uuid]
            elif uuid not in self.book.entries and self.book.forgotten > NEVER:
                yield uuid, Removed(revision=self.book.forgotten, why=FORGOTTEN)

    def _refusal(self, uuid: str, fault: SeenFault) -> BodyReport:
        """Return the report of a body whose last order could not be kept."""
        entry = self.book.entries.get(uuid)
        return BodyReport(fault=fault) if entry is None else msgspec.structs.replace(_body_report(entry), fault=fault)


def _disk_fault(error: OSError) -> Fault:
    """Return the Fault for an OSError that stops the host from writing orders or their results down."""
    code = "HostDiskFull" if disk.trouble(error) == disk.FULL else "HostDiskFailed"
    return Fault(code, f"this host cannot keep its book: {error}")


def _order(entry: BookEntry) -> Order:
    return Order(uuid=entry.uuid, revision=entry.revision, spec=entry.spec, why=entry.why, kind=entry.kind)


def _carried(entry: BookEntry, spec: InstanceSpec) -> BookEntry:
    """The entry with the power number and the reboots that its order carries over, where those are higher."""
    body = entry.body
    return _with_body(entry, satisfied=max(body.satisfied, spec.satisfied), reboot=max(body.reboot, spec.rebooted))


def fell(entry: BookEntry, spec: InstanceSpec) -> bool:
    """Whether a body that is down had been brought up for the present power number: nobody had asked for its end."""
    return entry.body.n == spec.power.n and entry.body.reboot >= spec.reboot


def pause(falls: int) -> float:
    """Seconds between the last of so many falls in a row and the next start: none, 1, 2, 4 … `LONGEST`."""
    return min(LONGEST, 2.0 ** min(falls - 2, 10)) if falls > 1 else 0.0


def _power(spec: InstanceSpec, state: PowerState, *, keep: bool = False) -> InstanceSpec:
    """The spec with the power that the next step is to have, which a reboot or a guest's shutdown may make another."""
    return msgspec.structs.replace(spec, power=Power(state=state, n=spec.power.n, keep=keep))


def _with_body(entry: BookEntry, **changes: object) -> BookEntry:
    body: Body = msgspec.structs.replace(entry.body, **changes)
    return entry if body == entry.body else msgspec.structs.replace(entry, body=body)


def _body_report(entry: BookEntry) -> BodyReport:
    body = entry.body
    return BodyReport(
        revision=entry.applied,
        running=body.running,
        n=body.n,
        reboot=body.reboot,
        satisfied=body.satisfied,
        ever=entry.ever,
        up=body.up,
        since=entry.since,
        fault=entry.fault,
        capture=entry.capture if entry.capture is not None and entry.capture.state == "captured" else None,
    )
