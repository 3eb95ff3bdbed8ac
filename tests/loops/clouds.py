"""What a world begins with: the real store, over a database in memory or in a file, and one project's cloud in it."""

from __future__ import annotations

import random
import uuid as uuids
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest import mock

from sqlalchemy import case, func, select

from pileus.model import ids
from pileus.model.caller import SYSTEM, Caller
from pileus.model.image import Wanted as ImageWanted
from pileus.model.provider import SeenBody
from pileus.rules.core import Core
from pileus.store import tables
from pileus.store.migrate import migrate
from pileus.store.reader import OPENING
from pileus.store.store import LeasedWake, Store
from pileus.verbs import flavor, image, project, securitygroup
from tests import databases
from tests.loops.fibers import give_way
from tests.loops.machines import ALIEN, Net
from tests.loops.promises import KEPT
from tests.loops.users import StoreDown
from tests.site import one_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pileus.bus.messages import Order
    from pileus.store.reader import Reader
    from pileus.store.writer import Writer
    from tests.loops.world import World

START = 1_800_000_000.0
_WAKE = tables.wake.c
NEXT = select(func.min(case((_WAKE.until > _WAKE.due, _WAKE.until), else_=_WAKE.due)))
"""When the next wake can be leased."""


class TracedStore(Store):
    """The store, which gives way before each transaction and may fail at a commit.

    `before_commit` is done once, within the next transaction. `lost`: what is written now goes to no file any more.
    """

    def __init__(self, url: str | None = None) -> None:
        super().__init__(url or databases.new())
        self.world: World | None = None
        self.depth = 0
        self.dirty = True
        self.lost = False
        self.before_commit: Callable[[], None] | None = None

    @contextmanager
    def truth(self) -> Iterator[Reader]:
        """A snapshot for the judge, who reads what was acknowledged, though it be in a file without a name."""
        replaced, self.engine.replaced = self.engine.replaced, False
        try:
            with super().read() as tx:
                yield tx
        finally:
            self.engine.replaced = replaced or self.engine.replaced

    @contextmanager
    def write(self, *, recovering: bool = False, lasting: bool = True) -> Iterator[Writer]:
        """One transaction."""
        give_way()
        self.depth += 1
        try:
            with super().write(recovering=recovering, lasting=lasting) as writer:
                yield writer
                if self.world is not None and self.world.happens("commit fails"):
                    raise StoreDown
                if self.before_commit is not None:
                    mishap, self.before_commit = self.before_commit, None
                    mishap()
            if self.lost and self.world is not None:
                self.world.promises.broken(KEPT, "a change was acknowledged, and went to a file that has no name")
            self.dirty = self.dirty or writer.woken
        finally:
            self.depth -= 1

    def finish_wakes(
        self, done: Sequence[tuple[LeasedWake, float | None, bool]], *, lease: int = 0
    ) -> list[LeasedWake]:
        """Give way, then give the wakes back."""
        give_way()
        self.dirty = True
        return super().finish_wakes(done, lease=lease)

    def lease_wakes(self, most: int) -> list[LeasedWake]:
        """Claim."""
        self.dirty = True
        return super().lease_wakes(most)


def drawn_uuids(seed: int | str) -> SimpleNamespace:
    """In the place of the module `uuid`: uuids follow from a seed, too, for much is done in their order."""
    drawn = random.Random(seed)
    return SimpleNamespace(uuid4=lambda: uuids.UUID(int=drawn.getrandbits(128), version=4))


class Cloud:
    """What every world begins with, made once: a project with its default network, two groups, an image, two hosts."""

    def __init__(self) -> None:
        with mock.patch.object(ids, "uuid", drawn_uuids("cloud")):
            self._begin()

    def _begin(self) -> None:
        self.store = TracedStore()
        self.store.now = lambda: START
        migrate(self.store.engine)
        self.empty = databases.copy(self.store)
        orders: list[Order] = []
        world = SimpleNamespace(happens=lambda _: False, log=lambda *_: None, promises=SimpleNamespace())
        world.promises.engine_removed = lambda *_: None
        world.descriptors = SimpleNamespace(take=lambda _: None)
        net = Net(world)  # type: ignore[arg-type]
        core = Core(self.store, SimpleNamespace(send=lambda _, o: orders.append(o)), net, bytes(32))
        flavor.seed(SYSTEM, core)
        quota = {"instances": 5, "vcpus": 40, "memory": 3072, "disk": 400, "securitygroups": 4, "floatingips": 3}
        self.project = project.ensure(SYSTEM, core, "blue", quota)
        self.caller = Caller(user="u", user_name="ann", project=self.project.uuid, face="test")
        wanted = ImageWanted(digest="0" * 64, size=1, virtual_size=1)
        self.image = image.register(self.caller, core, "tiny", wanted)
        self.groups = [securitygroup.create(self.caller, core, name, "") for name in ("web", "db")]
        while one_step(core):
            pass
        with self.store.write() as tx:
            tx.keep_meta(OPENING, 1)
        self.bodies, self.specs = dict(net.bodies), dict(net.specs)
        self.bodies[("port", ALIEN)] = SeenBody(kind="port", uuid=ALIEN)
        self._image = databases.copy(self.store)

    def next_due(self) -> float | None:
        """When the next wake can be leased."""
        with self.store.truth() as tx:
            (due,) = tx.sql.execute(NEXT).first()
        return None if due is None else float(due)

    def reset(self) -> None:
        """The database as it was in the beginning."""
        self.load(self._image)
        self.store.closed = False

    def copy(self) -> databases.Image:
        """The database as it is."""
        return databases.copy(self.store)

    def load(self, database: databases.Image) -> None:
        """Have another database."""
        databases.load(self.store, database)


_cloud: list[Cloud] = []


def cloud() -> Cloud:
    """The one that all worlds of this process begin from."""
    if not _cloud:
        _cloud.append(Cloud())
    return _cloud[0]
