"""Two processes of the cloud and two hosts over a real broker that loses, doubles and reorders: they come to rest."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, TypeVar

import pytest

from pileus.bus.messages import Ask, Opened, Order, Report
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.host.runner import HostRunner
from pileus.loops.runner import Runner
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import NoCapacity
from pileus.model.image import Wanted
from pileus.model.instance import State
from pileus.providers.stub.provider import StubProvider
from pileus.rules.core import Core
from pileus.store.migrate import migrate
from pileus.store.store import Store
from pileus.verbs import flavor, image, project
from pileus.verbs.instance import power, view
from pileus.verbs.instance.launch import Launch, launch
from tests.live.ends import Ends
from tests.services import rabbitmq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pileus.bus.messages import Open, ToHost
    from pileus.bus.rabbitmq import CloudEnd, HostEnd
    from pileus.model.provider import Access
    from tests.services.rabbitmq import RabbitMq


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    with rabbitmq.running(tmp_path_factory.mktemp("rabbitmq")) as made:
        yield made


T = TypeVar("T")


class Weather:
    """What becomes of each message on its way: most pass, some do not, some come twice, some after the next one."""

    def __init__(self, seed: int) -> None:
        self.calm = False
        self.counts = dict.fromkeys(("passed", "lost", "doubled", "late"), 0)
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def through(self, message: T, held: list[T]) -> list[T]:
        """What is sent now in the place of this message; `held` are those that come late."""
        with self._lock:
            fate = "passed" if self.calm else self._random.choice(("passed",) * 4 + ("lost", "lost", "doubled", "late"))
            self.counts[fate] += 1
            if fate == "lost":
                return []
            if fate == "late":
                held.append(message)
                return []
            late, held[:] = list(held), []
            return [message] * (2 if fate == "doubled" else 1) + late


class RoughCloud:
    """The cloud's end, with weather."""

    def __init__(self, end: CloudEnd, weather: Weather) -> None:
        self._end = end
        self._weather = weather
        self._held: list[tuple[str, Order | Ask]] = []
        self.listen, self.notify, self.on_notification = end.listen, end.notify, end.on_notification

    def send(self, host: str, message: Order | Ask) -> None:
        """Send, perhaps."""
        for there, what in self._weather.through((host, message), self._held):
            self._end.send(there, what)

    def open(self, host: str, request: Open) -> Access:
        """Have a host open a channel."""
        return self._end.open(host, request)


class RoughHost:
    """A host's end, with weather."""

    def __init__(self, end: HostEnd, weather: Weather) -> None:
        self._end = end
        self._weather = weather
        self._held: list[Report | Opened] = []

    def listen(self, on_message: Callable[[ToHost], None]) -> None:
        """Begin to connect and deliver."""
        self._end.listen(on_message)

    def send(self, message: Report | Opened) -> None:
        """Send, perhaps."""
        for what in self._weather.through(message, self._held):
            self._end.send(what)


class World:
    """One store, two processes with loops, two hosts over the stub."""

    def __init__(self, ends: Ends, folder: Path, weather: Weather) -> None:
        url = f"sqlite:///{folder}/store.db"
        engine = StubProvider()
        self.stores = [Store(url), Store(url)]
        migrate(self.stores[0].engine)
        self.ends = [ends.end(), ends.end()]
        rough = [RoughCloud(end, weather) for end in self.ends]
        self.cores = [Core(store, end, engine, bytes(32)) for store, end in zip(self.stores, rough, strict=True)]
        self._runners = [Runner(core, workers=2) for core in self.cores]
        self.stubs = {name: StubProvider() for name in ("h1", "h2")}
        zone = self.cores[0].place.zone
        self._hosts = [
            HostRunner(Agent(name, stub, Book(), zone=zone), RoughHost(ends.host_end(name), weather))
            for name, stub in self.stubs.items()
        ]
        ours, runners = self.ends, self._runners
        self._stops = [part.stop for part in self._hosts]
        self._stops += [part.stop for part in runners] + [part.stop for part in ours]
        for start in [part.start for part in ours] + [part.start for part in runners]:
            start()
        for host in self._hosts:
            host.start()

    def stop(self) -> None:
        """End the threads."""
        for stop in self._stops:
            stop()
        for store in self.stores:
            store.close()

    def bodies(self) -> dict[str, list[str]]:
        """The hosts that have a running body of each instance."""
        found: dict[str, list[str]] = {}
        for name, stub in self.stubs.items():
            for seen in stub.scan():
                if seen.running:
                    found.setdefault(seen.uuid, []).append(name)
        return found


def until(condition: Callable[[], object], bound: float = 120.0) -> None:
    end = time.monotonic() + bound
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


@pytest.mark.cost(90)
@pytest.mark.parametrize("kill", [False, True], ids=["rough", "and the broker killed"])
def test_it_comes_to_rest_as_the_user_meant(broker: RabbitMq, tmp_path: Path, *, kill: bool) -> None:
    weather = Weather(4)
    with Ends(broker) as ends:
        world = World(ends, tmp_path, weather)
        try:
            _live(world, broker, weather, kill=kill)
        finally:
            world.stop()


def _live(world: World, broker: RabbitMq, weather: Weather, *, kill: bool) -> None:
    one, two = world.cores
    flavor.seed(SYSTEM, one)
    me = Caller(user="u", user_name="u", project=project.ensure(SYSTEM, one, "blue").uuid)
    tiny = image.register(me, one, "tiny", Wanted(digest="0" * 64, size=1, virtual_size=1))

    def some(number: int) -> list[str]:
        request = Launch(image=tiny.uuid, flavor="m1.tiny", least=number, most=number)
        end = time.monotonic() + 60
        while True:
            try:
                return launch(me, one, request)
            except NoCapacity:  # no host has reported yet
                assert time.monotonic() < end
                time.sleep(0.1)

    def states() -> dict[str, State]:
        return {shown.instance.uuid: shown.state for shown in view.listing(me, two)[0]}

    first = some(6)
    until(lambda: all(state is State.RUNNING for state in states().values()))
    if kill:
        broker.kill()
    stopped, started, ended = first[:2], first[2:4], first[4:]
    power.stop(me, one, [*stopped, *started])
    power.start(me, two, started)
    power.terminate(me, two, ended)
    later = some(2)
    if kill:
        time.sleep(5)
        assert not broker.runs  # the verbs were answered while it was down
        broker.start()
    wanted = dict.fromkeys(stopped, State.STOPPED) | dict.fromkeys((*started, *later), State.RUNNING)
    wanted |= dict.fromkeys(ended, State.TERMINATED)
    until(lambda: states() == wanted)
    until(lambda: sorted(world.bodies()) == sorted((*started, *later)))
    assert all(len(hosts) == 1 for hosts in world.bodies().values())
    for _ in range(30):
        if min(weather.counts.values()) > 3:
            break
        # Too little said for the weather to have done much: the user goes on until it has.
        power.stop(me, one, [started[0]])
        until(lambda: states() == wanted | {started[0]: State.STOPPED})
        power.start(me, two, [started[0]])
        until(lambda: states() == wanted)
    assert min(weather.counts.values()) > 3, weather.counts
