"""The loops' own rules: orders and their revisions, the engine's nouns, faults, and the runner's threads."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, get_args, get_type_hints

import pytest
from sqlalchemy import delete, select

from pileus.bus.memory import MemoryBus
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.host.runner import HostRunner
from pileus.loops import engine, instance, runner
from pileus.loops.runner import Runner
from pileus.model.caller import SYSTEM, Caller
from pileus.model.errors import Fault, NoCapacity
from pileus.model.image import Wanted
from pileus.model.instance import State
from pileus.model.network import Network
from pileus.model.nouns import NOUNS
from pileus.model.port import Port
from pileus.model.project import Project
from pileus.model.router import Router
from pileus.model.securitygroup import SecurityGroup
from pileus.model.spec import InstanceSpec
from pileus.model.transitgateway import Wanted as TransitGatewayWanted
from pileus.providers.stub.provider import StubProvider
from pileus.rules.core import Core
from pileus.store import tables
from pileus.store.migrate import migrate
from pileus.store.store import TOMBSTONE, Store
from pileus.verbs import flavor, floatingip, image, project, securitygroup, tag, transitgateway
from pileus.verbs.instance import power, view
from pileus.verbs.instance.launch import Launch, launch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.image import Image
    from pileus.model.instance import Instance
    from tests.site import Site


@pytest.fixture
def row(site: Site, ann: Caller, tiny: Image) -> Instance:
    instance = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.work()
    return site.row(instance.uuid)


class TestOrders:
    def test_the_first_order_has_everything(self, site: Site, ann: Caller, row: Instance) -> None:
        ((host, order),) = site.sent
        assert (host, order.revision, order.uuid) == ("h1", row.revision, row.uuid)
        spec = order.spec
        assert isinstance(spec, InstanceSpec)
        assert (spec.revision, spec.project, spec.flavor, spec.loopback) == (
            row.revision,
            ann.project,
            "m1.small",
            row.assigned.loopback,
        )
        assert [nic.address for nic in spec.nics] == ["172.31.0.4"]
        assert [disk.digest for disk in spec.disks] == ["0" * 64]

    def test_what_nobody_answers_is_sent_again_as_it_was(self, site: Site, row: Instance) -> None:
        site.work()
        assert len(site.sent) == 1
        for count in (2, 3):
            site.now += instance.AGAIN
            site.work()
            assert len(site.sent) == count
        assert len({order.revision for _, order in site.sent}) == 1

    def test_what_is_as_wanted_is_not_sent(self, site: Site, row: Instance) -> None:
        site.settle()
        runner.resync(site.core)
        site.work()
        assert site.sent == []
        with site.store.read() as tx:
            assert tx.next_due() is None

    def test_whatever_changes_gives_a_higher_revision(self, site: Site, ann: Caller, row: Instance) -> None:
        changes = (
            lambda: tag.put(ann, site.core, [("instance", row.uuid)], {"k": "v"}),
            lambda: power.stop(ann, site.core, [row.uuid]),
            lambda: power.start(ann, site.core, [row.uuid]),
            lambda: power.reboot(ann, site.core, [row.uuid]),
            lambda: power.terminate(ann, site.core, [row.uuid]),
        )
        site.settle()
        revisions = [site.row(row.uuid).revision]
        for change in changes:
            change()
            site.work()
            revisions.append(site.row(row.uuid).revision)
            site.settle()
        assert revisions == sorted(set(revisions))

    def test_the_commit_comes_before_the_order(self, site: Site, row: Instance) -> None:
        site.now += instance.AGAIN
        sent = site.send

        def look(host: str, order: object) -> None:
            with site.store.write() as tx:  # would wait for ever for a transaction that is open
                assert tx.get(type(row), row.uuid) == row
            sent(host, order)  # type: ignore[arg-type]

        site.send = look  # type: ignore[method-assign]
        before = len(site.sent)
        site.work()
        assert len(site.sent) == before + 1

    def test_a_tombstone_is_left_alone(self, site: Site, ann: Caller, row: Instance) -> None:
        power.terminate(ann, site.core, [row.uuid])
        site.settle()
        gone = site.row(row.uuid)
        assert gone.gone is not None
        with site.store.write() as tx:
            tx.wake(gone)
        site.work()
        assert (site.row(row.uuid), site.sent) == (gone, [])
        site.now += TOMBSTONE + 1
        runner.resync(site.core)
        with site.store.read() as tx:
            assert tx.get(type(gone), gone.uuid) is None


class TestEngine:
    def test_a_project_has_its_network_in_the_engine(self, site: Site, ann: Caller) -> None:
        site.work()
        kinds = {kind for kind, _ in site.engine.bodies}
        assert kinds == {"router", "network", "securitygroup"}
        with site.store.read() as tx:
            for cls in (Router, Network, SecurityGroup):
                for noun in tx.list(cls):
                    assert noun.seen.present
                    assert noun.seen.revision == noun.revision

    def test_what_other_hands_removed_comes_back(self, site: Site, row: Instance) -> None:
        (key,) = (key for key in site.engine.bodies if key[0] == "port")
        del site.engine.bodies[key]
        runner.resync(site.core)
        site.work()
        assert key in site.engine.bodies

    def test_a_fault_is_shown_and_tried_again(self, site: Site, ann: Caller) -> None:
        def fails(_call: str, _uuid: str) -> None:
            raise Fault("Unreachable", "no engine")

        site.engine._faults = fails
        group = securitygroup.create(ann, site.core, "web", "")
        site.work()
        with site.store.read() as tx:
            fault = tx.need(SecurityGroup, group.uuid).seen.fault
            due = tx.due("securitygroup", group.uuid)
        assert fault is not None
        assert fault.code == "Unreachable"
        assert due is not None
        assert 0 < due - site.now < 2
        site.engine._faults = None
        site.now = due
        site.work()
        with site.store.read() as tx:
            seen = tx.need(SecurityGroup, group.uuid).seen
            assert (seen.fault, seen.present) == (None, True)

    def test_done_is_said_when_the_engine_has_it(self, site: Site, ann: Caller) -> None:
        site.work()
        ensure = site.engine.ensure
        site.engine.ensure = lambda spec: None  # type: ignore[method-assign]  # noqa: ARG005
        group = securitygroup.create(ann, site.core, "web", "")
        site.work()
        for outcome in ("open", "done"):
            with site.store.read() as tx:
                assert [entry.outcome for entry in tx.journal(group.uuid)] == [outcome]
            site.engine.ensure = ensure  # type: ignore[method-assign]
            site.now += engine.AGAIN
            site.work()

    def test_a_row_waits_for_its_ports(self, site: Site, ann: Caller, row: Instance) -> None:
        site.settle()
        power.terminate(ann, site.core, [row.uuid])

        def fails(_call: str, _uuid: str) -> None:
            raise Fault("Unreachable", "no engine")

        site.engine._faults = fails
        site.settle()
        assert site.row(row.uuid).gone is None
        with site.store.read() as tx:
            (port,) = tx.referring(Port, [row.uuid])
            assert (f"subnet:{port.wanted.subnet}", port.assigned.address, port.uuid) in tx.claims()
        site.engine._faults = None
        site.settle(12)
        assert site.row(row.uuid).gone is not None

    def test_a_worker_that_slept_brings_nothing_back(self, site: Site, ann: Caller, row: Instance) -> None:
        (key,) = (key for key in site.engine.specs if key[0] == "port")
        slept = site.engine.specs[key]
        power.terminate(ann, site.core, [row.uuid])
        site.settle()
        site.engine.ensure(slept)
        assert key not in site.engine.bodies


class Threads:
    """The whole of it with its threads: a store in a file, the bus in memory, two hosts."""

    def __init__(self, url: str) -> None:
        self.store = Store(url)
        migrate(self.store.engine)
        self.bus = MemoryBus()
        self.core = Core(self.store, self.bus, StubProvider(), bytes(32))
        self.runner = Runner(self.core)
        self.stubs = {name: StubProvider() for name in ("h1", "h2")}
        self.specs: dict[str, int] = {}
        self.hosts = [
            HostRunner(
                Agent(name, stub, Book(), zone=self.core.place.zone),
                self.bus.host(name),
                on_specs=lambda specs, name=name: self.specs.update({name: len(list(specs))}),  # type: ignore[misc]
            )
            for name, stub in self.stubs.items()
        ]
        self.runner.start()
        for host in self.hosts:
            host.start()

    def stop(self) -> None:
        for host in self.hosts:
            host.stop()
        self.runner.stop()
        self.bus.stop()
        self.store.close()


def test_it_all_runs_in_threads(url: Callable[[str], str]) -> None:
    cloud = Threads(url("store"))
    try:
        flavor.seed(SYSTEM, cloud.core)
        blue_project = project.ensure(SYSTEM, cloud.core, "blue")
        me = Caller(user="u", user_name="u", project=blue_project.uuid)
        tiny = image.register(me, cloud.core, "tiny", Wanted(digest="0" * 64, size=1, virtual_size=1))

        def until(wanted: State, count: int) -> None:
            end = time.monotonic() + 30
            while [shown.state for shown in view.listing(me, cloud.core)[0]] != [wanted] * count:
                assert time.monotonic() < end
                time.sleep(0.005)

        request = Launch(image=tiny.uuid, flavor="m1.tiny", least=6, most=6)
        end = time.monotonic() + 30
        while len(cloud.specs) < 2:
            assert time.monotonic() < end
            time.sleep(0.005)
        uuids: list[str] = []
        while not uuids:
            try:
                uuids = launch(me, cloud.core, request)
            except NoCapacity:  # no host has reported yet
                assert time.monotonic() < end
        until(State.RUNNING, 6)
        ids = [shown.instance.uuid for shown in view.listing(me, cloud.core)[0]]
        power.stop(me, cloud.core, ids)
        until(State.STOPPED, 6)
        power.start(me, cloud.core, ids)
        until(State.RUNNING, 6)
        for name, stub in cloud.stubs.items():
            for _, uuid in list(stub.bodies):
                assert cloud.specs[name]
                stub.end_guest(uuid)
        until(State.STOPPED, 6)
        threads = [threading.Thread(target=power.terminate, args=(me, cloud.core, ids)) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(State.TERMINATED, 6)
        for thread in threads:
            thread.join()
        assert all(not stub.bodies for stub in cloud.stubs.values())
    finally:
        cloud.stop()


def test_the_resync_finds_every_kind_that_has_a_loop(site: Site, ann: Caller, tiny: Image) -> None:
    """What lost its wake is looked at again, whichever kind it is: a new noun cannot be forgotten here."""
    site.launch(ann, Launch(image=tiny.uuid))
    floatingip.allocate(ann, site.core)
    transitgateway.create(ann, site.core, TransitGatewayWanted())
    with site.store.write() as tx:
        tx.sql.execute(delete(tables.wake))
    runner.resync(site.core)
    with site.store.read() as tx:
        woken = {row.kind for row in tx.sql.execute(select(tables.wake.c.kind).where(tables.wake.c.due.is_not(None)))}
    assert woken == set(runner.KINDS)
    # A noun that the network engine or a host reports on is one that has a loop.
    hints = {kind: get_type_hints(cls)["seen"] for kind, cls in NOUNS.items()}
    parts = {kind: get_args(hint) or (hint,) for kind, hint in hints.items()}  # an image may have none
    shown = {
        kind: {field for part in of for field in getattr(part, "__struct_fields__", ())} for kind, of in parts.items()
    }
    # A project has one too, which waits for the end of what it holds.
    assert woken == {kind for kind, fields in shown.items() if "fault" in fields} | {Project.KIND}
