"""A database that is replaced by an old copy of itself, or is gone, while hosts and engine go on as they are."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from pileus.loops import recover
from pileus.loops.gate import Gate
from pileus.model.caller import SYSTEM
from pileus.model.errors import PileusError, Unavailable
from pileus.model.instance import Instance
from pileus.verbs import flavor
from tests import databases
from tests.loops.users import StoreDown, is_down

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.bus.messages import Report
    from pileus.model.noun import Revision
    from tests.loops.damage import Damaged
    from tests.loops.nodes import Node
    from tests.loops.world import World

ASK = 1.0
DIES = 0.2
DIES_SELDOM = 0.01
"""Where a host is silent: each death begins the waiting for it anew."""


class Restored:
    """Does it once, amid the storm, and holds the recovery that follows.

    What is to be done `again` follows later: another copy is put in the database's place under the running process.
    """

    @property
    def lossy(self) -> bool:
        """Whether the database lacks what it had."""
        return True

    @property
    def requested(self) -> bool:
        """Whether a recovery was asked for, be the database behind its hosts or not."""
        return self._world.temper.people

    def __init__(self, world: World, what: Literal["copy", "gone", "again"]) -> None:
        self._world = world
        self._what = what
        self._copy: databases.Image = b""
        self._damaged: dict[str, Damaged] = {}
        self._recovery: recover.Recovery | None = None
        self._repeated = False
        self.unmerged = False
        """Whether the database was replaced under the process, and is not recovered yet."""
        self._living: set[str] = set()
        self._ended: set[str] = set()
        world.after(world.random.uniform(4, 16), self._copied)

    def _copied(self) -> None:
        self._copy = self._world.cloud.copy()
        self._damaged = dict(self._world.damage.held)
        self._world.log("the database is copied")
        self._world.after(self._world.random.uniform(1, 12), self._replaced)

    def _replaced(self) -> None:
        """The cloud's process is killed, and started on the other database; the second time it goes on."""
        world = self._world
        if self._recovery is not None:
            self._replaced_again()
            return
        world.log("the database is", self._what)
        if world.temper.silent:
            node = world.random.choice(list(world.nodes.values()))
            node.away = world.now + world.random.uniform(40, 62)
            world.log(node.name, "falls silent")
        if world.temper.mute:
            node = world.random.choice(list(world.nodes.values()))
            end = world.now + world.random.uniform(40, 62)
            if world.temper.mute == "full":
                node.book.full = end
            else:
                node.mute = end
            world.log(node.name, "answers nothing")
        self._living = self._alive()
        world.restart(world.cloud.empty if self._what == "gone" else self._copy)
        world.damage.restored({} if self._what == "gone" else self._damaged)
        # In the store that was and in its copy: nobody has asked for the end of any of these.
        self._living &= self._alive()
        self._ended = self._terminated()
        world.restoring = self
        self._start()
        self._tick()

    def _replaced_again(self) -> None:
        """It is left to the process to notice; where no revision is lost, it cannot, and nobody else knows more."""
        world, recovery = self._world, self._recovery
        if recovery is None or not recovery.opened:
            return
        world.log("another copy is put in the database's place")
        self._living, before = self._alive(), self._given()
        databases.replace(world.store, self._copy)
        world.store.dirty = True
        world.users.lose()
        world.promises.forget_reports()
        self.unmerged = True
        self._living &= self._alive()
        self._ended = self._terminated()
        if self._given() == before:
            self._opened()

    def _given(self) -> Revision:
        with self._world.store.truth() as tx:
            return tx.reached

    def _alive(self) -> set[str]:
        with self._world.store.truth() as tx:
            return {row.uuid for row in tx.list(Instance) if not row.wanted.gone}

    def _terminated(self) -> set[str]:
        with self._world.store.truth() as tx:
            rows = {row.uuid: row for row in tx.list(Instance)}
        rows |= self._world.damage.instances()
        return {uuid for uuid, row in rows.items() if row.wanted.gone}

    @property
    def _waits(self) -> bool:
        return bool(self._world.temper.silent or self._world.temper.mute)

    @property
    def admitted(self) -> frozenset[str]:
        """The hosts that the store was compared with."""
        gate = self._world.core.hosts
        return gate.admitted if isinstance(gate, Gate) and not self.unmerged else frozenset()

    def _start(self) -> recover.Recovery:
        """What a process begins with; one that died amid the recovery is followed by another."""
        world = self._world
        gate = Gate(world)  # type: ignore[arg-type]
        world.core = dataclasses.replace(world.core, hosts=gate)
        self._recovery = recover.Recovery(world.core, gate, world.net, requested=self.requested)
        return self._recovery

    def _tick(self) -> None:
        recovery = self._recovery
        if recovery is not None and (self._what == "again" or not recovery.opened):
            if not recovery.opened and self._world.random.random() < (DIES_SELDOM if self._waits else DIES):
                self._world.log("the process that recovers dies")
                self._world.end_process()
                recovery = self._start()
            try:
                self._opening(recovery.tick)
            except (StoreDown, Unavailable) as error:
                if not is_down(error):
                    raise
                self._world.log("not recovered")
            self._world.after(ASK, self._tick)

    def heard(self, report: Report) -> None:
        """A report reaches the cloud."""
        recovery = self._recovery
        if recovery is not None:
            self._opening(lambda: recovery.heard(report))

    def _opening(self, what: Callable[[], None]) -> None:
        """Do it; when the store was opened by it, judge what came of the recovery."""
        recovery = self._recovery
        was = recovery is None or recovery.opened
        try:
            what()
        finally:
            if recovery is not None and recovery.opened and not was:
                self._opened()

    def _opened(self) -> None:
        world = self._world
        world.log("recovered")
        self.unmerged = False
        with world.store.truth() as tx:
            rows = {row.uuid: row for row in tx.list(Instance, dead=True)}
        rows |= world.damage.instances()
        heard_nodes = [node for node in world.nodes.values() if node.name in self.admitted]
        self._judged(rows, heard_nodes)
        self._living = set()
        self._seed()
        if self._what == "again" and not self._repeated:
            self._repeated = True
            world.after(world.random.uniform(1, 8), self._copied)

    def _judged(self, rows: dict[str, Instance], heard_nodes: Iterable[Node]) -> None:
        """The store was opened: judge what came of the recovery, which users take for the truth from then on."""
        world = self._world
        world.promises.recovered(rows, heard_nodes)
        world.promises.kept(rows, self._living, self._ended)
        away_uuids = {uuid for node in world.nodes.values() if node not in heard_nodes for uuid in node.book.entries}
        world.users.relearn(rows, away_uuids)
        if world.temper.people:
            world.people.recovered()

    def _seed(self) -> None:
        """As the process does when the store is open."""
        try:
            flavor.seed(SYSTEM, self._world.core)
        except (StoreDown, PileusError):
            self._world.after(ASK, self._seed)
