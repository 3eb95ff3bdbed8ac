"""A store that is opened is compared with its hosts first, and brought up to them if it is behind."""

from __future__ import annotations

import dataclasses
import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pileus.bus.messages import Ask, Order
from pileus.loops import recover, runner
from pileus.model.caller import SYSTEM
from pileus.model.errors import Fault, Unavailable
from pileus.model.floatingip import FloatingIp
from pileus.model.host import LOST_AFTER
from pileus.model.instance import Instance, State, state
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.securitygroup import Rule, SecurityGroup
from pileus.model.subnet import Subnet
from pileus.model.volume import Volume
from pileus.store.cache import Cache
from pileus.verbs import flavor, floatingip, project, recount, securitygroup
from pileus.verbs import recover as verb
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch
from tests import databases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.bus.messages import Open
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.noun import Noun
    from pileus.model.provider import Access
    from tests.site import Site


class Process:
    """A cloud's process that opens the site's store anew: the bus to the agents, and the recovery."""

    def __init__(self, site: Site, silent: tuple[str, ...] = ()) -> None:
        self.site = site
        self.silent = set(silent)
        self.orders: list[tuple[str, Order]] = []
        site.store._cache = Cache()
        self.gate = recover.Gate(self)
        self.core = site.core = dataclasses.replace(site.core, hosts=self.gate)
        self.recovery = recover.Recovery(self.core, self.gate, site.engine)

    def send(self, host: str, message: Order | Ask) -> None:
        """Carry a message to an agent that is not silent; its answer comes at once."""
        if isinstance(message, Order):
            self.orders.append((host, message))
            self.site.sent.append((host, message))
        elif host in self.site.agents and host not in self.silent:
            self.recovery.heard(self.site.agents[host].answer(message))

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
    """Put another database in the place of the site's."""
    databases.load(site.store, database)


@functools.cache
def empty() -> databases.Image:
    """A database in which nothing ever was."""
    store = databases.opened(lambda: 0.0)
    found = databases.copy(store)
    store.close()
    return found


def kept(site: Site) -> dict[str, object]:
    """What rows say of names, tags, wishes and places, by uuid."""
    found: dict[str, object] = {}
    classes: tuple[type[Noun], ...] = (Router, Network, Subnet, SecurityGroup, Instance, Port, Volume, FloatingIp)
    with site.store.read() as tx:
        for cls in classes:
            for row in tx.list(cls):
                place = getattr(row.assigned, "address", None) or getattr(row.assigned, "loopback", None)
                host = getattr(row.assigned, "host", None)
                found[row.uuid] = (row.ec2_id, row.project, row.name, row.tags, row.created, row.wanted, place, host)
    return found


@pytest.fixture
def row(site: Site, ann: Caller, tiny: Image) -> Instance:
    """An instance that runs, in a group with rules, with a floating address."""
    group = securitygroup.create(ann, site.core, "web", "the web")
    rule = Rule(id="", protocol="tcp", port_min=80, port_max=80, cidr="0.0.0.0/0", description="http")
    securitygroup.authorize(ann, site.core, [rule], ident=group.ec2_id)
    made = site.launch(ann, Launch(image=tiny.ec2_id, groups=(group.ec2_id,), tags={"Name": "one"}))[0]
    floating = floatingip.allocate(ann, site.core, {"of": "one"})
    floatingip.associate(ann, site.core, floating.ec2_id, instance=made.ec2_id)
    site.settle()
    return site.row(made.uuid)


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
        power.stop(ann, process.core, [row.ec2_id])
    assert not runner.once(process.core)
    process.gate.send("h1", Order(uuid=row.uuid, revision=(9, 9)))
    assert process.orders == []
    assert list(process.recovery.missing()) == ["host h1", "network engine"]
    process.opened()
    power.stop(ann, process.core, [row.ec2_id])
    site.settle()
    assert state(site.row(row.uuid)) is State.STOPPED


def test_an_old_copy_is_brought_up_to_its_hosts(site: Site, ann: Caller, tiny: Image, row: Instance) -> None:
    goes = site.launch(ann, Launch(image=tiny.ec2_id))[0]
    site.settle()
    old = copied(site)
    comes = site.launch(ann, Launch(image=tiny.ec2_id))[0]
    power.stop(ann, site.core, [row.ec2_id])
    power.terminate(ann, site.core, [goes.ec2_id])
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
    power.terminate(ann, process.core, [row.ec2_id])
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
        comes = site.launch(ann, Launch(image=tiny.ec2_id))[0]
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
    heard = {}
    for other in others:
        heard[other] = site.agents.pop(other)
    site.now += LOST_AFTER
    site.hear(name)
    try:
        yield
    finally:
        site.agents.update(heard)


def test_an_engine_that_is_away_is_waited_for(site: Site, row: Instance) -> None:
    site.engine._faults = lambda call, _uuid: (_ for _ in ()).throw(Fault("NetworkEngineUnavailable", call))
    process = Process(site)
    process.hear("h1")
    process.recovery.tick()
    assert list(process.recovery.missing()) == ["network engine"]
    site.engine._faults = None
    process.opened()
    assert site.row(row.uuid).gone is None
