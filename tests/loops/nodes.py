"""One host of the world: the real agent over a book that outlives it, driven as its runner drives it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Self

from pileus.bus import messages
from pileus.bus.messages import Removed
from pileus.host.agent import Agent
from pileus.host.book import Book, FileBook, Start
from pileus.host.runner import REPEAT
from pileus.model.backoff import backoff
from pileus.model.errors import Fault
from pileus.model.host import Capacity
from tests.loops.fibers import Fiber, Killed
from tests.loops.machines import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from pileus.bus.messages import Order, Report, ToCloud
    from pileus.host.book import BookEntry
    from pileus.model.noun import Revision
    from tests.loops.world import World

REPORT_INTERVAL, SURVEY = 10.0, 10.0


class Mortal(Book):
    """A book whose owner may die right before or right after anything is written; `gone` is what was ever removed."""

    world: World
    gone: set[str]
    full = 0.0
    """Until when nothing can be written."""
    torn: frozenset[str] = frozenset()
    """The uuids of orders that may be on the disk as they could not be written: the next process finds them so."""
    _written: Start

    @property
    def counted(self) -> bool:
        """Whether this start was written down."""
        return self.start.epoch == self._written.epoch

    def reopened(self) -> Self:
        """The book as the next process finds it. Raises OSError."""
        return self

    def put_back(self) -> None:
        """Have the contents of an earlier time."""

    def recall(self, count: int) -> None:
        """Have removed as many bodies long ago, at the store's first revisions."""
        for number in range(count):
            self.remember(f"0000{number:04x}-0000-4000-8000-000000000000", Removed(revision=(1, 1), why="gone"))

    def _perhaps(self) -> None:
        if self.world.happens("death at the book"):
            raise Killed

    def raise_highest(self, revision: Revision) -> None:
        self._perhaps()
        super().raise_highest(revision)

    def keep(self, entry: BookEntry) -> None:
        self._perhaps()
        super().keep(entry)
        self._remember_copy()
        self._perhaps()

    def _remember_copy(self) -> None:
        """Keep the contents for `put_back`."""

    def remember(self, uuid: str, removed: Removed) -> None:
        self._perhaps()
        super().remember(uuid, removed)
        if removed.why == "gone":
            self.gone.add(uuid)
        self._perhaps()

    def forget(self, through: Revision, left: int) -> None:
        self._perhaps()
        super().forget(through, left)
        self._perhaps()


class MortalFileBook(Mortal, FileBook):
    """Such a book in files, which are read anew by each process."""

    def __init__(self, world: World, folder: Path, gone: set[str] | None = None) -> None:
        self.world = world
        self.gone = set() if gone is None else gone
        self._place = folder
        super().__init__(folder, world.clock)

    def _write_entry(self, entry: BookEntry) -> None:
        self.torn |= {entry.uuid}
        super()._write_entry(entry)
        self.torn -= {entry.uuid}

    def reopened(self) -> MortalFileBook:
        return MortalFileBook(self.world, self._place, self.gone)


