"""The lines of the protocol, each with a way to switch it off in the real code; docs/protocol.md tells of them.

A switch is a context manager: while it is entered, the code under test does without its line.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import msgspec

from pileus.host import agent as agents
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.loops import instance, report, runner
from pileus.model import spec
from pileus.model.instance import Instance, Power, Seen, State, Step, converged, state
from pileus.model.provider import BodyRef
from pileus.rules.instance import power as power_rules
from pileus.store import store as stores
from pileus.store import tables
from pileus.store.store import Store
from pileus.store.writer import Writer
from pileus.verbs.instance import launch, power
from tests.loops import lines_recover, machines
from tests.loops.line import Line, replaced
from tests.loops.temper import Temper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pileus.bus.messages import BodyReport, Order, Removed, Report
    from pileus.host.book import BookEntry
    from pileus.model.caller import Caller
    from pileus.model.host import Seen as HostSeen
    from pileus.model.instance import Body
    from pileus.model.port import Port
    from pileus.model.provider import SeenBody
    from pileus.rules.core import Core


# -- 1: the verb ---------------------------------------------------------------------------------------------------

_launch, _end = launch.launch, power_rules.terminated


@contextmanager
def _usage_later() -> Iterator[None]:
    count = Writer.count

    def split(caller: Caller, core: Core, request: launch.Launch) -> list[str]:
        deferred_writes: list[Callable[[Writer], None]] = []
        with mock.patch.object(
            Writer, "count", lambda _tx, amounts: deferred_writes.append(lambda tx: count(tx, amounts))
        ):
            uuids = _launch(caller, core, request)
        for later in deferred_writes:
            with core.store.write() as tx:
                later(tx)
        return uuids

    with mock.patch.object(launch, "launch", split):
        yield


@contextmanager
def _token_later() -> Iterator[None]:
    deferred_arguments: list[tuple[Any, ...]] = []
    remember = Writer.remember

    def split(caller: Caller, core: Core, request: launch.Launch) -> list[str]:
        deferred_arguments.clear()
        uuids = _launch(caller, core, request)
        for arguments in deferred_arguments:
            with core.store.write() as tx:
                remember(tx, *arguments)
        return uuids

    with (
        mock.patch.object(Writer, "remember", lambda _tx, *arguments: deferred_arguments.append(arguments)),
        mock.patch.object(launch, "launch", split),
    ):
        yield


def _free_at_terminate(caller: Caller, tx: Writer, row: Instance, reason: str, message: str) -> Instance:
    row = _end(caller, tx, row, reason, message)
    for _, uuid, _ in tx.referrers(row.uuid):
        tx.free(uuid)
    tx.free(row.uuid)
    return row


_see = report._see


def _loop_writes_wanted(tx: Writer, row: Instance, body: BodyReport) -> Instance:
    row = _see(tx, row, body)
    if not body.running and body.n == row.wanted.power.n and row.wanted.power.state == "running":
        stopped = Power(state="stopped", n=row.wanted.power.n)
        row = tx.want(row, msgspec.structs.replace(row.wanted, power=stopped))
    return row


_power = power._power


def _lazy_start(
    caller: Caller, core: Core, uuids: Sequence[str], wanted_state: Any, *, dry_run: bool
) -> list[power.Change]:
    with core.store.read() as tx:
        rows = list(tx.many(Instance, uuids).values())
    if any(row.wanted.power.state == wanted_state == "running" and state(row) != State.STOPPED for row in rows):
        return []
    return _power(caller, core, uuids, wanted_state, dry_run=dry_run)


# -- 2: power ------------------------------------------------------------------------------------------------------

_absorb = Agent._absorb


def _any_end_satisfies(agent: Agent, entry: BookEntry, seen: SeenBody | None) -> BookEntry:
    if seen is not None and not seen.running:
        seen = msgspec.structs.replace(seen, cause="guest")
    return _absorb(agent, entry, seen)


def _no_end_satisfies(agent: Agent, entry: BookEntry, seen: SeenBody | None) -> BookEntry:
    if seen is not None and not seen.running:
        seen = msgspec.structs.replace(seen, cause="other")
    return _absorb(agent, entry, seen)


_begin = Book.begin


def _forgets_causes(book: Book) -> None:
    for uuid, entry in book.entries.items():
        body = msgspec.structs.replace(entry.body, satisfied=0)
        book.entries[uuid] = msgspec.structs.replace(entry, body=body)
    _begin(book)


def _forgets_stops(book: Book) -> None:
    for uuid, entry in book.entries.items():
        body = msgspec.structs.replace(entry.body, ordered_stop=False)
        book.entries[uuid] = msgspec.structs.replace(entry, body=body)
    _begin(book)


def _next_step(wanted_power: Power, reboot: int, body: Body, *, ever: bool, local: bool) -> Step:
    if not body.exists:
        return Step.MAKE
    if wanted_power.state == "stopped":
        return Step.STOP if body.running else Step.NONE
    if not body.running:
        ended = body.satisfied > 0 if ever else body.satisfied == wanted_power.n
        return Step.NONE if ended or (local and body.n == wanted_power.n) else Step.START
    return Step.STOP if body.reboot < reboot or body.ordered_stop else Step.NONE


def _satisfied_for_ever(wanted_power: Power, reboot: int, body: Body) -> Step:
    return _next_step(wanted_power, reboot, body, ever=True, local=False)


def _never_restarted(wanted_power: Power, reboot: int, body: Body) -> Step:
    return _next_step(wanted_power, reboot, body, ever=False, local=True)


_ensure = machines.Machine.ensure


def _no_keep(machine: machines.Machine, spec: Any) -> None:
    _ensure(machine, msgspec.structs.replace(spec, power=Power(state=spec.power.state, n=spec.power.n)))


# -- 3: the wake ---------------------------------------------------------------------------------------------------


def _finish_always(
    store: Store, done: Sequence[tuple[stores.LeasedWake, float | None, bool]], *, lease: int = 0
) -> list[stores.LeasedWake]:
    del lease  # the next ones are leased in another transaction: this switch is about giving back alone
    table = tables.wake
    with store.engine.write() as connection:
        for wake, due, failed in done:
            here = (table.c.kind == wake.kind) & (table.c.uuid == wake.uuid)
            connection.execute(table.update().where(here).values(until=0.0, due=due, tries=int(failed)))
    return []


@contextmanager
def _forgotten_wakes() -> Iterator[None]:
    with mock.patch.object(Store, "finish_wakes", _finish_always), mock.patch.object(runner, "resync", _no_resync):
        yield


def _no_resync(core: Core) -> None:
    core.store.forget_tombstones()


_lease = Store.lease_wakes


def _lease_clears(store: Store, most: int) -> list[stores.LeasedWake]:
    wakes = _lease(store, most)
    table = tables.wake
    for wake in wakes:
        here = (table.c.kind == wake.kind) & (table.c.uuid == wake.uuid)
        with store.engine.write() as connection:
            connection.execute(table.update().where(here).values(due=None))
    return wakes


@contextmanager
def _lost_with_the_worker() -> Iterator[None]:
    with mock.patch.object(Store, "lease_wakes", _lease_clears), mock.patch.object(runner, "resync", _no_resync):
        yield


# -- 4: the order --------------------------------------------------------------------------------------------------


def _one_by_one(step: object) -> Callable[[], Any]:
    """A switch that puts `step` in the place of the loop's, which does none of them together then."""

    @contextmanager
    def switched() -> Iterator[None]:
        with mock.patch.object(instance, "step", step), mock.patch.object(runner, "LARGEST", 1):
            yield

    return switched


