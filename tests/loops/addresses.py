"""Requests of the world's users for floating addresses, and the results that hold once all rows have converged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.model.floatingip import FloatingIp
from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.model.spec import FloatingIpSpec
from pileus.rules import port
from pileus.verbs import floatingip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pileus.store.reader import Reader
    from tests.loops.users import Expectation
    from tests.loops.world import World


class Kept(msgspec.Struct):
    """What was asked last of one address; `instance` is the uuid of the one that it was given to."""

    uuid: str
    address: str
    instance: str | None = None
    released: bool = False


class Addresses:
    """Allocated, given to instances, taken from them and released; an instance that goes leaves its address."""

    def __init__(self, world: World, attempt: Callable[[Callable[[], object]], bool]) -> None:
        self._world = world
        self._attempt = attempt
        self.kept: dict[str, Kept] = {}

    def ask(self, living: list[Expectation]) -> None:
        """One request, of a kind that is possible now."""
        random = self._world.random
        mine = [floating for floating in self.kept.values() if not floating.released]
        if not mine or random.random() < 0.2:
            self._allocate()
            return
        floating = random.choice(mine)
        deed = random.choice(("associate", "associate", "associate", "disassociate", "release"))
        self._world.log("user:", deed, floating.address)
        if deed == "associate" and living:
            self._associate(floating, random.choice(living))
        elif deed == "disassociate":
            self._disassociate(floating)
        else:
            self._release(floating)

    def left(self, instance: str) -> None:
        """The instance was terminated: what it had is nobody's."""
        for floating in self.kept.values():
            if floating.instance == instance:
                floating.instance = None

    def relearn(self) -> None:
        """After a recovery: what the users see now is what they expect."""
        with self._world.store.truth() as tx:
            rows = {row.uuid: row for row in tx.list(FloatingIp, dead=True)}
        for floating in list(self.kept.values()):
            row = rows.get(floating.uuid)
            if row is None:
                del self.kept[floating.uuid]
                continue
            holder = self._world.damage.row(Port, row.wanted.port) if row.wanted.port else None
            floating.released, floating.instance = row.wanted.gone, holder.wanted.instance if holder else None

    def _allocate(self) -> None:
        rows: list[FloatingIp] = []
        caller, core = self._world.cloud.caller, self._world.core
        self._world.log("user: allocate")
        if self._attempt(lambda: rows.append(floatingip.allocate(caller, core))):
            row = rows[-1]
            self.kept[row.uuid] = Kept(row.uuid, row.assigned.address)

    def _associate(self, floating: Kept, expectation: Expectation) -> None:
        caller, core = self._world.cloud.caller, self._world.core
        if self._attempt(lambda: floatingip.associate(caller, core, floating.uuid, instance=expectation.uuid)):
            self.left(expectation.uuid)
            floating.instance = expectation.uuid

    def _disassociate(self, floating: Kept) -> None:
        caller, core = self._world.cloud.caller, self._world.core
        if self._attempt(lambda: floatingip.disassociate(caller, core, address=floating.address)):
            floating.instance = None

    def _release(self, floating: Kept) -> None:
        caller, core = self._world.cloud.caller, self._world.core
        if self._attempt(lambda: floatingip.release(caller, core, floating.uuid)):
            floating.released = True

    def complaints(self, tx: Reader) -> Iterator[str]:
        """At rest: how what is there differs from what was asked."""
        rows = {row.uuid: row for row in tx.list(FloatingIp, dead=True)}
        for floating in self.kept.values():
            row = rows.get(floating.uuid)
            spec = self._world.net.specs.get(("floatingip", floating.uuid))
            if floating.released:
                if spec is not None or (not self._world.temper.forgetful if row is None else row.gone is None):
                    yield f"{floating.address} was released, and is {row}, {spec}"
                continue
            if row is None or row.gone is not None or row.assigned.address != floating.address:
                yield f"{floating.address} was kept, and is {row}"
                continue
            has = self._port(tx, floating)
            if row.wanted.port != (has.uuid if has else None):
                yield f"{floating.address} was given to {floating.instance}, and {row.wanted.port} has it"
            led = (spec.port, spec.private) if isinstance(spec, FloatingIpSpec) else None
            if led != ((has.uuid, has.assigned.address) if has else ("", "")):
                yield f"{floating.address} was given to {floating.instance}, and leads to {led}"

    def _port(self, tx: Reader, floating: Kept) -> Port | None:
        """The port that the address leads to; None also when the instance ended itself for good."""
        instance = tx.get(Instance, floating.instance) if floating.instance else None
        if instance is None or instance.wanted.gone:
            return None
        return port.of_instance(tx, instance.uuid)[0]
