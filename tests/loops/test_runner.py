"""The runner's threads: requests go first, but never for long."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pileus.loops import instance as loop
from pileus.loops.runner import Runner, work
from pileus.model.caller import SYSTEM
from pileus.model.errors import Fault
from pileus.model.port import Port
from pileus.providers.stub.provider import StubProvider
from pileus.rules.core import Core
from pileus.store.engine import UNTIDY
from pileus.store.migrate import migrate
from pileus.store.store import Store
from pileus.verbs import flavor, project
from pileus.verbs.instance.launch import Launch
from tests.bus.waiting import until
from tests.store.wakes import lease_wake

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from pileus.bus.messages import Order
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.instance import Instance
    from pileus.model.spec import Spec
    from pileus.store.store import LeasedWake
    from pileus.store.writer import Writer
    from tests.site import Site


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

    def watch(wake: LeasedWake, seconds: float, *, failed: bool) -> None:
        stepped.set()

    runner = Runner(core, observer=watch)
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
    for name in ("blue", "green", "red"):
        project.ensure(SYSTEM, core, name)
    try:
        assert work(core, stop=lambda: True)
        wakes = [lease_wake(store), lease_wake(store)]
        assert wakes[0] is not None, "the first ones were done, the others are anybody's"
        assert wakes[1] is not None
    finally:
        store.close()


def test_what_fails_of_several_keeps_no_other_from_being_done(
    site: Site, ann: Caller, tiny: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = site.launch(ann, Launch(image=tiny.uuid, least=6, most=6))
    bad = rows[2].uuid
    plan = loop.plan

    def failing(core: Core, tx: Writer, row: Instance) -> tuple[list[tuple[str, Order]], Instance]:
        if row.uuid == bad:
            raise RuntimeError("no plan")
        return plan(core, tx, row)

    monkeypatch.setattr(loop, "plan", failing)
    tried: dict[str, bool] = {}

    def watch(wake: LeasedWake, seconds: float, *, failed: bool) -> None:
        tried[wake.uuid] = failed

    assert work(site.core, watch)
    assert [uuid for uuid, failed in tried.items() if failed] == [bad]
    assert {order.uuid for _, order in site.sent} == {row.uuid for row in rows} - {bad}
    revisions = [row.revision for row in site.rows([row.uuid for row in rows]) if row.uuid != bad]
    assert len(set(revisions)) == 5, "each has a revision of its own"


def test_ports_that_the_engine_refuses_are_told_again_and_the_others_are_there(
    site: Site, ann: Caller, tiny: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = site.launch(ann, Launch(image=tiny.uuid, least=6, most=6))
    with site.store.read() as tx:
        ports = tx.referring(Port, [row.uuid for row in rows])
    ensure = site.engine.ensure

    def picky(spec: Spec) -> None:
        if spec.uuid == ports[3].uuid:
            raise Fault("Full", "no room")
        ensure(spec)

    monkeypatch.setattr(site.engine, "ensure", picky)
    work(site.core)
    with site.store.read() as tx:
        port_rows = tx.many(Port, [port.uuid for port in ports])
    present = {port.uuid for port in port_rows.values() if port.seen.present}
    assert present == {port.uuid for port in ports} - {ports[3].uuid}
    fault = port_rows[ports[3].uuid].seen.fault
    assert fault is not None
    assert fault.code == "Full"
    monkeypatch.undo()
    site.now += 60
    work(site.core)
    with site.store.read() as tx:
        assert tx.need(Port, ports[3].uuid).seen.present


def test_the_log_of_the_database_is_copied_beside_the_loops(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    migrate(store.engine)
    core = Core(store, Hosts(), StubProvider(), bytes(32))  # type: ignore[arg-type]
    runner = Runner(core, workers=1)
    before = (tmp_path / "store.db").stat().st_size
    flavor.seed(SYSTEM, core)
    runner.start()
    try:
        for _ in range(UNTIDY):
            store.prove()
        until(lambda: (tmp_path / "store.db").stat().st_size > before)
    finally:
        runner.stop()
        store.close()
