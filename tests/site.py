"""A cloud without threads: the real store, verbs, loops and agents, moved on by hand, with a clock of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.bus.messages import Ask, Report
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.loops import report, runner
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import Fault
from pileus.model.host import Capacity, ProviderLimits
from pileus.model.image import Wanted as ImageWanted
from pileus.model.instance import Instance
from pileus.providers.stub.provider import StubProvider
from pileus.rules.core import Core
from pileus.store.journal import JournalSweep
from pileus.store.store import TOMBSTONE
from pileus.verbs import flavor, image, project
from pileus.verbs.instance import launch
from tests import databases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pileus.bus.messages import Open, Order
    from pileus.model.image import Image
    from pileus.model.provider import Access
    from pileus.store.store import Store


def one_step(core: Core) -> bool:
    """Take one due wake and do its step; False when nothing was due."""
    return runner.work(core, stop=lambda: True)


class Site:
    """Has flavors, and whatever a test makes. One at a time.

    `sent` are the orders that no agent took yet, `asked` the hosts that were asked for everything.
    """

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.store = _store()
        self.store.now = lambda: self.now
        self.store._sweep = JournalSweep()
        self.store._swept = int(self.now - TOMBSTONE), self.now
        self.engine = StubProvider()
        self.sent: list[tuple[str, Order]] = []
        self.asked: list[str] = []
        self.core = Core(self.store, self, self.engine, bytes(32))
        self.agents: dict[str, Agent] = {}

    # -- the bus, as the core sees it ------------------------------------------------------------------------------

    def send(self, host: str, order: Order | Ask) -> None:
        """Keep an order; or who was asked for everything."""
        if isinstance(order, Ask):
            self.asked.append(host)
        else:
            self.sent.append((host, order))

    def open(self, host: str, request: Open) -> Access:
        """Open on the host's stub."""
        raise Fault("Unsupported", f"{request.channel} of {host}")

    # -- what there is ---------------------------------------------------------------------------------------------

    def caller(self, name: str = "blue", quota: Mapping[str, int] | None = None, *, admin: bool = False) -> Caller:
        """Somebody in the project of this name, which is made."""
        made = project.ensure(SYSTEM, self.core, name, quota)
        return Caller(user=f"user of {name}", user_name=name, project=made.uuid, admin=admin, face="test")

    def image(self, caller: Caller, name: str = "tiny", **wanted: int | bool | str) -> Image:
        """An image of the caller's."""
        given = {"digest": "0" * 64, "size": 1, "virtual_size": 1, **wanted}
        registrar = msgspec.structs.replace(caller, admin=True)  # only an administrator makes public ones
        return image.register(registrar, self.core, name, ImageWanted(**given))  # type: ignore[arg-type]

    def host(self, name: str = "h1", capacity: Capacity | None = None, zone: str = "us-east-1a") -> Agent:
        """A host with its agent, which has reported."""
        stub = StubProvider()
        agent = Agent(name, stub, Book(), zone=zone, capacity=capacity, now=lambda: self.now)
        self.agents[name] = agent
        self.hear(name)
        return agent

    def plain_host(self, name: str, sequence: int = 1, **more: object) -> None:
        """A host that is known from a report alone."""
        given: dict[str, object] = {"zone": "us-east-1a", "limits": ProviderLimits(), **more}
        report.absorb_all(self.core, [Report(host=name, epoch=1, sequence=sequence, **given)])  # type: ignore[arg-type]

    # -- what happens ----------------------------------------------------------------------------------------------

    def launch(self, caller: Caller, asked: launch.Launch) -> list[Instance]:
        """Launch; the rows."""
        return self.rows(launch.launch(caller, self.core, asked))

    def rows(self, uuids: Sequence[str]) -> list[Instance]:
        """These instances, in this order."""
        with self.store.read() as tx:
            found = tx.many(Instance, uuids)
        return [found[uuid] for uuid in uuids]

    def row(self, uuid: str) -> Instance:
        """This instance."""
        return self.rows([uuid])[0]

    def work(self) -> int:
        """Do all that is due; how much it was."""
        done = 0
        while one_step(self.core):
            done += 1
        return done

    def hear(self, name: str, *, full: bool = True) -> None:
        """A host's report is taken in."""
        report.absorb_all(self.core, [self.agents[name].report(full=full)])

    def settle(self, rounds: int = 8) -> None:
        """Let some seconds pass in which everything is delivered, done and said."""
        for _ in range(rounds):
            self.work()
            orders, self.sent = self.sent, []
            for host, order in orders:
                if host in self.agents:
                    self.agents[host].take(order)
            for name, agent in self.agents.items():
                for uuid in list(agent.book.entries):
                    while agent.step(uuid) == 0.0:
                        pass
                self.hear(name)
            self.now += 1.0
        self.work()


@pytest.fixture
def site() -> Site:
    """A site with one host."""
    made = Site()
    made.host("h1")
    return made


@pytest.fixture
def ann(site: Site) -> Caller:
    """Somebody in a project."""
    return site.caller("blue")


@pytest.fixture
def tiny(site: Site, ann: Caller) -> Image:
    """An image that all may start from."""
    return site.image(ann, "tiny", public=True)


class _Beginning:
    """The one store that all sites of this process use in turn: its statements are compiled once."""

    def __init__(self) -> None:
        self.store = databases.opened(lambda: 0.0)
        flavor.seed(SYSTEM, Core(self.store, None, StubProvider(), bytes(32)))  # type: ignore[arg-type]
        self._image = databases.copy(self.store)

    def again(self) -> Store:
        """The store as it was in the beginning."""
        databases.load(self.store, self._image)
        self.store._on_commit.clear()
        self.store.closed = False
        return self.store


_beginning: list[_Beginning] = []


def _store() -> Store:
    if not _beginning:
        _beginning.append(_Beginning())
    return _beginning[0].again()