class MortalBook(Mortal):
    """Such a book in memory, on a disk that may be full."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self._written = self.start
        self.gone = set()
        self._copies = [self._copy()]

    def begin(self) -> None:
        self.start = self._recalled(self._written)
        super().begin()
        self._copies.append(self._copy())

    def _copy(self) -> tuple[Start, Revision, dict[str, BookEntry], dict[str, Removed]]:
        return self._written, self.forgotten, dict(self.entries), dict(self.removed)

    def put_back(self) -> None:
        self._written, self.forgotten, entries, removed = self.world.random.choice(self._copies)
        self.entries, self.removed = dict(entries), dict(removed)

    def _remember_copy(self) -> None:
        self._copies.append(self._copy())

    def _write_start(self, start: Start) -> None:
        self._room()
        self._written = start

    def _write_entry(self, entry: BookEntry) -> None:
        self._room(entry)

    def _write_removed(self, uuid: str, removed: Removed) -> None:
        self._room(uuid, removed)

    def _write_kept(self, forgotten: Revision, kept: dict[str, Removed]) -> None:
        self._room(forgotten, kept)

    def _room(self, *_: object) -> None:
        if self.full > self.world.now:
            why = self.world.random.choice((errno.ENOSPC, errno.EIO))
            raise OSError(why, "nothing can be written")


class Node:
    """A host; `agent` is None while its process is down. `life` counts agents: what an earlier one began is void."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.machine = Machine(world, name)
        self.machine.watch(lambda ref: self.hint(ref.uuid))
        self.book: Mortal = MortalBook(world)
        if world.temper.descriptors:
            self.book = MortalFileBook(world, world.descriptors.book(name))
        self.agent: Agent | None = None
        self.life = 0
        self.cut = self.away = self.mute = 0.0
        self._busy: dict[str, Fiber] = {}
        self._again: set[str] = set()
        self._tries: dict[str, int] = {}
        self._reporting = False
        self._said = self._report_turns = 0
        self.pages = 0
        """Pages of the longest answer."""

    @property
    def silent(self) -> bool:
        """Whether nothing reaches it, and it reaches nobody."""
        return max(self.cut, self.away) > self.world.now

    # -- its process ---------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start the agent: all that the book holds is looked at, and everything is reported."""
        self.life += 1
        try:
            self.book = self.book.reopened()
            self.agent = Agent(
                self.name,
                self.machine,
                self.book,
                zone=self.world.core.place.zone,
                capacity=Capacity(vcpus=6, memory=4096, disk=40),
                now=self.world.clock,
            )
        except OSError:
            self.world.after(self.world.random.uniform(0.5, 4), self.boot)
            return
        if not self.book.counted:
            self.world.promises.uncounted(self.name)
        life = self.life
        self._reporting = False
        for uuid in list(self.book.entries):
            self.wake(uuid)
        self._alive(life, REPORT_INTERVAL, self.report_due)
        self._alive(life, SURVEY * self.world.random.random(), self.survey)
        self.report(full=True)

    def _alive(self, life: int, every: float, what: object) -> None:
        def go() -> None:
            if self.life == life and self.agent is not None:
                what()  # type: ignore[operator]
                self.world.after(every, go)

        self.world.after(every, go)

    def die(self, *, machine: bool = False, old: bool = False) -> None:
        """The agent ends between two of its deeds; with `machine`, everything on the host does.

        With `old` its book is put back to what it was some time ago.
        """
        self.world.log(self.name, "machine reboots" if machine else "agent dies", "old book" if old else "")
        self.end()
        if old:
            self.book.put_back()
            self.world.promises.put_back(self)
        if machine:
            self.machine.reboot()
            self.world.promises.machine_rebooted(self)
        self.world.after(self.world.random.uniform(0.5, 12), self.boot)

    def end(self) -> None:
        """Whatever the process has begun ends where it stands."""
        self.agent = None
        self.life += 1
        for fiber in self._busy.values():
            fiber.kill()
        self._busy.clear()
        self._again.clear()
        self._tries.clear()

    def asked(self, ask: messages.Ask) -> None:
        """The cloud asks for everything."""
        if self.agent is None or self.silent or self.mute > self.world.now:
            return
        try:
            answer = self.agent.answer(ask)
        except Killed:
            self.die()
            return
        self.pages = max(self.pages, len(answer))
        for page in answer:
            self.up(page)

    # -- messages ------------------------------------------------------------------------------------------------

    def arrive(self, order: Order) -> None:
        """An order is delivered."""
        if self.agent is None or self.silent:
            return
        try:
            accepted = self.agent.take(order)
        except Killed:
            self.die()
            return
        self.world.log(self.name, "takes" if accepted else "leaves", order.uuid, order.revision, order.why)
        if accepted:
            self.wake(order.uuid)
        self._news()

    def _news(self) -> None:
        if self.agent is not None and self.agent.news and not self._reporting:
            self._reporting = True
            life = self.life

            def go() -> None:
                if self.life == life:
                    self._reporting = False
                    self.report(full=False)

            self.world.after(self.world.random.uniform(0.03, 0.3), go)

    def report_due(self) -> None:
        """A report, whether or not anything happened; one in `REPEAT` seconds is a full one."""
        self._report_turns += 1
        self.report(full=self._report_turns % round(REPEAT / REPORT_INTERVAL) == 0)

    def report(self, *, full: bool) -> None:
        """Say what is to be said."""
        if self.agent is not None:
            message: Report = self.agent.report(full=full)
            if not self.silent:
                self.up(message)

    def up(self, message: ToCloud) -> None:
        """Send to the cloud."""
        self._said += 1
        data, number = messages.encode(message), self._said
        self.world.carry(lambda: self.world.hear(messages.decode_to_cloud(data), number))

    # -- steps ---------------------------------------------------------------------------------------------------

    def hint(self, uuid: str) -> None:
        """The backend says that a body changed: sometimes nobody hears it."""
        if self.agent is not None and not self.world.happens("lost hint"):
            self.wake(uuid)

    def survey(self) -> None:
        """Look at everything."""
        if self.agent is not None:
            try:
                names = self.agent.survey()
            except (Fault, OSError):
                return
            for uuid in names:
                self.wake(uuid)

    def wake(self, uuid: str, after: float = 0.0) -> None:
        """Have a body looked at."""
        life = self.life
        late = self.world.random.uniform(0, 4) if self.world.happens("late step") else 0.02
        self.world.after(after + late, lambda: self._begin(uuid, life))

    def _begin(self, uuid: str, life: int) -> None:
        agent = self.agent
        if agent is None or life != self.life:
            return
        if uuid in self._busy:
            self._again.add(uuid)
            return
        self._busy[uuid] = Fiber(lambda: agent.step(uuid))
        self._go_on(uuid, life)

    def _go_on(self, uuid: str, life: int) -> None:
        if life != self.life:
            return
        if self.world.happens("agent dies"):
            self.die()
            return
        fiber = self._busy[uuid]
        try:
            done = fiber.resume()
        except (Fault, OSError):
            self._tries[uuid] = self._tries.get(uuid, 0) + 1
            self._end(uuid, backoff(self._tries[uuid]))
        except Killed:
            self.die()
        else:
            if done:
                self._tries.pop(uuid, None)
                self._end(uuid, fiber.result if isinstance(fiber.result, float) else None)
            else:
                late = self.world.random.uniform(0, 8) if self.world.happens("late step") else 0.01
                self.world.after(late, lambda: self._go_on(uuid, life))

    def _end(self, uuid: str, after: float | None) -> None:
        del self._busy[uuid]
        if uuid in self._again:
            self._again.discard(uuid)
            after = 0.0
        if after is not None:
            self.wake(uuid, after)
        self._news()
