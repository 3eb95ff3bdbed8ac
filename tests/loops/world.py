"""A deterministic world over the real code: users, workers that crash and pause, hosts, a bus that loses and repeats.

Time is virtual and one thing happens at a time: between any two transactions, sends and calls of a backend anything
else may happen. Everything follows from the seed. First a storm, then calm; then the promises are judged.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import random
from typing import TYPE_CHECKING, Any

from pileus.bus import messages, pages
from pileus.host import agent as agents
from pileus.loops import instance as instances
from pileus.loops import report, runner
from pileus.model import backoff, ids
from pileus.model.errors import Fault, Unavailable
from pileus.model.spec import InstanceSpec
from pileus.rules.core import Core
from pileus.store import store as stores
from pileus.store.clock import Clock
from pileus.store.reader import Reader
from tests import databases
from tests.loops import temper
from tests.loops.captures import Objects
from tests.loops.clouds import START, cloud, drawn_uuids
from tests.loops.damage import Damage
from tests.loops.descriptors import Descriptors
from tests.loops.fibers import Fiber, give_way
from tests.loops.filed import FileCloud, FileLoss
from tests.loops.machines import ALIEN, Net
from tests.loops.nodes import Node
from tests.loops.operators import Operators
from tests.loops.people import People
from tests.loops.promises import Promises, Violation
from tests.loops.restored import Restored
from tests.loops.temper import Temper, draw
from tests.loops.users import StoreDown, Users, is_down

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.bus.messages import Order, ToCloud
    from pileus.model.instance import Instance
    from pileus.model.noun import Noun
    from pileus.store.store import LeasedWake
    from pileus.store.writer import Writer

STORM, CALM = 32.0, 66.0
LEASE = 8.0
RESYNC = 40.0
REMOVALS, PAGE = 1, 20_000
"""Removals that a host remembers, and bytes of a page of an answer: histories are long, and answers large, at once."""
HISTORY, SMALL_PAGE = 300, 2_500
"""The same in worlds with a long history, whose hosts begin with so many removals: as millions in pages of 32 MiB."""
MANY_PAGES, SCARCE = 10, 10
"""Pages of one answer, and failures for want of a descriptor, that show a sample of worlds to have the trouble."""

_finish_removal = instances.finish_removal


class _Log:
    """Takes what the code under test logs; what no injected failure explains is remembered."""

    def __init__(self) -> None:
        self.surprises: list[BaseException] = []

    def warning(self, event: str, **more: object) -> None:
        del event, more

    def info(self, event: str, **more: object) -> None:
        del event, more

    exception = warning


class World:
    """One seed's world. `run` returns None, or which promise was broken and how."""

    def __init__(self, seed: int, requested: Temper, *, trace: bool = False) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.temper = draw(seed, requested)
        self.now = START
        self.odds: dict[str, float] = {}
        self.storm = True
        self._trace = trace
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._tie = 0
        self.sends = 0
        self.cloud = FileCloud() if self.temper.replaced else cloud()
        self.cloud.reset()
        self.ahead = 0.0
        self._open()
        self.net = Net(self)
        self.net.bodies, self.net.specs = dict(self.cloud.bodies), dict(self.cloud.specs)
        self.objects = Objects(self)
        self.core = Core(self.store, self, self.net, bytes(32), captures=self.objects)  # type: ignore[arg-type]
        self.promises = Promises(self)
        self.descriptors = Descriptors(self)
        hosts = self.random.choice((1, 1, 2)) if self.temper.restored != "gone" else 1
        away = bool(self.temper.silent or self.temper.mute)
        hosts = 2 if away else hosts
        # Long enough for users to ask while the host is away that the store was recovered without.
        self.calm = START + STORM + (30.0 if away else 0.0)
        self.nodes = {name: Node(self, name) for name in ("h1", "h2")[:hosts]}
        self.surprises: list[str] = []
        self._parked = 4
        self._fibers: list[Fiber] = []
        self._steps: dict[Fiber, set[LeasedWake]] = {}
        """The wakes that each worker has leased, given back or not."""
        self.restoring: Restored | None = None
        self._kick: float | None = None
        self.began = START
        self.users = Users(self)
        self.operators = Operators(self)
        self.people = People(self)
        self.damage = Damage(self)

    def _open(self) -> None:
        """Have the store of a process that begins."""
        self.store = self.cloud.store
        self.store.now = Clock(self.wall, self.clock) if self.temper.clock else self.clock
        self.store._swept = int(START - stores.TOMBSTONE), START
        self.store.world = self

    @property
    def behind(self) -> bool:
        """Whether the database was replaced by one that lacks what it had."""
        return self.restoring is not None and self.restoring.lossy

    @property
    def shown(self) -> set[str]:
        """The events that happened in this world, of those that a sample of worlds has to show."""
        pages = max(node.pages for node in self.nodes.values())
        return {
            *self.operators.done,
            *self.people.done,
            *self.damage.kinds,
            *self.users.captures.seen,
            *self.users.interfaces.seen,
            *self.users.layouts.seen,
            *(["many pages"] if pages >= MANY_PAGES else []),
            *(["lack of descriptors"] if self.descriptors.failed > SCARCE else []),
        }

    # -- time ----------------------------------------------------------------------------------------------------

    def clock(self) -> float:
        """Seconds, as everything in the world sees them."""
        return self.now

    def wall(self) -> float:
        """Seconds as the cloud's wall clock has them."""
        return self.now + self.ahead

    def after(self, delay: float, what: Callable[[], None]) -> None:
        """Do `what` in `delay` seconds."""
        self._tie += 1
        heapq.heappush(self._queue, (self.now + delay, self._tie, what))

    def soon(self, mean: float) -> float:
        """A random delay."""
        return self.random.expovariate(1 / mean)

    def happens(self, what: str) -> bool:
        """Whether a mishap of this kind happens now."""
        odds = self.odds.get(what, 0.0)
        return odds > 0 and self.random.random() < odds

    def log(self, *what: object) -> None:
        """Tell, when a seed is traced."""
        if self._trace:
            print(f"{self.now - START:8.2f}", *what)  # noqa: T201

    # -- the bus -------------------------------------------------------------------------------------------------

    def carry(self, deliver: Callable[[], None]) -> None:
        """Deliver never, once or twice, now or later, in any order; reliably once the storm is over."""
        for _ in range(self.random.choice((0, 1, 1, 1, 2)) if self.storm else 1):
            late = self.storm and self.random.random() < 0.15
            self.after(self.soon(0.1) + (self.random.uniform(0, 25) if late else 0), deliver)

    def send(self, host: str, order: Order | messages.Ask) -> None:
        """The cloud's end of the bus: an order or a question leaves."""
        if not self.store.depth:
            give_way()
        self.sends += 1
        data = messages.encode(order)
        if isinstance(order, messages.Order):
            what = order.spec.power if isinstance(order.spec, InstanceSpec) else order.spec and "capture"
            self.log("sent to", host, order.uuid, order.revision, order.why or what)
        node = self.nodes.get(host)
        if node is not None:
            self.carry(lambda: self._order(node, data))

    def _order(self, node: Node, data: bytes) -> None:
        order = messages.decode_to_host(data)
        if isinstance(order, messages.Order):
            node.arrive(order)
        elif isinstance(order, messages.Ask):
            node.asked(order)

    def hear(self, message: ToCloud | None, number: int) -> None:
        """A report reaches the cloud: the `number`-th of its host."""
        if isinstance(message, messages.Report):
            self.promises.before_report(message.host, number, paged=message.pages > 1)
            try:
                if self.restoring is not None:
                    self.restoring.heard(message)
                else:
                    report.absorb_all(self.core, [message])
            except (StoreDown, Unavailable) as error:
                if not is_down(error):
                    raise
                self.log("report not taken in")
            else:
                # Pages of an answer are taken in when all are there.
                if message.pages == 1:
                    self.promises.after_report(message.host, number)

    # -- workers -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Set a worker going when a wake is due."""
        if not self.store.dirty:
            return
        self.store.dirty = False
        due = self.cloud.next_due()
        if due is not None and self._parked:
            when = max(due - self.ahead, self.now)
            if self._kick is None or self._kick > when:
                self._kick = when
                self.after(when - self.now + self.random.uniform(0.001, 0.05), self._work)

    def _work(self) -> None:
        self._kick = None
        if not self._parked:
            return
        self._parked -= 1
        fiber = Fiber(lambda: runner.work(self.core))
        self._fibers.append(fiber)
        self._go_on(fiber)

    def _go_on(self, fiber: Fiber) -> None:
        if fiber not in self._fibers:
            return  # of a process that is no more
        if self.happens("worker dies"):
            self.log("worker dies")
            fiber.kill()
            self._fibers.remove(fiber)
            # As of a process of its own: what it was at is known to nobody.
            self.store._leased -= self._steps.pop(fiber, set())
            self.after(self.soon(4), self._park)
            return
        wakes_before = self.store._leased.copy()
        try:
            done = fiber.resume()
        except (StoreDown, Unavailable) as error:
            if not is_down(error):
                raise
            self.log("worker's transaction failed")
            done = True
        self._steps.setdefault(fiber, set()).update(self.store._leased - wakes_before)
        if not done:
            self.after(self._pause(), lambda: self._go_on(fiber))
            return
        self._fibers.remove(fiber)
        if fiber.result:
            self._park()
        else:
            self.after(1.0, self._park)

    def _pause(self) -> float:
        """Seconds between two deeds of a worker: at times some, at times more than its lease."""
        if self.happens("worker pauses"):
            return self.random.uniform(*self.random.choice(((0.3, LEASE), (LEASE, 28.0))))
        return self.soon(0.01)

    def _park(self) -> None:
        self._parked += 1
        self.store.dirty = True

    def _resync(self) -> None:
        try:
            runner.resync(self.core)
        except (StoreDown, Fault, Unavailable):
            self.log("resync failed")
        late = self.now > self.calm + CALM - 1.4 * RESYNC  # none is under way at the end
        if not late:
            self.after(RESYNC * self.random.uniform(0.8, 1.2), self._resync)

    def restart(self, database: databases.Image) -> None:
        """The cloud's process ends, and begins again on another database."""
        self.end_process()
        self.cloud.load(database)
        self._open()
        self.core = dataclasses.replace(self.core, store=self.store)
        self.store.dirty = True

    def end_process(self) -> None:
        """The cloud's process ends; another one has as many workers, and knows nothing of what the store was."""
        self._kill_workers()
        self._parked = 4
        databases.forget(self.store)

    def _kill_workers(self) -> None:
        for fiber in self._fibers:
            fiber.kill()
        self._fibers.clear()

    def _end(self) -> None:
        """Nothing of this world goes on in the next, which has the same store."""
        self._kill_workers()
        for node in self.nodes.values():
            node.end()

    # -- mishaps -------------------------------------------------------------------------------------------------

    def _mishap(self) -> None:
        if not self.storm:
            return
        node = self.random.choice(list(self.nodes.values()))
        what = self.random.choice(self.temper.mishaps)
        if what == "cut":
            node.cut = self.now + self.random.uniform(1, 12)
        elif what == "full":
            node.book.full = self.now + self.random.uniform(1, 12)
        elif what in ("agent", "machine", "old"):
            if node.agent is not None:
                node.die(machine=what == "machine", old=what == "old")
        else:
            up = [u for (_, u), b in node.machine.bodies.items() if b.running and u != ALIEN]
            if up:
                self.promises.guest_ends(node, self.random.choice(up), by_itself=what == "guest")
        self.after(self.soon(3), self._mishap)

    def _set_clock(self) -> None:
        """Set the wall clock; the cloud's workers look for work a second later, whatever is due."""
        if not self.storm:
            return
        self.ahead = self.random.choice((-3600.0, -5.0, 0.0, 5.0, 3600.0, 2 * 86400.0))
        self.log("the clock is set to", self.ahead)
        self.after(1.0, self._work)
        self.after(self.soon(8), self._set_clock)

    # -- the run -------------------------------------------------------------------------------------------------

    def _until(self, end: float) -> None:
        while self._queue and self._queue[0][0] <= end:
            self.now, _, what = heapq.heappop(self._queue)
            what()
            self._look()
        self.now = end

    def _begin(self) -> None:
        for node in self.nodes.values():
            zone = self.core.place.zone
            report.absorb_all(self.core, [messages.Report(host=node.name, epoch=0, sequence=1, zone=zone)])
            if self.temper.history:
                node.book.recall(HISTORY)
            node.boot()
        self.odds = self.temper.odds
        self.after(self.random.uniform(5, RESYNC), self._resync)
        self.after(self.random.uniform(0, 4), self._mishap)
        if self.temper.layouts:
            self.users.layouts.begin()
        self.users.begin()
        if self.temper.operators:
            self.operators.begin()
        if self.temper.people:
            self.people.begin()
        if self.temper.clock:
            self.after(self.soon(8), self._set_clock)
        if self.temper.descriptors:
            self.descriptors.begin()
        if self.temper.damaged:
            self.damage.begin()
        if self.temper.restored:
            Restored(self, self.temper.restored)
        if self.temper.replaced:
            FileLoss(self, self.temper.replaced)

    def _finish_removal(self, tx: Writer, row: Instance) -> Instance:
        row_after = _finish_removal(tx, row)
        if row_after.gone is not None:
            self.promises.removal_finished(row.uuid)
        return row_after

    def run(self) -> str | None:
        """Run the seed."""
        log = _Log()
        changed: list[tuple[Any, str, object]] = [
            (ids, "uuid", drawn_uuids(self.seed)),
            (stores, "LEASE", LEASE),
            (runner, "log", log),
            (agents, "log", log),
            (agents, "MOST", HISTORY if self.temper.history else REMOVALS),
            (instances, "finish_removal", self._finish_removal),
            (pages, "LARGEST", SMALL_PAGE if self.temper.history else PAGE),
            (backoff, "_jitter", self.random),
        ]
        if self.temper.forgetful:
            changed.append((Reader, "surplus_tombstones", _every_tombstone))
        before = [getattr(module, name) for module, name, _ in changed]
        for module, name, value in changed:
            setattr(module, name, value)
        try:
            with self.descriptors.running_out() if self.temper.descriptors else contextlib.nullcontext():
                self._run()
        except Violation as broken:
            self.log(broken)
            return str(broken)
        finally:
            for (module, name, _), value in zip(changed, before, strict=True):
                setattr(module, name, value)
            self._end()
            self.store.world = None
            self.store.now = lambda: START
            if isinstance(self.cloud, FileCloud):
                self.cloud.end()
        return None

    def _run(self) -> None:
        self._begin()
        self._until(self.calm)
        self.storm = False
        self.odds = temper.CALM
        self.log("-- calm")
        for node in self.nodes.values():
            node.cut = 0.0
        self.damage.mend()
        self._until(self.calm + CALM)
        self.promises.judge()


def _every_tombstone(tx: Reader, cls: type[Noun]) -> list[str]:
    return [row.uuid for row in tx.list(cls, dead=True) if row.gone is not None]


def run(seed: int, requested: Temper | None = None, *, trace: bool = False) -> str | None:
    """Run one seed: None, or "promise: what broke it"."""
    return World(seed, requested or Temper(), trace=trace).run()
