"""What the protocol promises, judged over the users' intent: some at every deed, the rest when all has come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model import image as images
from pileus.model.image import Image
from pileus.model.instance import Instance, State, converged, state
from pileus.model.nouns import ENGINE, NOUNS
from pileus.model.port import Port
from pileus.model.record import recall
from pileus.model.securitygroup import SecurityGroup
from pileus.model.spec import ImageSpec, InstanceSpec, PortSpec, SecurityGroupSpec
from pileus.rules import recount
from pileus.store import tables
from tests.loops.machines import ALIEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pileus.model.noun import Noun
    from pileus.model.provider import BodyRef
    from pileus.model.spec import Spec
    from pileus.store.journalreader import JournalEntry
    from pileus.store.reader import Reader
    from tests.loops.machines import Machine
    from tests.loops.nodes import Node
    from tests.loops.world import World

POWER, TWO, GONE, UNKNOWN, COUNTS, STALE, BACK, TOKEN, CONVERGENCE, ADDRESS, PLACE, IMAGE, KEPT, RIGHTS = range(1, 15)
"""The promises by number: the last power request holds (1), never two live bodies (2), what was confirmed gone stays
gone (3), the unknown is never destroyed (4), claims and usage equal a recount and no address is used twice (5), stale
orders and reports change nothing (6), guests come back after a host's reboot (7), one token, one set of instances (8),
rows converge and the journal tells the truth (9), a floating address leads to whom it was given last and nobody else
(10), a host that is drained or was removed is given nothing new (11), an image that was available keeps its bytes, one
that was deregistered leaves nothing on any host, and the guest of a capture with a reboot is down all the while (12),
what is acknowledged is in the database's file (13), a right that was taken away comes back unsaid never (14)."""


PENDING = images.State.PENDING


class Violation(BaseException):
    """A promise was broken. Not an Exception: the code under test must not catch it."""


