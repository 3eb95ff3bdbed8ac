"""Ports of their own: what the engine and the hosts are told of them, and when a port is free again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.loops import resolve
from pileus.model import addresses
from pileus.model.errors import Conflict, InvalidValue
from pileus.model.instance import Instance
from pileus.model.port import Port
from pileus.model.router import Router
from pileus.model.spec import PortSpec
from pileus.rules import recount
from pileus.rules.instance.interface import LaunchInterface
from pileus.rules.port import NewPort
from pileus.verbs import floatingip, network, port, routetable
from pileus.verbs.instance import power
from pileus.verbs.instance.launch import Launch, launch
from pileus.verbs.port import PortChange

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.spec import InstanceSpec
    from tests.site import Site


@pytest.fixture
def instance(site: Site, ann: Caller, tiny: Image) -> str:
    """An instance that runs, by uuid."""
    (uuid,) = launch(ann, site.core, Launch(image=tiny.uuid))
    site.settle()
    return uuid


def new(site: Site, ann: Caller, **more: object) -> Port:
    """A port on the default subnet."""
    subnet = network.subnets(ann, site.core)[0].subnet.uuid
    made = port.create(ann, site.core, NewPort(subnet=subnet, **more))  # type: ignore[arg-type]
    site.settle()
    return made


def row(site: Site, uuid: str) -> Port:
    """The port as it is now; no claim or amount differs from what the rows say."""
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        now = tx.get(Port, uuid)
    assert now is not None
    return now


def told(site: Site, uuid: str) -> PortSpec:
    """The engine's order for a port."""
    spec = site.engine.specs["port", uuid]
    assert isinstance(spec, PortSpec)
    return spec


def order(site: Site, uuid: str) -> InstanceSpec:
    """The order for an instance as it would be now."""
    with site.store.read() as tx:
        return resolve.instance(tx, tx.need(Instance, uuid), site.core.place)


def test_the_engine_has_a_port_without_an_instance(site: Site, ann: Caller) -> None:
    made = new(site, ann, more=2)
    spec = told(site, made.uuid)
    assert (spec.address, *spec.secondaries) == made.assigned.addresses
    assert len(set(made.assigned.addresses)) == 3
    port.modify(ann, site.core, made.uuid, PortChange(forwards=True))
    port.unassign(ann, site.core, made.uuid, made.assigned.secondaries[:1])
    site.settle()
    assert told(site, made.uuid).forwards
    assert told(site, made.uuid).secondaries == made.assigned.secondaries[1:]
    port.delete(ann, site.core, made.uuid)
    site.settle()
    assert ("port", made.uuid) not in site.engine.specs
    assert row(site, made.uuid).gone is not None


def test_a_port_is_the_instances_until_its_host_says_otherwise(site: Site, ann: Caller, instance: str) -> None:
    made = new(site, ann)
    port.attach(ann, site.core, made.uuid, instance, 1)
    assert row(site, made.uuid).assigned.unconfirmed == instance
    site.settle()
    assert [nic.uuid for nic in order(site, instance).nics][1] == made.uuid
    assert not row(site, made.uuid).assigned.unconfirmed
    port.detach(ann, site.core, made.uuid)
    assert len(order(site, instance).nics) == 1
    with pytest.raises(Conflict):
        port.attach(ann, site.core, made.uuid, instance, 1)
    with pytest.raises(Conflict):
        port.delete(ann, site.core, made.uuid)
    site.settle()
    assert not row(site, made.uuid).assigned.unconfirmed
    port.attach(ann, site.core, made.uuid, instance, 2)
    port.detach(ann, site.core, made.uuid)
    site.settle()
    assert not row(site, made.uuid).assigned.unconfirmed, "nothing changed in the order, and yet it was confirmed"
    port.delete(ann, site.core, made.uuid)


def test_the_end_of_an_instance(site: Site, ann: Caller, tiny: Image) -> None:
    """Its ports go with it, or stay with their floating addresses."""
    given = new(site, ann)
    kept, gone = LaunchInterface(index=0, delete_on_termination=False), LaunchInterface(index=2)
    interfaces = (kept, gone, LaunchInterface(index=1, port=given.uuid))
    (uuid,) = launch(ann, site.core, Launch(image=tiny.uuid, interfaces=interfaces))
    site.settle()
    nics = {nic.index: nic.uuid for nic in order(site, uuid).nics}
    assert nics[1] == given.uuid
    floating = floatingip.allocate(ann, site.core)
    floatingip.associate(ann, site.core, floating.uuid, port=given.uuid)
    with site.store.read() as tx:
        assert tx.need(Instance, uuid).gone is None
    power.terminate(ann, site.core, [uuid])
    assert row(site, given.uuid).assigned.unconfirmed == uuid
    site.settle()
    assert row(site, nics[2]).gone is not None
    for stayed in (nics[0], nics[1]):
        assert row(site, stayed).gone is None
        assert (row(site, stayed).wanted.instance, row(site, stayed).assigned.unconfirmed) == (None, "")
    (view,) = floatingip.listing(ann, site.core)
    assert view.port is not None
    assert view.port.uuid == given.uuid


def test_a_route_to_a_port_follows_it(site: Site, ann: Caller, instance: str) -> None:
    """A route that leads to an instance names its only port; one with several has to be told which."""
    made = new(site, ann)
    with site.store.read() as tx:
        router = tx.list(Router, project=ann.project)[0].uuid
    table = routetable.create(ann, site.core, router)
    routetable.add_route(ann, site.core, table.uuid, "10.99.0.0/16", "instance", instance)
    port.attach(ann, site.core, made.uuid, instance, 1)
    with pytest.raises(InvalidValue, match="name one of them"):
        routetable.add_route(ann, site.core, table.uuid, "10.98.0.0/16", "instance", instance)
    routetable.add_route(ann, site.core, table.uuid, "10.98.0.0/16", "port", made.uuid)


def test_an_address_that_is_named_twice_is_refused_as_such_at_a_launch(site: Site, ann: Caller, tiny: Image) -> None:
    subnet = network.subnets(ann, site.core)[0].subnet
    named = [
        {"address": addresses.gateway(subnet.wanted.cidr)[:-1] + "77"},
        {"ipv6_addresses": ("fd00:1::5",)},
    ]
    for own, again in zip(named, (named[0], {"ipv6_addresses": ("fd00:1:0::5",)}), strict=True):
        first = LaunchInterface(subnet=subnet.uuid, **own)  # type: ignore[arg-type]  # fields by name
        second = LaunchInterface(index=1, subnet=subnet.uuid, **again)  # type: ignore[arg-type]  # fields by name
        with pytest.raises(InvalidValue, match="named twice"):
            launch(ann, site.core, Launch(image=tiny.uuid, interfaces=(first, second)))
    with pytest.raises(InvalidValue, match="named twice"):
        new(site, ann, ipv6_addresses=("fd00:1::5", "fd00:1:0::5"))
