"""A store that is opened is compared with its hosts first, and brought up to them if it is behind."""

from __future__ import annotations

import dataclasses
import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pileus.bus.messages import Ask, Order
from pileus.host.agent import Agent
from pileus.host.book import Book
from pileus.loops import gate, recover, report, runner
from pileus.model.caller import SYSTEM
from pileus.model.errors import Fault, Unavailable
from pileus.model.floatingip import FloatingIp
from pileus.model.host import LOST_AFTER
from pileus.model.image import Image
from pileus.model.instance import Instance, State, state
from pileus.model.network import Network
from pileus.model.noun import NEVER
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.securitygroup import Rule, SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.volume import Volume
from pileus.providers.stub.provider import StubProvider
from pileus.rules import doctor, recount
from pileus.rules import recover as verb
from pileus.verbs import flavor, floatingip, project, securitygroup, tag
from pileus.verbs import host as hosts
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests import databases
from tests.site import one_step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.bus.messages import Open
    from pileus.model.caller import Caller
    from pileus.model.noun import Noun
    from pileus.model.provider import Access
    from tests.site import Site


class Process:
    """A cloud's process that opens the site's store anew: the bus to the agents, and the recovery."""

    def __init__(self, site: Site, silent: tuple[str, ...] = ()) -> None:
        self.site = site
        self.silent = set(silent)
        self.orders: list[tuple[str, Order]] = []
        databases.forget(site.store)
        self.gate = gate.Gate(self)
        self.core = site.core = dataclasses.replace(site.core, hosts=self.gate)
        self.recovery = recover.Recovery(self.core, self.gate, site.engine)

    def send(self, host: str, message: Order | Ask) -> None:
        """Carry a message to an agent that is not silent; its answer comes at once."""
        if isinstance(message, Order):
            self.orders.append((host, message))
            self.site.sent.append((host, message))
        elif host in self.site.agents and host not in self.silent:
            for page in self.site.agents[host].answer(message):
                self.recovery.heard(page)

    def open(self, host: str, request: Open) -> Access:
        """Nothing is opened here."""
        raise Fault("Unsupported", f"{request.channel} of {host}")

    def hear(self, host: str) -> None:
        """A host says something by itself."""
        self.recovery.heard(self.site.agents[host].report(full=True))

    def opened(self) -> Process:
        """Until the store is open."""
        self.recovery.tick()
        for host in self.site.agents.keys() - self.silent:
            self.hear(host)
        assert self.recovery.opened, self.recovery.missing()
        return self


def copied(site: Site) -> databases.Image:
    """The database as it is."""
    return databases.copy(site.store)


def replaced(site: Site, database: databases.Image) -> None:
    """Put another database in the place of the site's, under whoever has it open."""
    databases.replace(site.store, database)


@functools.cache
def empty() -> databases.Image:
    """A database in which nothing ever was."""
    store = databases.opened(lambda: 0.0)
    snapshot = databases.copy(store)
    store.close()
    return snapshot


def kept(site: Site) -> dict[str, object]:
    """Return names, tags, power and places of the rows, by uuid."""
    facts: dict[str, object] = {}
    classes: tuple[type[Noun], ...] = (Router, Network, Subnet, SecurityGroup, Instance, Port, Volume, FloatingIp)
    with site.store.read() as tx:
        for cls in classes:
            for row in tx.list(cls):
                place = getattr(row.assigned, "address", None) or getattr(row.assigned, "loopback", None)
                host = getattr(row.assigned, "host", None)
                facts[row.uuid] = (row.ec2_id, row.project, row.name, row.tags, row.created, row.wanted, place, host)
    return facts


