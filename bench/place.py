"""Placements per second among 1,000 hosts: launches through the verb, on a store in a file, and the choice alone."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pileus.bus.messages import Report
from pileus.loops import report
from pileus.model.caller import SYSTEM, Caller
from pileus.model.host import Capacity
from pileus.model.image import Wanted
from pileus.model.placement import Need, Policy
from pileus.model.placement import choose as chosen
from pileus.providers.stub.provider import StubProvider
from pileus.rules.core import Core, Place
from pileus.rules.instance import place
from pileus.store.migrate import migrate
from pileus.store.store import Store
from pileus.verbs import flavor, image, project
from pileus.verbs.instance.launch import Launch, launch

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTS = 1000

ROOM = Place(subnet_cidr="172.31.0.0/16")
"""The whole VPC as one subnet: a fast machine launches more than the default one has addresses for."""

MOST = 30_000
"""Instances that one figure launches at most: the addresses suffice for both."""


def run(seconds: float) -> None:
    """Print a line for one instance a request, one for fifty, and one for the choice without its transaction."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder)}/store.db")
        migrate(store.engine)
        core = Core(store, None, StubProvider(), bytes(32), place=ROOM)  # type: ignore[arg-type]  # no bus: nothing is sent
        flavor.seed(SYSTEM, core)
        made = project.ensure(SYSTEM, core, "blue", {})
        ann = Caller(user="ann", user_name="ann", project=made.uuid, face="bench")
        tiny = image.register(ann, core, "tiny", Wanted(digest="0" * 64, size=1, virtual_size=1))
        has = Capacity(vcpus=64, memory=1 << 18, disk=1 << 14)
        for number in range(HOSTS):
            traits = ("kvm", "cpu:avx2")
            report.absorb_all(core, [Report(host=f"h{number}", epoch=1, sequence=1, capacity=has, traits=traits)])
        for size in (1, 50):
            request = Launch(image=tiny.uuid, flavor="m1.tiny", least=size, most=size)
            rate, cpu = _rate(seconds, lambda request=request: launch(ann, core, request), MOST // size)  # type: ignore[misc]  # mypy infers no type of a lambda with a default
            shown = f"placements-{HOSTS}-hosts-{size} rate={rate * size:.0f}/s cpu={cpu / size:.2f}ms"
            print(shown, flush=True)
        rate, cpu = _rate(seconds, lambda: _choose(core))
        print(f"placements-{HOSTS}-hosts-choice rate={rate:.0f}/s cpu={cpu:.2f}ms", flush=True)
        store.close()


def _choose(core: Core) -> None:
    with core.store.read() as tx:
        candidates = place.snapshot(tx, core.policy, core.store.now())
    chosen(candidates, Need(1, 128, 1), 1, Policy())


def _rate(seconds: float, call: Callable[[], object], most: float = math.inf) -> tuple[float, float]:
    """How often a second `what` can be done, and milliseconds of CPU for each; the first time warms up.

    It is done for `seconds`, and `most` times.
    """
    call()
    begin, spent, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begin < seconds and count < most:
        call()
        count += 1
    return count / (time.perf_counter() - begin), (time.process_time() - spent) * 1000 / count