def _send_first(core: Core, uuid: str, request: str = "") -> float | None:
    with core.store.write() as tx:
        row = tx.get(Instance, uuid)
        if row is None or row.gone is not None:
            return None
        orders, row = instance.plan(core, tx, row)
        for host, order in orders:
            core.hosts.send(host, order)
    return None if row.gone is not None or converged(row) else core.store.now() + instance.AGAIN


_content_digest = spec.content_digest


def _power_alone(whole: Any) -> str:
    return _content_digest(msgspec.structs.replace(whole, tags={}, nics=(), record=""))


_instance_step = instance.step


def _reply_is_result(core: Core, uuid: str, request: str = "") -> float | None:
    due = _instance_step(core, uuid, request)
    with core.store.write() as tx:
        row = tx.get(Instance, uuid)
        if row is not None and row.gone is None and not row.wanted.gone:
            wanted_power = row.wanted.power
            done = Seen(
                revision=row.revision,
                running=wanted_power.state == "running",
                n=wanted_power.n,
                reboot=row.wanted.reboot,
            )
            row = tx.see(row, msgspec.structs.replace(done, satisfied=row.seen.satisfied, ever=True))
            instance.settle_all(tx, {row.uuid: row})
    return due


# -- 5: the host ---------------------------------------------------------------------------------------------------