@pytest.fixture
def row(site: Site, ann: Caller, tiny: Image) -> Instance:
    """An instance that runs, in a group with rules, with a floating address."""
    group = securitygroup.create(ann, site.core, "web", "the web")
    rule = Rule(id="", protocol="tcp", port_min=80, port_max=80, cidr="0.0.0.0/0", description="http")
    securitygroup.authorize(ann, site.core, [rule], uuid=group.uuid)
    instance = site.launch(ann, Launch(image=tiny.uuid, groups=(group.uuid,), tags={"Name": "one"}))[0]
    floating = floatingip.allocate(ann, site.core, {"of": "one"})
    floatingip.associate(ann, site.core, floating.uuid, instance=instance.uuid)
    site.settle()
    return site.row(instance.uuid)


def test_a_store_that_is_up_to_date_is_opened_as_it_is(site: Site, row: Instance) -> None:
    before, incarnation = kept(site), row.revision[0]
    process = Process(site).opened()
    assert (process.recovery.outcome, process.recovery.missing(), process.orders) == (None, {}, [])
    assert kept(site) == before
    site.settle()
    assert site.row(row.uuid).revision[0] == incarnation


def test_nothing_changes_and_nothing_goes_out_before(site: Site, ann: Caller, row: Instance) -> None:
    process = Process(site)
    with pytest.raises(Unavailable, match="try again shortly"):
        power.stop(ann, process.core, [row.uuid])
    assert not runner.work(process.core)
    process.gate.send("h1", Order(uuid=row.uuid, revision=(9, 9)))
    assert process.orders == []
    assert list(process.recovery.missing()) == ["host h1", "network engine"]
    process.opened()
    power.stop(ann, process.core, [row.uuid])
    site.settle()
    assert state(site.row(row.uuid)) is State.STOPPED


