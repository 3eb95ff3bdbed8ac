"""The operators of the world: they drain hosts, take them out, forget those that are lost, and readmit them.

Their chance is their own: worlds without them are the same whether or not there could be some.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from pileus.loops import silence
from pileus.model.errors import PileusError
from pileus.model.host import LOST_AFTER, Host
from pileus.verbs import host as verbs
from tests.loops.promises import PLACE
from tests.loops.users import StoreDown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pileus.model.instance import Instance
    from tests.loops.world import World

LATE = 44.0
"""Seconds from the beginning until which they do things; from then on every host is in, and takes what comes."""


class Operators:
    """They act for as long as the storm lasts and somewhat longer; `done` names what was not refused."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random.Random(world.seed)
        self._caller = msgspec.structs.replace(world.cloud.caller, admin=True)
        self.done: list[str] = []

    def begin(self) -> None:
        """Begin; in some worlds a host is cut off for as long as makes it lost, and is forgotten."""
        world = self._world
        world.after(self._random.uniform(0, 3), self._change_host)
        if self._random.random() < 0.7:
            world.after(self._random.uniform(0, 3), self._lose)
        world.after(LATE, self._mend)
        world.after(silence.LOOK, self._watch)

    def placed(self, rows: Iterable[Instance]) -> None:
        """A launch was answered: none of it is where nothing new may go."""
        with self._world.store.truth() as tx:
            hosts = {host.name: host for host in tx.list(Host)}
        for row in rows:
            host = hosts.get(row.assigned.host or "")
            if row.assigned.host and not row.wanted.gone and (host is None or host.wanted.state != "active"):
                self._world.promises.broken(PLACE, f"{row.uuid} was placed on {host or row.assigned.host}")

    def _change_host(self) -> None:
        world = self._world
        if world.now > self._end - 4:
            return
        name = self._random.choice(list(world.nodes))
        what = self._random.choice(("drained", "maintenance", "active", "active", "remove", "admit"))
        if what == "remove":
            self._try(what, lambda: verbs.remove(self._caller, world.core, name))
        elif what == "admit":
            self._try(what, lambda: verbs.admit(self._caller, world.core, name))
        else:
            self._try(what, lambda: verbs.set_duty(self._caller, world.core, name, what))  # type: ignore[arg-type]
        world.after(self._random.expovariate(1 / 3), self._change_host)

    def _lose(self) -> None:
        world = self._world
        name = self._random.choice(list(world.nodes))
        away = LOST_AFTER + self._random.uniform(0.5, 3)
        world.nodes[name].cut = world.now + away + 6
        world.log("operator: cuts off", name)
        for late in (0, 2, 4):  # what it said before may still be on its way
            world.after(away + late, lambda: self._try("forget", lambda: self._forget(name)))

    def _forget(self, name: str) -> None:
        verbs.remove(self._caller, self._world.core, name, forget=True)

    def _mend(self) -> None:
        """All hosts are readmitted and active again; what fails for a fault of the storm is done a little later."""
        world = self._world
        for name, node in world.nodes.items():
            node.cut = min(node.cut, world.now)
            self._try("admit", lambda name=name: verbs.admit(self._caller, world.core, name))  # type: ignore[misc]
            self._try("active", lambda name=name: verbs.set_duty(self._caller, world.core, name, "active"))  # type: ignore[misc]
        if world.now < self._end + 12:
            world.after(3.0, self._mend)

    def _watch(self) -> None:
        self._try("watch", lambda: silence.watch(self._world.core))
        if self._world.now < self._end + 30:
            self._world.after(silence.LOOK, self._watch)

    @property
    def _end(self) -> float:
        return self._world.began + LATE

    def _try(self, what: str, verb: Callable[[], object]) -> None:
        try:
            verb()
        except (PileusError, StoreDown) as error:
            self._world.log("operator: refused:", what, error)
        else:
            self.done.append(what)
            self._world.log("operator:", what)