_accepts = Agent.accepts


def _takes_lower(agent: Agent, order: Order) -> bool:
    removed = agent.book.removed.get(order.uuid)
    if removed is not None and order.revision <= removed.revision:
        agent._told.add(order.uuid)
        return False
    return True


def _takes_removed(agent: Agent, order: Order) -> bool:
    entry = agent.book.entries.get(order.uuid)
    if order.spec is None and order.uuid in agent.book.removed:
        agent._told.add(order.uuid)
        return False
    return entry is None or order.revision > entry.revision


def _takes_forgotten(agent: Agent, order: Order) -> bool:
    entry, removed = agent.book.entries.get(order.uuid), agent.book.removed.get(order.uuid)
    if order.spec is None or entry is not None or removed is not None or order.revision > agent.book.forgotten:
        return _accepts(agent, order)
    return True


def _drops_removed(book: Book, uuid: str, removed: Removed) -> None:
    del removed
    if uuid in book.entries:
        del book.entries[uuid]


@contextmanager
def _only_what_was_held() -> Iterator[None]:
    take, report_ = Agent.take, Agent.report
    passing: dict[int, set[str]] = {}

    def takes(agent: Agent, order: Order) -> bool:
        had_entry = order.uuid in agent.book.entries
        accepted = take(agent, order)
        if order.spec is None and not had_entry:
            passing.setdefault(id(agent), set()).add(order.uuid)
        return accepted

    def reports(agent: Agent, *, full: bool = False) -> Report:
        report = report_(agent, full=full)
        waiting = passing.get(id(agent), set())
        for uuid in waiting & agent.book.removed.keys():
            waiting.discard(uuid)
            agent.book.removed.pop(uuid)
        return report

    with mock.patch.object(Agent, "take", takes), mock.patch.object(Agent, "report", reports):
        yield


def _tidy_survey(agent: Agent) -> list[str]:
    for body in agent.provider.scan():
        if body.kind == "instance" and body.uuid not in agent.book.entries:
            agent.provider.remove(BodyRef(kind="instance", uuid=body.uuid))
    return list(agent.book.entries)


def _same_epoch(book: Book) -> None:
    if not book.start.epoch:
        _begin(book)


# -- 6: the report -------------------------------------------------------------------------------------------------


def _stored_is_applied(tx: Writer, row: Instance, body: BodyReport) -> Instance:
    return _see(tx, row, msgspec.structs.replace(body, revision=row.revision))


def _never(report: Report, seen: HostSeen) -> bool:
    del report, seen
    return False


# -- 8: gone -------------------------------------------------------------------------------------------------------

_leave, _confirm = instance._leave, report._confirm


def _leave_at_once(tx: Writer, row: Instance) -> Instance:
    host = row.assigned.host or ""
    return instance.cleared(tx, _leave(tx, row), host)


def _absence_confirms(tx: Writer, report: Report, rows: dict[str, Instance]) -> None:
    del rows
    for row in tx.list(Instance):
        if report.host in row.assigned.clear and report.host and row.uuid not in report.bodies:
            tx.wake(instance.cleared(tx, row, report.host))


