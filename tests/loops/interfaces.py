"""Requests of the world's users for ports of their own, and the results that hold once all rows have converged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.model.spec import PortSpec
from pileus.rules.port import NewPort
from pileus.verbs import network, port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pileus.store.reader import Reader
    from tests.loops.users import Expectation
    from tests.loops.world import World


class OwnPort(msgspec.Struct):
    """The last request for one port; `instance` is the uuid of the instance that it was attached to."""

    uuid: str
    instance: str | None = None
    deleted: bool = False


class Interfaces:
    """Made, attached to instances, detached and deleted; an instance that goes leaves its port."""

    def __init__(self, world: World, attempt: Callable[[Callable[[], object]], bool]) -> None:
        self._world = world
        self._attempt = attempt
        self.kept: dict[str, OwnPort] = {}
        self.seen: set[str] = set()

    def ask(self, living: list[Expectation]) -> None:
        """One request, of a kind that is possible now."""
        random, caller, core = self._world.random, self._world.cloud.caller, self._world.core
        mine = [own for own in self.kept.values() if not own.deleted]
        if not mine or random.random() < 0.2:
            self._create()
            return
        own = random.choice(mine)
        deed = random.choice(("attach", "attach", "attach", "detach", "detach", "assign", "delete"))
        self._world.log("user:", deed, own.uuid)
        if deed == "attach" and living:
            instance, index = random.choice(living).uuid, random.choice((1, 2))
            if self._attempt(lambda: port.attach(caller, core, own.uuid, instance, index)):
                own.instance = instance
                self.seen.add("attached")
        elif deed == "detach":
            if self._attempt(lambda: port.detach(caller, core, own.uuid)):
                own.instance = None
                self.seen.add("detached")
        elif deed == "assign":
            self._attempt(lambda: port.assign(caller, core, own.uuid, more=1))
        elif self._attempt(lambda: port.delete(caller, core, own.uuid)):
            own.deleted = True
            self.seen.add("deleted")

    def relearn(self) -> None:
        """After a recovery: what the users see now is what they expect."""
        for own in list(self.kept.values()):
            row = self._world.damage.row(Port, own.uuid)
            if row is None:
                del self.kept[own.uuid]
                continue
            own.instance, own.deleted = row.wanted.instance, row.wanted.gone or row.gone is not None

    def _create(self) -> None:
        rows: list[Port] = []
        caller, core = self._world.cloud.caller, self._world.core
        self._world.log("user: create a port")

        def create() -> None:
            subnets = [view.subnet.uuid for view in network.subnets(caller, core)[:1]]
            rows.extend(port.create(caller, core, NewPort(subnet=subnet)) for subnet in subnets)

        if self._attempt(create) and rows:
            self.kept[rows[-1].uuid] = OwnPort(rows[-1].uuid)

    def complaints(self, tx: Reader) -> Iterator[str]:
        """At rest: how what is there differs from what was asked."""
        for own in self.kept.values():
            row, spec = tx.get(Port, own.uuid), self._world.net.specs.get(("port", own.uuid))
            if own.deleted:
                if spec is not None or (row is not None and row.gone is None):
                    yield f"port {own.uuid} was deleted, and is {row}, {spec}"
                continue
            if row is None or row.gone is not None or not isinstance(spec, PortSpec):
                yield f"port {own.uuid} was made, and is {row}, {spec}"
                continue
            instance = tx.get(Instance, own.instance) if own.instance else None
            has = instance.uuid if instance is not None and not instance.wanted.gone else None
            if (row.wanted.instance, row.assigned.unconfirmed) != (has, ""):
                yield f"port {own.uuid} was given to {own.instance}, and is {row}"
            if (spec.address, *spec.secondaries) != row.assigned.addresses:
                yield f"port {own.uuid} has {row.assigned.addresses}, and is ordered as {spec}"
