"""Many launches at once, and operators among them, on every kind of database: what a lock has to hold, not luck."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.bus.messages import Report
from pileus.loops import report
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import NoCapacity
from pileus.model.host import Capacity, Host, ProviderLimits
from pileus.model.image import Wanted as ImageWanted
from pileus.model.instance import Instance
from pileus.providers.stub.provider import StubProvider
from pileus.rules import recount
from pileus.rules.core import Core
from pileus.store.migrate import migrate
from pileus.store.store import Store
from pileus.verbs import flavor, image, project
from pileus.verbs import host as operators
from pileus.verbs.instance.launch import Launch, launch
from tests.bus.waiting import until
from tests.databases import url

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.image import Image

__all__ = ["url"]


def crowded(store: Store, hosts: int, memory: int) -> tuple[Core, Caller, Image]:
    """A cloud of hosts with room for so many MiB each."""
    migrate(store.engine)
    core = Core(store, None, StubProvider(), bytes(32))  # type: ignore[arg-type]
    flavor.seed(SYSTEM, core)
    blue_project = project.ensure(SYSTEM, core, "blue", {})
    ann = Caller(user="ann", user_name="ann", project=blue_project.uuid, face="test")
    tiny = image.register(ann, core, "tiny", ImageWanted(digest="0" * 64, size=1, virtual_size=1))
    for number in range(hosts):
        host_report = Report(
            host=f"h{number}", epoch=1, sequence=1, capacity=Capacity(memory=memory), limits=ProviderLimits()
        )
        report.absorb_all(core, [host_report])
    return core, ann, tiny


def test_sixty_four_launches_at_once_fill_the_hosts_and_no_more(url: Callable[[str], str]) -> None:
    core, ann, tiny = crowded(Store(url("x")), hosts=5, memory=8 * 128)
    done: list[int] = []
    refused: list[NoCapacity] = []

    def one() -> None:
        try:
            done.append(len(launch(ann, core, Launch(image=tiny.uuid, flavor="m1.tiny"))))
        except NoCapacity as error:
            refused.append(error)

    threads = [threading.Thread(target=one) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), len(refused)) == (40, 24)
    with core.store.read() as tx:
        assert recount.differences(tx) == []
        used = tx.usage()
    assert {used[f"host:h{number}", "memory"] for number in range(5)} == {1024}
    core.store.close()


def test_after_a_drain_was_acknowledged_no_launch_lands_there(
    url: Callable[[str], str], request: pytest.FixtureRequest
) -> None:
    """The journal is written in the order of the transactions: by it, nothing was placed on a host that was drained."""
    core, ann, tiny = crowded(Store(url("x")), hosts=3, memory=10**6)
    root = msgspec.structs.replace(ann, admin=True)
    draw = random.Random(request.config.getoption("randomly_seed"))
    over = threading.Event()
    launched: list[list[str]] = []

    def users() -> None:
        while not over.is_set():
            launched.append(launch(ann, core, Launch(image=tiny.uuid, flavor="m1.tiny", most=3)))

    threads = [threading.Thread(target=users) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(10):
        over.wait(draw.uniform(0.0, 0.02))
        operators.set_duty(root, core, "h0", draw.choice(["drained", "maintenance"]))
        if number == 0:
            # Once at least somebody launches meanwhile: of so many launches one is a user's second, begun after it.
            so_many = len(launched) + len(threads) + 1
            until(lambda: len(launched) >= so_many, 60)  # noqa: B023  (it ends within the loop)
        over.wait(draw.uniform(0.0, 0.02))
        operators.set_duty(root, core, "h0", "active")
    over.set()
    for thread in threads:
        thread.join()
    with core.store.read() as tx:
        host = next(candidate for candidate in tx.list(Host) if candidate.name == "h0")
        duties = [(line.id, line.verb == "host.activate") for line in tx.journal(host.uuid, limit=None)]
        placed = {row.uuid: row.assigned.host for row in tx.list(Instance)}
        lines = [line for line in tx.journal(limit=None) if line.uuid in placed and line.verb == "instance.launch"]
        assert recount.differences(tx) == []
    assert len(duties) == 20
    assert {line.uuid for line in lines} == set(placed)
    meanwhile = 0
    for line in lines:
        takes = next((active for ident, active in reversed(duties) if ident < line.id), True)
        meanwhile += not takes
        assert takes or placed[line.uuid] != "h0"
    assert meanwhile
    core.store.close()