def _not_present(port: Port) -> bool:
    return not port.seen.present


@contextmanager
def _engine_forgets() -> Iterator[None]:
    remove = machines.Net.remove

    def forgets(net: machines.Net, ref: BodyRef) -> None:
        remove(net, ref)
        net.removed.clear()

    with mock.patch.object(machines.Net, "remove", forgets):
        yield


LINES: dict[str, Line] = {
    "usage in the transaction": Line(
        1,
        "usage is taken in the transaction that writes the rows",
        _usage_later,
        Temper(verbs=("launch", "tag"), odds={"commit fails": 0.3}),
    ),
    "token in the transaction": Line(
        1,
        "the token is stored in the transaction that it guards",
        _token_later,
        Temper(verbs=("launch", "terminate"), mishaps=("crash",), odds={"commit fails": 0.4}),
    ),
    "claims until gone": Line(
        1,
        "an address is free when its last holder is gone, not when it is asked to go",
        replaced(power, "terminated", _free_at_terminate),
    ),
    "loops do not write wanted": Line(
        1,
        "nothing but a verb writes `wanted`",
        replaced(report, "_see", _loop_writes_wanted),
        Temper(verbs=("reboot", "tag"), mishaps=("crash",)),
    ),
    "a start is a new request": Line(
        2,
        "every start raises n, that of what runs already too",
        replaced(power, "_power", _lazy_start),
        Temper(verbs=("start",), mishaps=("guest",)),
    ),
    "power has a number": Line(
        2,
        "a guest's shutdown satisfies one n, not all",
        replaced(agents, "next_step", _satisfied_for_ever),
        Temper(verbs=("tag", "start"), mishaps=("guest",)),
    ),
    "power has a cause": Line(
        2,
        "nothing but the guest's own shutdown satisfies n",
        replaced(Agent, "_absorb", _any_end_satisfies),
        Temper(verbs=("tag",), mishaps=("machine", "crash")),
    ),
    "the guest's shutdown counts": Line(
        2,
        "a guest that shut itself down stays down",
        replaced(Agent, "_absorb", _no_end_satisfies),
        Temper(verbs=("tag", "reboot"), mishaps=("guest",)),
    ),
    "the cause is kept": Line(
        2,
        "the satisfied n survives the agent",
        replaced(Book, "begin", _forgets_causes),
        Temper(verbs=("tag", "reboot"), mishaps=("guest", "agent")),
        seed=1,
    ),
    "an ordered stop is kept": Line(
        2,
        "that a stop was signalled is written down before it is signalled",
        replaced(Book, "begin", _forgets_stops),
        Temper(verbs=("reboot",), mishaps=("agent",), odds={"slow stop": 1.0, "agent dies": 0.05}),
    ),
    "no start by the way": Line(
        2,
        "what is believed to run is kept up to date without being started",
        replaced(machines.Machine, "ensure", _no_keep),
        Temper(verbs=("tag", "tag", "launch"), mishaps=("guest",), odds={"late step": 0.6, "agent dies": 0.0}),
        seed=1,
    ),
    "finish heeds wakes": Line(
        3,
        "finishing clears a wake only if nobody woke it since (without the resync)",
        _forgotten_wakes,
        Temper(verbs=("rules",), mishaps=("crash",), odds={"worker pauses": 0.2, "worker dies": 0.0, "fault": 0.0}),
        seed=1,
    ),
    "a lease ends": Line(
        3,
        "a leased wake is due again when its lease ends (without the resync)",
        _lost_with_the_worker,
        Temper(odds={"worker dies": 0.05}),
        seed=1,
    ),
    "commit first": Line(
        4,
        "orders are sent after the commit",
        _one_by_one(_send_first),
        Temper(verbs=("tag", "start", "stop"), mishaps=("guest",), odds={"commit fails": 0.5}),
        seed=2,
    ),
    "the revision covers all": Line(
        4,
        "whatever changes in the spec gives it a new revision",
        replaced(instance, "content_digest", _power_alone),
        Temper(verbs=("tag",), mishaps=("guest",)),
        seed=1,
    ),
    "a reply is no result": Line(4, "results come only as reports", _one_by_one(_reply_is_result), seed=1),
    "refuse lower": Line(
        5,
        "a revision below the one held is refused",
        replaced(Agent, "accepts", _takes_lower),
        Temper(verbs=("tag", "start", "stop", "reboot")),
    ),
    "refuse the removed": Line(
        5,
        "a revision not above a removal is refused",
        replaced(Agent, "accepts", _takes_removed),
        Temper(verbs=("launch", "terminate"), mishaps=("cut",), odds={"worker pauses": 0.06, "fault": 0.0}),
        seed=1,
    ),
    "remember removals": Line(
        5, "removals are remembered", replaced(Book, "remember", _drops_removed), Temper(verbs=("launch", "terminate"))
    ),
    "remember the unheld": Line(
        5,
        "removals of what was not held are remembered too",
        _only_what_was_held,
        Temper(verbs=("launch", "terminate"), mishaps=("cut",), odds={"fault": 0.0, "worker dies": 0.0}),
        seed=4,
    ),
    "refuse the forgotten": Line(
        5,
        "a revision not above what was forgotten is refused for what is not held",
        replaced(Agent, "accepts", _takes_forgotten),
        Temper(verbs=("launch", "terminate"), mishaps=("cut",)),
        seed=5,
    ),
    "restart by itself": Line(
        5,
        "the host starts again what went down, after its own reboot too",
        replaced(agents, "next_step", _never_restarted),
        Temper(verbs=("tag", "launch"), mishaps=("machine", "crash"), odds={"fault": 0.0}),
    ),
    "the unknown is kept": Line(5, "what has no spec is not touched", replaced(Agent, "survey", _tidy_survey)),
    "old reports are dropped": Line(6, "an older (epoch, sequence) changes nothing", replaced(report, "stale", _never)),
    "the epoch is kept": Line(
        6,
        "the epoch is persisted and rises",
        replaced(Book, "begin", _same_epoch),
        Temper(verbs=("tag", "start", "stop"), mishaps=("agent",), odds={"agent dies": 0.05, "late step": 0.3}),
        rare=True,
        seed=70,
    ),
    "applied, not stored": Line(
        6,
        "an entry's revision is the one applied",
        replaced(report, "_see", _stored_is_applied),
        Temper(verbs=("tag",), mishaps=("guest", "crash"), odds={"fault": 0.0, "worker dies": 0.05}),
        seed=3,
    ),
    "removed by name": Line(
        8,
        "a removal is confirmed by name, not by absence",
        replaced(report, "_confirm", _absence_confirms),
        Temper(verbs=("launch", "terminate", "terminate"), mishaps=("agent",), odds={"late step": 0.4}),
        seed=3,
    ),
    "tombstone when confirmed": Line(
        8, "no tombstone before the host confirmed", replaced(instance, "_leave", _leave_at_once)
    ),
    "the engine let go": Line(
        8,
        "no tombstone before the network engine confirmed at the last order",
        replaced(instance, "_let_go", _not_present),
        Temper(
            verbs=("launch", "terminate", "terminate"),
            mishaps=("crash",),
            odds={
                "worker pauses": 0.05,
                "worker dies": 0.0,
                "fault": 0.0,
                "fault after": 0.0,
                "agent dies": 0.0,
                "late step": 0.0,
            },
        ),
        seed=2,
    ),
    "the engine remembers": Line(
        8,
        "the network engine refuses what it was ordered to remove",
        _engine_forgets,
        Temper(
            verbs=("launch", "terminate", "group"),
            mishaps=("crash",),
            odds={"worker pauses": 0.08, "worker dies": 0.0, "fault": 0.0},
        ),
        seed=3,
    ),
    **lines_recover.LINES,
}