class Promises:
    """Sees every deed of the backends, remembers what the judgement needs, and judges."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._power: dict[str, int] = {}
        self._reached: set[tuple[str, bool, int]] = set()
        self._reboots: dict[str, int] = {}
        self._selfended: dict[str, int] = {}
        self._binding: dict[str, int] = {}
        self._rebooted: set[str] = set()
        self._let_go: set[str] = set()
        self._old: set[str] = set()
        self._heard: dict[str, int] = {}
        self._uncounted: set[str] = set()
        self._answers = False
        self._before: list[tuple[object, ...]] | None = None

    def broken(self, number: int, what: str) -> None:
        """Say which promise was broken."""
        raise Violation(f"{number}: {what}")

    def instances(self, uuids: Iterable[str]) -> list[Instance]:
        """These instances."""
        rows = [self._row(uuid) for uuid in uuids]
        return [row for row in rows if row is not None]

    def _row(self, uuid: str) -> Instance | None:
        return self._world.damage.row(Instance, uuid)

    # -- at every deed -------------------------------------------------------------------------------------------

    def may_apply(self, machine: Machine, spec: InstanceSpec) -> None:
        """A host is about to make a spec true."""
        uuid = spec.uuid
        if uuid == ALIEN:
            self.broken(UNKNOWN, "the unknown body was given a spec")
        self._whole(spec)
        old = machine.bodies.get(("instance", uuid))
        if machine.name in self._old:
            return
        if old is not None and spec.revision < old.revision:
            self.broken(STALE, f"{uuid}: order {spec.revision} applied over {old.revision}")
        if spec.power.n < self._power.get(uuid, 0):
            self.broken(STALE, f"{uuid}: power order {spec.power.n} applied after {self._power[uuid]}")
        self._power[uuid] = spec.power.n

    def _whole(self, spec: InstanceSpec) -> None:
        """What is left out of an order is taken from the body: rows that cannot be read are no reason for that."""
        if not self._world.temper.damaged:
            return
        if not spec.disks or not spec.nics:
            self.broken(UNKNOWN, f"{spec.uuid} was ordered without its disk or its port")
        for nic in spec.nics:
            port = self._world.damage.row(Port, nic.uuid)
            if port is not None and set(nic.groups) != set(port.wanted.groups):
                self.broken(UNKNOWN, f"{spec.uuid} was ordered with {nic.groups}, not with {port.wanted.groups}")

    def may_capture(self, machine: Machine, spec: ImageSpec) -> None:
        """A host begins to capture a disk, or its moment has just come."""
        if spec.reboot and machine.running(spec.instance) and self._wanted(spec):
            self.broken(IMAGE, f"{spec.instance} runs on {machine.name} while {spec.uuid} is captured of it")

    def _wanted(self, spec: ImageSpec) -> bool:
        """Whether anybody still waits for a capture: its host may not have heard yet that nobody does."""
        entries = [node.book.entries.get(spec.uuid) for node in self._world.nodes.values()]
        awaited = [entry for entry in entries if entry is not None and entry.spec is not None]
        return any(entry.capture is None or entry.capture.state != "failed" for entry in awaited)

    def may_remove(self, machine: Machine, ref: BodyRef) -> None:
        """A host is about to remove a body."""
        if ref.uuid == ALIEN:
            self.broken(UNKNOWN, "the unknown body was destroyed")
        if ref.kind == Image.KIND:
            self._may_forget(machine, ref)
        elif (ref.kind, ref.uuid) in machine.bodies:
            row = self._row(ref.uuid)
            entry = next(node.book for node in self._world.nodes.values() if node.machine is machine).entries[ref.uuid]
            if self._world.behind and entry.spec is None and entry.why == "gone":
                return  # ordered by the store that was
            if row is None or not (row.wanted.gone or machine.name in row.assigned.clear):
                self.broken(UNKNOWN, f"{ref.uuid} was destroyed, and nobody wanted that")

    def _may_forget(self, machine: Machine, ref: BodyRef) -> None:
        """A host is about to remove a capture: nobody wants it, or the cloud has its bytes."""
        row = self._world.damage.row(Image, ref.uuid)
        if row is None or self._world.behind or row.wanted.gone or images.state(row) is not PENDING:
            return
        if row.assigned is None or machine.name not in row.assigned.clear:
            self.broken(UNKNOWN, f"the capture {ref.uuid} was removed, and the cloud has not got it")

    def started(self, machine: Machine, spec: InstanceSpec) -> None:
        """A body has come up."""
        uuid = spec.uuid
        if self._old:
            return
        row = self._row(uuid)
        opened = self._compared(machine.name) and not self._world.store.closed
        if opened and (row is None or row.gone is not None) and not self._leaving(machine, uuid):
            self.broken(GONE, f"{uuid} came up on {machine.name}, and is gone")
        for node in self._world.nodes.values():
            for other, other_spec in node.machine.applied.items():
                if not node.machine.running(other) or (other == uuid and node.machine is machine):
                    continue
                if other == uuid:
                    self.broken(TWO, f"{uuid} runs on {machine.name} and {node.name}")
                if not self._connected(other_spec) or not self._connected(spec):
                    continue  # its silent host does not know that it was terminated, or it never had a port
                if other_spec.loopback == spec.loopback or _addresses(other_spec) & _addresses(spec):
                    self.broken(COUNTS, f"{uuid} has come up with an address of {other}, which runs")

    def _leaving(self, machine: Machine, uuid: str) -> bool:
        """Whether its host was told to remove it by the store that was, and is still about what came before."""
        entry = next(node.book for node in self._world.nodes.values() if node.machine is machine).entries.get(uuid)
        return self._world.behind and entry is not None and entry.spec is None

    def _compared(self, host: str) -> bool:
        """Whether the store was compared with this host, since it was replaced."""
        return self._world.restoring is None or host in self._world.restoring.admitted

    def _connected(self, spec: InstanceSpec) -> bool:
        """Whether the engine has a port of it, without which nobody reaches it; judged after a recovery alone."""
        bodies = self._world.net.bodies
        return not self._world.behind or any(("port", nic.uuid) in bodies for nic in spec.nics)

    def removal_finished(self, uuid: str) -> None:
        """A row becomes a tombstone, as everybody confirmed that there is nothing left."""
        if self._old or self._world.behind:
            return
        for node in self._world.nodes.values():
            if ("instance", uuid) in node.machine.bodies:
                self.broken(GONE, f"{uuid} was confirmed gone, and has a body on {node.name}")

    def applied(self, machine: Machine, spec: InstanceSpec) -> None:
        """A host has made a spec true, or has begun to."""
        self._reached.add((spec.uuid, machine.running(spec.uuid), spec.power.n))
        self._reboots[spec.uuid] = max(self._reboots.get(spec.uuid, 0), spec.reboot)

    def engine_removed(self, ref: BodyRef, spec: Spec | None) -> None:
        """The network engine was told to remove something, which was as `spec`."""
        if ref.uuid == ALIEN:
            self.broken(UNKNOWN, "an unknown port was destroyed")
        if ref.uuid in self._world.damage.held:
            damaged = self._world.damage.row(NOUNS[ref.kind], ref.uuid)
            if damaged is not None and not damaged.wanted.gone:
                self.broken(UNKNOWN, f"the {ref.kind} {ref.uuid} was destroyed, and its row is damaged")
        for port in recall(spec.record, "engine") if isinstance(spec, PortSpec) else []:
            uuid = (port.wanted.instance or "") if isinstance(port, Port) else ""
            self._let_go.add(uuid)
            row = self._row(uuid)
            if row is not None and (row.wanted.gone or row.gone is not None):
                continue
            if self._world.restoring is not None and self._world.restoring.unmerged:
                continue  # by a step of the time that is lost, in which it may have been terminated
            for node in self._world.nodes.values():
                entry = node.book.entries.get(uuid)
                if entry is not None and entry.spec is not None:
                    self.broken(UNKNOWN, f"the port of {uuid} was destroyed, which {node.name} holds")

    def guest_ends(self, node: Node, uuid: str, *, by_itself: bool) -> None:
        """A guest shuts itself down, or dies; when the host can know the cause, its shutdown binds."""
        machine, expectation = node.machine, self._world.users.expectations.get(uuid)
        entry, row = node.book.entries.get(uuid), self._row(uuid)
        if by_itself and expectation is not None and entry is not None and uuid not in machine.stopping:
            expectation.ended_n = entry.body.n
        if by_itself and expectation is not None and row is None and uuid not in machine.stopping:
            expectation.ended = True  # while the store is recovered
        if by_itself and expectation is not None and row is not None and uuid not in machine.stopping:
            expectation.ended = True
            self._selfended[uuid] = row.wanted.power.n
            read = entry is not None and uuid not in node.book.torn
            cause_known = (
                uuid in machine.noticed
                and read
                and entry is not None
                and entry.body.running
                and not entry.body.ordered_stop
            )
            if cause_known and entry is not None and entry.body.n == row.wanted.power.n and expectation.running:
                self._binding[uuid] = entry.body.n
        self._world.log("guest ends" if by_itself else "guest dies", uuid, "binding" if uuid in self._binding else "")
        machine.stopping.discard(uuid)
        machine.end_guest(uuid, "guest" if by_itself else "other")

    def machine_rebooted(self, node: Node) -> None:
        """The causes that the agent had not yet written down are lost."""
        for uuid, n in list(self._binding.items()):
            entry = node.book.entries.get(uuid)
            if entry is not None and entry.body.satisfied != n:
                del self._binding[uuid]

    def put_back(self, node: Node) -> None:
        """A host's book is an old copy: it does what was ordered then, until the store has heard that."""
        self._old.add(node.machine.name)
        self.uncounted(node.machine.name)
        for _, uuid in node.machine.bodies:
            self._power.pop(uuid, None)
            entry = node.book.entries.get(uuid)
            if entry is None or self._binding.get(uuid) != entry.body.satisfied:
                self._binding.pop(uuid, None)

    def uncounted(self, host: str) -> None:
        """A start of a host is not in its book: the next one has the same number, and old reports may pass."""
        self._uncounted.add(host)

    def recovered(self, rows: Mapping[str, Instance], heard_nodes: Iterable[Node]) -> None:
        """The store was recovered: what hosts hold is in it as they hold it, and what they removed is not."""
        self.counts()
        for uuid in self._let_go & rows.keys():
            row = rows[uuid]
            if not row.wanted.gone and row.assigned.unheard is None:
                self.broken(GONE, f"{uuid} had been terminated, the engine has let go of it, and it came back")
        for node in heard_nodes:
            self._as_held(rows, node)
        for uuid, n in list(self._binding.items()):
            if uuid not in rows or rows[uuid].wanted.power.n != n:
                del self._binding[uuid]

    def kept(self, rows: Mapping[str, Instance], living: Iterable[str], ended: Iterable[str]) -> None:
        """The store was opened for the first time since it was replaced: `living` was in it, and in its copy.

        Somebody had asked for the end of those in `ended` before the copy was made.
        """
        for uuid in ended:
            row = rows.get(uuid)
            if row is not None and row.gone is None and not row.wanted.gone:
                self.broken(GONE, f"{uuid} was being terminated in the copy, and came back")
        for uuid in living:
            row = rows.get(uuid)
            # One that its guest's shutdown ends may have been ended by that.
            if row is None or (row.wanted.gone and row.wanted.on_shutdown != "terminate"):
                self.broken(UNKNOWN, f"{uuid} was lost, though the copy has it and nobody wanted its end")

    def _as_held(self, rows: Mapping[str, Instance], node: Node) -> None:
        with self._world.store.truth() as tx:
            latest_revision = tx.meta("incarnation"), tx.meta("counter")
        for uuid in node.book.gone:
            if uuid in rows and not rows[uuid].wanted.gone:
                self.broken(GONE, f"{uuid} was removed from {node.name}, and came back")
        for uuid, entry in node.book.entries.items():
            row = rows.get(uuid)
            if entry.revision > latest_revision:
                continue  # under way when the store was opened: it will be closed, and recovered, for that
            if entry.kind == Image.KIND:
                continue
            if not isinstance(entry.spec, InstanceSpec):
                if row is not None and not row.wanted.gone:
                    self.broken(GONE, f"{uuid} is being removed from {node.name}, and came back")
            elif row is None:
                self.broken(UNKNOWN, f"{uuid} runs on {node.name}, and nobody knows it any more")
            elif not row.wanted.gone and (row.wanted.power.n, row.assigned.host) < (entry.spec.power.n, node.name):
                self.broken(POWER, f"{uuid} is {entry.spec.power} on {node.name}, and {row} in the store")

    def same_token(self, token: str, first: list[str], again: list[str]) -> None:
        """A launch was answered."""
        if first != again:
            self.broken(TOKEN, f"{token} led to {first} and to {again}")

    # -- reports -------------------------------------------------------------------------------------------------

    def _seen(self) -> list[tuple[object, ...]]:
        table = tables.nouns["instance"]
        with self._world.store.truth() as tx:
            return [tuple(row) for row in tx.sql.execute(table.select())]

    def before_report(self, host: str, number: int, *, paged: bool) -> None:
        """The `number`-th report of a host is about to be taken in: an old one must not change anything.

        Of an answer in pages (`paged`) any page may be the last to come.
        """
        # Of a host that was not compared: taken in when the store is opened, or not even then.
        self._answers = paged or self._world.store.closed or not self._compared(host)
        old = number <= self._heard.get(host, 0) and not self._answers and host not in self._uncounted
        self._before = self._seen() if old else None

    def forget_reports(self) -> None:
        """Note that a database took the place of the other one, and does not know which reports that one took in."""
        self._heard.clear()

    def after_report(self, host: str, number: int) -> None:
        """A report was taken in."""
        if self._before is not None and self._before != self._seen():
            self.broken(STALE, f"report {number} of {host} changed something after report {self._heard[host]}")
        if not self._answers:
            self._heard[host] = max(number, self._heard.get(host, 0))

    # -- after convergence ----------------------------------------------------------------------------------------

    def counts(self, *, final: bool = False) -> None:
        """Claims and usage are at any time what the rows say; usage is not lowered while rows cannot be read."""
        with self._world.store.truth() as tx:
            differences = recount.differences(tx)
            if tx.meta(recount.WITHHELD) and not final:
                differences = [what for what in differences if not what.startswith("usage of")]
        if differences:
            self.broken(COUNTS, "; ".join(differences))

    def judge(self) -> None:
        """Judge everything."""
        world = self._world
        self.counts(final=True)
        for complaint in world.people.complaints() if world.temper.people else ():
            self.broken(RIGHTS, complaint)
        with world.store.truth() as tx:
            rows = {row.uuid: row for row in tx.list(Instance, dead=True)}
            for token, uuids in world.users.tokens.items():
                launched_uuids = {row.uuid for row in rows.values() if row.wanted.token == token}
                if launched_uuids != {uuid for uuid in uuids if uuid in rows or not self._forgotten(uuid)}:
                    self.broken(TOKEN, f"{token} made {launched_uuids}, answered {uuids}")
            self._bodies(rows)
            for uuid, row in rows.items():
                self._instance(uuid, row)
            self._engine(tx)
            for complaint in world.descriptors.complaints() if world.temper.descriptors else ():
                self.broken(UNKNOWN, complaint)
            for complaint in (*world.users.captures.complaints(tx), *world.users.interfaces.complaints(tx)):
                self.broken(IMAGE, complaint)
            for complaint in world.users.layouts.complaints(tx) if world.temper.layouts else ():
                self.broken(CONVERGENCE, complaint)
            for complaint in world.users.addresses.complaints(tx):
                self.broken(ADDRESS, complaint)
            self._rest(tx, rows)

    def _forgotten(self, uuid: str) -> bool:
        """Whether an instance may have no row any more."""
        expectation = self._world.users.expectations.get(uuid)
        ended = expectation is None or expectation.gone or (expectation.terminate_on_shutdown and expectation.ended)
        return self._world.temper.forgetful and ended

    def _rest(self, tx: Reader, rows: dict[str, Instance]) -> None:
        world = self._world
        if tx.next_due() is not None:
            due = [tuple(row) for row in tx.sql.execute(tables.wake.select()) if row.due is not None]
            self.broken(CONVERGENCE, f"still due: {due}")
        for entry in tx.journal(limit=1000):
            if entry.outcome == "open" and str(entry.id) in world.damage.lines:
                continue
            if entry.outcome == "open":
                self.broken(CONVERGENCE, f"open in the journal: {entry}")
            if entry.uuid not in rows and world.temper.damaged:
                continue  # its row was damaged when the database was recovered, and it was gone
            if entry.kind == "instance" and not self._true(entry, rows[entry.uuid]):
                self.broken(CONVERGENCE, f"not true in the journal: {entry} of {rows[entry.uuid]}")

    def _true(self, entry: JournalEntry, row: Instance) -> bool:
        uuid, verb = entry.uuid, entry.verb
        if entry.outcome == "superseded":
            return row.wanted.gone or (verb != "instance.reboot" and entry.goal < row.wanted.power.n)
        if verb == "instance.stop":
            return (uuid, False, entry.goal) in self._reached
        if verb in ("instance.launch", "instance.start"):
            return (uuid, True, entry.goal) in self._reached
        if verb == "instance.reboot":
            return self._reboots.get(uuid, 0) >= entry.goal
        if verb == "instance.terminate":
            return row.gone is not None
        return verb.startswith("tag.") or verb == "instance.recover"

    def _instance(self, uuid: str, row: Instance) -> None:
        expectation = self._world.users.expectations.get(uuid)
        if expectation is None:
            return  # launched, but the answer never came: nobody expects it
        holders = [n.machine for n in self._world.nodes.values() if ("instance", uuid) in n.machine.bodies]
        if row.gone is not None or expectation.gone:
            if row.gone is None:
                self.broken(GONE, f"{uuid} was terminated and is still {state(row)}")
            if not expectation.gone and not (expectation.terminate_on_shutdown and expectation.ended):
                self.broken(POWER, f"{uuid} is gone, and nobody wanted that")
            if holders:
                self.broken(GONE, f"{uuid} is gone and has a body on {holders[0].name}")
            return
        if len(holders) != 1 or holders[0].name != row.assigned.host:
            self.broken(TWO, f"{uuid} of {row.assigned.host} has bodies on {[m.name for m in holders]}")
        running, spec = holders[0].running(uuid), holders[0].applied[uuid]
        binding = self._binding.get(uuid) == row.wanted.power.n
        if binding and expectation.running and expectation.ended and (running or expectation.terminate_on_shutdown):
            self.broken(POWER, f"{uuid} was shut down by its guest, and {'runs' if running else 'was not terminated'}")
        if running != expectation.running and not (expectation.running and expectation.ended):
            self.broken(
                BACK if expectation.running else POWER, f"{uuid}: expected {expectation}, runs: {running}, row {row}"
            )
        if spec.revision != row.revision or (spec.tags, spec.reboot) != (row.tags, row.wanted.reboot):
            self.broken(CONVERGENCE, f"{uuid} is as {spec}, not as {row}")
        if not converged(row) or row.seen.running != running:
            self.broken(CONVERGENCE, f"{uuid} runs: {running}, not converged: {row}")
        if state(row) != (State.RUNNING if running else State.STOPPED):
            self.broken(CONVERGENCE, f"{uuid} runs: {running}, shown as {state(row)}")

    def _bodies(self, rows: dict[str, Instance]) -> None:
        for node in self._world.nodes.values():
            if not node.machine.running(ALIEN):
                self.broken(UNKNOWN, "the unknown body does not run any more")
            for kind, uuid in node.machine.bodies:
                if uuid != ALIEN and (uuid not in rows or rows[uuid].gone is not None):
                    self.broken(GONE, f"{kind} {uuid} left on {node.name}")

    def _engine(self, tx: Reader) -> None:
        net = self._world.net
        living: dict[tuple[str, str], Noun] = {}
        for cls in ENGINE:
            living.update({(row.KIND, row.uuid): row for row in tx.list(cls)})
        if ("port", ALIEN) not in net.bodies:
            self.broken(UNKNOWN, "the unknown port is gone")
        for key in net.bodies.keys() - living.keys() - {("port", ALIEN)}:
            self.broken(GONE, f"{key} left in the engine")
        for key, row in living.items():
            spec, body = net.specs.get(key), net.bodies.get(key)
            if body is None or body.revision != row.revision or row.wanted.gone:
                self.broken(CONVERGENCE, f"engine: {row} is {body}")
            if isinstance(row, Port) and isinstance(spec, PortSpec):
                if body is not None and set(body.groups) != {*row.wanted.groups, "drop"}:
                    self.broken(CONVERGENCE, f"port {row.uuid} is in {body.groups}, not in {row.wanted.groups}")
                if (spec.address, spec.mac) != (row.assigned.address, row.assigned.mac):
                    self.broken(COUNTS, f"port {row.uuid} has {spec.address}, not {row.assigned.address}")
            if (
                isinstance(row, SecurityGroup)
                and isinstance(spec, SecurityGroupSpec)
                and spec.rules != row.wanted.rules
            ):
                self.broken(CONVERGENCE, f"group {row.uuid} has {spec.rules}, not {row.wanted.rules}")


def _addresses(spec: InstanceSpec) -> set[str]:
    return {nic.address for nic in spec.nics}
