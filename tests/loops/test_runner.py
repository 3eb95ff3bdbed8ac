"""The runner's threads: requests go first, but never for long."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pileus.loops.runner import Runner, work
from pileus.model.caller import SYSTEM
from pileus.providers.stub import StubProvider
from pileus.store.migrate import migrate
from pileus.store.store import Store
from pileus.verbs import flavor, project
from pileus.verbs.core import Core

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.store.store import Claimed


class Hosts:
    """A bus without hosts."""

    def send(self, host: str, order: object) -> None:
        """Lose it."""


def test_steps_are_done_though_requests_never_cease(url: Callable[[str], str]) -> None:
    store = Store(url("store"))
    migrate(store.engine)
    core = Core(store, Hosts(), StubProvider(), bytes(32))  # type: ignore[arg-type]
    flavor.seed(SYSTEM, core)
    stepped = threading.Event()

    def watch(held: Claimed, seconds: float, *, failed: bool) -> None:
        stepped.set()

    runner = Runner(core, watch=watch)
    runner.start()
    try:
        number = 0
        while not stepped.is_set():
            number += 1
            assert number < 10_000, "no step while requests came in"
            project.ensure(SYSTEM, core, f"project-{number}")
    finally:
        runner.stop()
        store.close()


def test_who_stops_holds_no_wake(url: Callable[[str], str]) -> None:
    store = Store(url("store"))
    migrate(store.engine)
    core = Core(store, Hosts(), StubProvider(), bytes(32))  # type: ignore[arg-type]
    flavor.seed(SYSTEM, core)
    project.ensure(SYSTEM, core, "blue")
    try:
        assert work(core, stop=lambda: True)
        left = [store.claim_wake(), store.claim_wake()]
        assert left[0] is not None, "the first one was done, the others are anybody's"
        assert left[1] is not None
    finally:
        store.close()