def test_an_old_copy_is_brought_up_to_its_hosts(site: Site, ann: Caller, tiny: Image, row: Instance) -> None:
    goes = site.launch(ann, Launch(image=tiny.uuid))[0]
    site.settle()
    old = copied(site)
    comes = site.launch(ann, Launch(image=tiny.uuid))[0]
    power.stop(ann, site.core, [row.uuid])
    power.terminate(ann, site.core, [goes.uuid])
    securitygroup.create(ann, site.core, "late", "")
    site.settle()
    before, bodies = kept(site), site.agents["h1"].provider.bodies.keys()  # type: ignore[attr-defined]
    replaced(site, old)
    outcome = Process(site).opened().recovery.outcome
    assert outcome is not None
    assert (outcome.advanced, outcome.removed) == ([row.ec2_id], [goes.ec2_id])
    assert comes.ec2_id in outcome.adopted
    assert kept(site) == before
    assert site.row(goes.uuid).gone is not None
    site.settle()
    assert kept(site) == before
    assert site.agents["h1"].provider.bodies.keys() == bodies  # type: ignore[attr-defined]
    assert [state(site.row(uuid)) for uuid in (row.uuid, comes.uuid)] == [State.STOPPED, State.RUNNING]
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_a_store_that_is_gone_is_made_again(site: Site, ann: Caller, row: Instance) -> None:
    before, log = kept(site), list(site.agents["h1"].provider.logs[row.uuid])  # type: ignore[attr-defined]
    replaced(site, empty())
    process = Process(site).opened()
    assert kept(site) == before
    assert project.ensure(SYSTEM, process.core, "blue").uuid == ann.project
    flavor.seed(SYSTEM, process.core)
    site.settle()
    assert kept(site) == before
    assert site.agents["h1"].provider.logs[row.uuid] == log  # type: ignore[attr-defined]
    power.terminate(ann, process.core, [row.uuid])
    site.settle()
    assert site.row(row.uuid).gone is not None
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_what_dies_in_the_middle_is_done_again(site: Site, row: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept(site)
    replaced(site, empty())
    whole = verb.recover

    def dies(*arguments: object) -> None:
        whole(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(verb, "recover", dies)
        process = Process(site)
        with pytest.raises(KeyboardInterrupt):
            process.opened()
    assert kept(site) == {}
    with pytest.raises(Unavailable):
        flavor.seed(SYSTEM, process.core)
    process = Process(site)
    assert "recovery" in process.recovery.missing()
    process.opened()
    assert kept(site) == before
    site.settle()
    assert state(site.row(row.uuid)) is State.RUNNING


def test_a_host_that_is_away_is_told_nothing_until_it_was_compared(
    site: Site, ann: Caller, tiny: Image, row: Instance
) -> None:
    site.host("h2")
    site.settle()
    old = copied(site)
    with moved_to(site, "h2"):
        comes = site.launch(ann, Launch(image=tiny.uuid))[0]
        site.settle()
    replaced(site, old)
    process = Process(site, silent=("h2",))
    process.hear("h1")
    process.recovery.tick()
    assert list(process.recovery.missing()) == ["recovery", "host h2"]  # the engine knows of a port that the copy lacks
    site.now += LOST_AFTER
    process.hear("h1")
    process.recovery.tick()
    assert process.recovery.opened
    process.gate.send("h2", Order(uuid=row.uuid, revision=(9, 9)))
    assert [host for host, _ in process.orders if host == "h2"] == []
    process.silent.clear()
    process.hear("h2")
    process.opened()
    assert site.row(comes.uuid).assigned.host == "h2"
    site.settle()
    assert state(site.row(comes.uuid)) is State.RUNNING


@contextmanager
def moved_to(site: Site, name: str) -> Iterator[None]:
    """Only this host takes new instances."""
    others = [agent for agent in site.agents if agent != name]
    away_agents = {}
    for other in others:
        away_agents[other] = site.agents.pop(other)
    site.now += LOST_AFTER
    site.hear(name)
    try:
        yield
    finally:
        site.agents.update(away_agents)


def test_an_engine_that_is_away_is_waited_for(site: Site, row: Instance) -> None:
    site.engine._faults = lambda call, _uuid: (_ for _ in ()).throw(Fault("NetworkEngineUnavailable", call))
    process = Process(site)
    process.hear("h1")
    process.recovery.tick()
    assert list(process.recovery.missing()) == ["network engine"]
    site.engine._faults = None
    process.opened()
    assert site.row(row.uuid).gone is None


def test_a_lost_store_keeps_the_ports_of_a_host_that_is_away(
    site: Site, ann: Caller, tiny: Image, row: Instance
) -> None:
    """Hours later its instances are back with their ids, addresses and networks, and nobody has had them meanwhile."""
    site.host("h2")
    site.settle()
    with moved_to(site, "h2"):
        away = site.launch(ann, Launch(image=tiny.uuid, tags={"Name": "away"}))[0]
        site.settle()
    floating = floatingip.allocate(ann, site.core)
    floatingip.associate(ann, site.core, floating.uuid, instance=away.uuid)
    site.settle()
    before, engine = kept(site), dict(site.engine.specs)
    replaced(site, empty())
    process = without_h2(site)
    assert process.recovery.outcome is not None
    assert process.recovery.outcome.unheard == ["h2"]
    agent = site.agents.pop("h2")
    flavor.seed(SYSTEM, process.core)
    site.settle()
    assert site.engine.specs.keys() == engine.keys()
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        [port] = [port for port in tx.list(Port) if port.wanted.instance == away.uuid]
        findings = [(finding.code, finding.ident) for finding in doctor.view(tx, site.now).findings]
    assert (port.assigned.host, port.assigned.loopback) == ("h2", away.assigned.loopback)
    assert ("HostUnheard", "h2") in findings
    assert "ReferenceBroken" not in {code for code, _ in findings}
    others = site.launch(ann, Launch(image=image_of(site).uuid, least=6, most=6))
    with site.store.read() as tx:
        new_addresses = {port.assigned.address for port in tx.referring(Port, [other.uuid for other in others])}
    assert port.assigned.address not in new_addresses
    assert away.assigned.loopback not in {other.assigned.loopback for other in others}
    site.settle()
    site.now += 3 * 3600
    site.agents["h2"] = agent
    process.silent.clear()
    process.hear("h1")
    process.hear("h2")
    process.opened()
    after = kept(site)
    assert {uuid: after[uuid] for uuid in before} == before
    site.settle()
    assert state(site.row(away.uuid)) is State.RUNNING
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        assert "HostUnheard" not in {finding.code for finding in doctor.view(tx, site.now).findings}


def test_what_is_asked_of_a_silent_hosts_instance_is_done_when_it_is_back(
    site: Site, ann: Caller, tiny: Image, row: Instance
) -> None:
    """The copy is older than what the host holds: it was restarted and tagged meanwhile, and then asked to stop."""
    site.host("h2")
    site.settle()
    with moved_to(site, "h2"):
        first, second = site.launch(ann, Launch(image=tiny.uuid, least=2, most=2))
        site.settle()
    old = copied(site)
    for call in (power.stop, power.start):
        for each in (row, first, second):
            call(ann, site.core, [each.uuid])
        site.settle()
    tag.put(ann, site.core, [("instance", first.uuid), ("instance", second.uuid)], {"colour": "blue"})
    site.settle()
    n = site.row(second.uuid).wanted.power.n
    replaced(site, old)
    process = without_h2(site)
    power.stop(ann, process.core, [first.uuid])
    agent = site.agents.pop("h2")
    site.settle()
    assert [host for host, _ in process.orders if host == "h2"] == []
    site.agents["h2"] = agent
    process.silent.clear()
    process.hear("h1")
    process.hear("h2")
    process.opened()
    site.settle()
    assert [state(site.row(each.uuid)) for each in (first, second)] == [State.STOPPED, State.RUNNING]
    assert [site.row(each.uuid).wanted.power.n for each in (first, second)] == [n + 1, n]
    assert site.row(first.uuid).tags == site.row(second.uuid).tags == {"colour": "blue"}
    assert site.row(first.uuid).assigned.unheard is None


def test_a_host_that_comes_back_with_nothing_is_compared_too(
    site: Site, ann: Caller, tiny: Image, row: Instance
) -> None:
    """Its disk was changed: what the copy has there is ordered anew, and ports of what nobody knows go."""
    site.host("h2")
    site.settle()
    with moved_to(site, "h2"):
        known_instance = site.launch(ann, Launch(image=tiny.uuid))[0]
        site.settle()
        old = copied(site)
        lost = site.launch(ann, Launch(image=tiny.uuid))[0]
        site.settle()
    replaced(site, old)
    process = without_h2(site)
    del site.agents["h2"]
    site.settle()
    with site.store.read() as tx:
        [port] = [port for port in tx.list(Port) if port.wanted.instance == lost.uuid]
    site.agents["h2"] = Agent("h2", StubProvider(), Book(), zone="us-east-1a", now=lambda: site.now)
    process.silent.clear()
    process.hear("h1")
    process.hear("h2")
    process.opened()
    site.settle()
    assert state(site.row(known_instance.uuid)) is State.RUNNING
    assert ("port", port.uuid) not in site.engine.specs


def without_h2(site: Site) -> Process:
    """A process that has opened the store while h2 is silent."""
    process = Process(site, silent=("h2",))
    process.recovery.tick()
    process.hear("h1")
    assert "host h2" in process.recovery.missing()
    site.now += LOST_AFTER
    process.hear("h1")
    process.recovery.tick()
    assert process.recovery.opened, process.recovery.missing()
    return process


def image_of(site: Site) -> Image:
    """The image that was recovered."""
    with site.store.read() as tx:
        return tx.list(Image)[0]


def test_a_copy_that_only_a_silent_host_shows_to_be_old_is_recovered_when_that_reports(
    site: Site, ann: Caller, tiny: Image, row: Instance
) -> None:
    """However far the store has counted meanwhile, and without having decided anything for what is there."""
    site.host("h2")
    site.settle()
    with moved_to(site, "h2"):
        away = site.launch(ann, Launch(image=tiny.uuid))[0]
        site.settle()
    old = copied(site)
    power.stop(ann, site.core, [away.uuid])
    site.settle()
    replaced(site, old)
    process = Process(site, silent=("h2",))
    process.recovery.tick()
    process.hear("h1")
    site.now += recover.GRACE
    process.hear("h1")
    assert (process.recovery.opened, process.recovery.outcome) == (True, None)
    agent = site.agents.pop("h2")
    site.now += LOST_AFTER
    process.hear("h1")
    for colour in ("red", "green", "blue"):
        tag.put(ann, process.core, [("instance", row.uuid), ("instance", away.uuid)], {"colour": colour})
        site.settle()
    site.agents["h2"] = agent
    process.silent.clear()
    process.hear("h2")
    process.hear("h1")
    process.opened()
    site.settle()
    assert process.recovery.outcome is not None
    assert state(site.row(away.uuid)) is State.STOPPED
    assert site.row(away.uuid).tags == {"colour": "blue"}
    assert site.row(away.uuid).assigned.unheard is None


def test_a_copy_from_before_a_host_came_is_recovered_when_that_reports(
    site: Site, ann: Caller, tiny: Image, row: Instance
) -> None:
    """The engine's databases are as old as the copy, and the store has counted past all that the host holds."""
    old, engine = copied(site), site.engine
    before = dict(engine.bodies), dict(engine.specs), dict(engine.removed)
    site.host("h2")
    with moved_to(site, "h2"):
        away = site.launch(ann, Launch(image=tiny.uuid))[0]
        site.settle()
    replaced(site, old)
    engine.bodies, engine.specs, engine.removed = before
    agent = site.agents.pop("h2")
    process = Process(site).opened()
    for number in range(12):
        tag.put(ann, process.core, [("instance", row.uuid)], {"number": str(number)})
        site.settle(1)
    with site.store.read() as tx:
        assert agent.book.start.highest < (tx.meta("incarnation"), tx.meta("counter"))
    assert (process.recovery.opened, process.recovery.outcome) == (True, None)
    site.agents["h2"] = agent
    process.hear("h2")
    process.opened()
    site.settle()
    assert process.recovery.outcome is not None
    assert site.row(away.uuid).assigned.host == "h2"
    assert [state(site.row(uuid)) for uuid in (row.uuid, away.uuid)] == [State.RUNNING, State.RUNNING]
    assert site.row(row.uuid).tags["number"] == "11"
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_a_host_that_was_removed_and_readmitted_is_no_stranger(site: Site, ann: Caller, tiny: Image) -> None:
    root = site.caller("admin", admin=True)
    site.host("h2")
    with moved_to(site, "h2"):
        row = site.launch(ann, Launch(image=tiny.uuid))[0]
        site.settle()
    power.terminate(ann, site.core, [row.uuid])
    site.settle()
    hosts.remove(root, site.core, "h2")
    assert Process(site).opened().recovery.outcome is None
    hosts.admit(root, site.core, "h2")
    process = Process(site).opened()
    assert process.recovery.outcome is None
    assert process.gate.admitted == {"h1", "h2"}


def test_a_host_that_was_away_and_knows_nothing_newer_goes_on(site: Site, ann: Caller, tiny: Image) -> None:
    site.host("h2")
    with moved_to(site, "h2"):
        away = site.launch(ann, Launch(image=tiny.uuid))[0]
        site.settle()
    process = Process(site, silent=("h2",))
    process.recovery.tick()
    process.hear("h1")
    site.now += recover.GRACE
    process.hear("h1")
    power.stop(ann, process.core, [away.uuid])
    process.silent.clear()
    process.hear("h2")
    site.settle()
    assert process.recovery.outcome is None
    assert state(site.row(away.uuid)) is State.STOPPED


def test_what_the_store_that_was_had_decided_is_refused_however_late_it_comes(
    site: Site, ann: Caller, row: Instance
) -> None:
    """Though the store that was put in its place has given that revision to something else by then."""
    Process(site).opened()
    old = copied(site)
    tag.put(ann, site.core, [("instance", row.uuid)], {"colour": "red"})
    one_step(site.core)
    late = [order for _, order in site.sent if order.uuid == row.uuid]
    site.sent.clear()
    site.now += 1
    replaced(site, old)
    process = Process(site).opened()
    assert process.recovery.outcome is None
    for name in ("a", "b", "c"):
        securitygroup.create(ann, process.core, name, "")
    site.settle()
    with site.store.read() as tx:
        assert late[-1].revision <= (tx.meta("incarnation"), tx.meta("counter"))
    assert late[-1].revision > site.row(row.uuid).revision
    assert not site.agents["h1"].take(late[-1])
    power.stop(ann, process.core, [row.uuid])
    site.settle()
    assert (state(site.row(row.uuid)), site.row(row.uuid).tags) == (State.STOPPED, row.tags)


def test_a_copy_from_before_the_last_opening_is_found_though_it_has_counted_on(
    site: Site, ann: Caller, row: Instance
) -> None:
    """It is put in the other's place while a process runs that has seen no higher revision."""
    old = copied(site)
    process = Process(site).opened()
    power.stop(ann, process.core, [row.uuid])
    site.settle()
    replaced(site, old)
    site.store.reached = NEVER
    for name in ("a", "b", "c"):
        securitygroup.create(ann, process.core, name, "")
        while one_step(process.core):
            pass
    with site.store.read() as tx:
        assert site.agents["h1"].book.start.highest <= (tx.meta("incarnation"), tx.meta("counter"))
    process.opened()
    assert process.recovery.outcome is not None
    site.settle()
    assert state(site.row(row.uuid)) is State.STOPPED


def test_a_clock_that_was_set_back_makes_no_earlier_opening(site: Site, ann: Caller, row: Instance) -> None:
    old = copied(site)
    Process(site).opened()
    replaced(site, old)
    site.now -= 3600
    process = Process(site).opened()
    power.stop(ann, process.core, [row.uuid])
    site.settle()
    assert state(site.row(row.uuid)) is State.STOPPED


def test_a_database_that_fails_while_an_answer_is_taken_in_leaves_its_host_waiting_for_another(
    site: Site, row: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(site)
    with monkeypatch.context() as broken:
        broken.setattr(report, "absorb_all", _down)
        with pytest.raises(Unavailable):
            process.opened()
    assert not process.gate.admitted
    process.hear("h1")
    assert process.gate.admitted == {"h1"}
    assert site.row(row.uuid).seen.running


def test_what_a_host_remembers_as_gone_becomes_a_tombstone_when_the_engine_refuses_its_ports(
    site: Site, ann: Caller, tiny: Image
) -> None:
    """It never heard of this one: a worker that sleeps since before the recovery may still order it."""
    goes = site.launch(ann, Launch(image=tiny.uuid))[0]
    with site.store.read() as tx:
        ports = [port.uuid for port in tx.referring(Port, [goes.uuid])]
    site.agents["h1"].take(Order(uuid=goes.uuid, revision=(1, 1000), why="gone"))
    Process(site).opened()
    assert (site.row(goes.uuid).wanted.gone, site.row(goes.uuid).gone) == (True, None)
    site.settle()
    assert site.row(goes.uuid).gone is not None
    assert all(("port", uuid) in site.engine.removed for uuid in ports)
    assert site.agents["h1"].book.removed[goes.uuid].revision > (1, 1000)


def _down(*_: object) -> None:
    raise Unavailable("The database is away.")
