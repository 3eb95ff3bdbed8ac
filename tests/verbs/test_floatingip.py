"""Floating addresses: kept, given to ports, taken back, and what the engine is told of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.faces.rest.explain import waits_for
from pileus.loops import engine, resolve
from pileus.model import quota
from pileus.model.errors import Conflict, InvalidValue, NoCapacity, NotFound, QuotaExceeded
from pileus.model.instance import Instance
from pileus.model.project import Project
from pileus.model.router import NO_WAY_OUT, Router
from pileus.model.spec import FloatingIpSpec, RouterSpec
from pileus.rules import floatingip as floatingip_rules
from pileus.rules import recount
from pileus.verbs import floatingip
from pileus.verbs.instance import power, view
from pileus.verbs.instance.launch import Launch, launch

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.floatingip import FloatingIp
    from pileus.model.image import Image
    from tests.site import Site


@pytest.fixture
def vms(site: Site, ann: Caller, tiny: Image) -> list[str]:
    """Two instances' uuids."""
    uuids = launch(ann, site.core, Launch(image=tiny.uuid, least=2, most=2))
    site.work()
    return uuids


def spec(site: Site, floating: FloatingIp) -> FloatingIpSpec:
    engine_spec = site.engine.specs["floatingip", floating.uuid]
    assert isinstance(engine_spec, FloatingIpSpec)
    return engine_spec


def addresses_of(site: Site) -> dict[str, str]:
    """The routers' own addresses outside, as the store has them, by project; the engine has the same."""
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        rows = tx.list(Router)
    for row in rows:
        spec = site.engine.specs["router", row.uuid]
        assert isinstance(spec, RouterSpec)
        assert (spec.address, spec.outside) == (
            row.assigned.address,
            site.core.place.floating_cidr if row.assigned.address else "",
        )
    return {row.project: row.assigned.address for row in rows if row.assigned.address}


def test_a_router_has_an_address_outside_while_something_needs_it(site: Site, ann: Caller, tiny: Image) -> None:
    red = site.caller("red")
    site.work()
    assert addresses_of(site) == {}
    uuids = launch(ann, site.core, Launch(image=tiny.uuid, least=2, most=2))
    (other,) = launch(red, site.core, Launch(image=tiny.uuid))
    site.settle()
    addresses = addresses_of(site)
    assert len(set(addresses.values())) == len(addresses) == 2
    power.terminate(ann, site.core, [site.row(uuids[0]).uuid])
    site.settle()
    assert addresses_of(site) == addresses
    power.terminate(ann, site.core, [site.row(uuids[1]).uuid])
    power.stop(red, site.core, [site.row(other).uuid])
    site.settle()
    assert addresses_of(site) == {red.project: addresses[red.project]}
    launch(ann, site.core, Launch(image=tiny.uuid))
    site.settle()
    assert addresses_of(site).keys() == addresses.keys()


def test_more_projects_than_addresses(site: Site, tiny: Image) -> None:
    """One after another launches, and all reach the outside; only those at work at one time share the range."""
    site.core = replace(site.core, place=replace(site.core.place, floating_cidr="203.0.113.0/28"))
    for number in range(12):
        caller = site.caller(f"project-{number}")
        (uuid,) = launch(caller, site.core, Launch(image=tiny.uuid))
        site.settle()
        assert list(addresses_of(site)) == [caller.project]
        power.terminate(caller, site.core, [site.row(uuid).uuid])
        site.settle()
    assert floatingip.allocate(site.caller("last"), site.core).assigned.address


def test_routers_follow_when_another_range_is_chosen(site: Site, ann: Caller, tiny: Image) -> None:
    launch(ann, site.core, Launch(image=tiny.uuid))
    site.settle()
    moved = replace(site.core, place=replace(site.core.place, floating_cidr="203.0.113.0/24"))
    with site.store.read() as tx:
        (router,) = tx.list(Router)
    engine.step(moved, "router", router.uuid)
    spec = site.engine.specs["router", router.uuid]
    assert isinstance(spec, RouterSpec)
    assert (spec.address, spec.outside) == ("203.0.113.10", "203.0.113.0/24")
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_the_order_of_an_instance_names_its_public_address(site: Site, ann: Caller, vms: list[str]) -> None:
    def public(uuid: str) -> str:
        site.work()
        with site.store.read() as tx:
            return resolve.instance(tx, tx.need(Instance, uuid), site.core.place).nics[0].public

    def ordered(uuid: str) -> str:
        """Return the content digest of the latest order."""
        with site.store.read() as tx:
            return tx.need(Instance, uuid).assigned.content

    loopback, before = public(vms[0]), ordered(vms[0])
    assert loopback.startswith("127.")
    floating = floatingip.allocate(ann, site.core)
    floatingip.associate(ann, site.core, floating.uuid, instance=vms[0])
    assert public(vms[0]) == floating.assigned.address
    assert ordered(vms[0]) != before
    floatingip.associate(ann, site.core, floating.uuid, instance=vms[1])
    assert (public(vms[0]), public(vms[1])) == (loopback, floating.assigned.address)
    assert ordered(vms[0]) == before
    floatingip.disassociate(ann, site.core, uuid=floating.uuid)
    assert public(vms[1]) != floating.assigned.address


def test_an_address_goes_to_a_port_and_comes_back(site: Site, ann: Caller, vms: list[str]) -> None:
    floating = floatingip.allocate(ann, site.core)
    site.work()
    assert spec(site, floating).port == ""
    associated = floatingip.associate(ann, site.core, floating.uuid, instance=vms[0])
    assert associated.wanted.association.startswith("eipassoc-")
    assert floatingip.associate(ann, site.core, floating.uuid, instance=vms[0]) == associated
    site.work()
    (shown,), _ = view.listing(ann, site.core, [vms[0]])
    nic = shown.nics[0]
    assert nic.floating == floatingip.listing(ann, site.core)[0].floating
    assert nic.router is not None
    order = spec(site, floating)
    assert (order.port, order.private, order.router) == (nic.port.uuid, nic.port.assigned.address, nic.router.uuid)
    with pytest.raises(Conflict) as caught:
        floatingip.release(ann, site.core, floating.uuid)
    assert caught.value.reason == "in-use"
    floatingip.disassociate(ann, site.core, associated.wanted.association)
    floatingip.disassociate(ann, site.core, address=floating.assigned.address)
    site.work()
    assert spec(site, floating).port == ""
    floatingip.release(ann, site.core, floating.uuid)
    assert floatingip.listing(ann, site.core) == []
    site.work()
    assert ("floatingip", floating.uuid) not in site.engine.specs
    with site.store.read() as tx:
        assert tx.claimed(floatingip_rules.POOL, floating.assigned.address) is None
        assert recount.differences(tx) == []


def test_an_address_moves_only_when_that_is_asked(site: Site, ann: Caller, vms: list[str]) -> None:
    first, second = floatingip.allocate(ann, site.core), floatingip.allocate(ann, site.core)
    floatingip.associate(ann, site.core, first.uuid, instance=vms[0])
    with pytest.raises(Conflict) as caught:
        floatingip.associate(ann, site.core, first.uuid, instance=vms[1], reassociate=False)
    assert caught.value.reason == "associated"
    floatingip.associate(ann, site.core, first.uuid, instance=vms[1])
    floatingip.associate(ann, site.core, second.uuid, instance=vms[1])
    instances = {each.floating.uuid: each.instance for each in floatingip.listing(ann, site.core)}
    assert instances[first.uuid] is None
    assert instances[second.uuid] is not None
    site.work()
    assert spec(site, first).port == ""
    assert spec(site, second).port


def test_termination_leaves_the_address_to_its_project(site: Site, ann: Caller, vms: list[str]) -> None:
    floating = floatingip.allocate(ann, site.core)
    floatingip.associate(ann, site.core, floating.uuid, instance=vms[0])
    site.work()
    power.terminate(ann, site.core, [vms[0]])
    (listed_address,) = floatingip.listing(ann, site.core)
    assert listed_address.port is None
    with pytest.raises(Conflict):
        floatingip.associate(ann, site.core, floating.uuid, instance=vms[0])
    site.settle()
    assert spec(site, floating).port == ""
    with site.store.read() as tx:
        assert [row.uuid for row in tx.list(Instance)] == [vms[1]]
        assert recount.differences(tx) == []


def test_what_cannot_be_had(site: Site, ann: Caller, vms: list[str]) -> None:
    with pytest.raises(InvalidValue) as caught:
        floatingip.allocate(ann, site.core, requested_address="203.0.113.9")
    assert caught.value.reason == "address"
    floating = floatingip.allocate(ann, site.core, requested_address="198.51.100.77")
    with pytest.raises(InvalidValue) as caught:
        floatingip.allocate(ann, site.core, requested_address="198.51.100.77")
    assert caught.value.reason == "address-in-use"
    with pytest.raises(InvalidValue):
        floatingip.associate(ann, site.core, floating.uuid, instance=vms[0], private="172.31.0.250")
    with pytest.raises(InvalidValue):
        floatingip.associate(ann, site.core, floating.uuid)
    stranger = site.caller("red")
    for refused in (
        lambda: floatingip.release(stranger, site.core, floating.uuid),
        lambda: floatingip.release(stranger, site.core, address=floating.assigned.address),
        lambda: floatingip.disassociate(ann, site.core, "eipassoc-0123456789abcdef0"),
        lambda: floatingip.listing(stranger, site.core, [floating.uuid]),
    ):
        with pytest.raises(NotFound):
            refused()


def test_quota_and_the_end_of_the_pool(site: Site, ann: Caller, vms: list[str]) -> None:
    site.settle()
    assert vms
    small = replace(site.core, place=replace(site.core.place, floating_cidr="198.51.100.0/28"))
    for _ in range(4):
        floatingip.allocate(ann, small)
    with pytest.raises(NoCapacity) as caught:
        floatingip.allocate(ann, small)
    assert caught.value.reason == "floating"
    with site.store.write() as tx:
        home = tx.need(Project, ann.project)
        tx.want(home, msgspec.structs.replace(home.wanted, quota={"floatingips": 4}))
    with pytest.raises(QuotaExceeded):
        floatingip.allocate(ann, site.core)
    with site.store.read() as tx:
        assert recount.differences(tx) == []


def test_a_router_without_an_address_says_so_until_it_has_one(site: Site, ann: Caller, vms: list[str]) -> None:
    assert vms
    small = replace(site.core, place=replace(site.core.place, floating_cidr="203.0.113.0/28"))
    floating_ips = [floatingip.allocate(ann, small) for _ in range(5)]
    with site.store.read() as tx:
        (router,) = tx.list(Router)
    for _ in range(2):
        engine.step(small, "router", router.uuid)
    with site.store.read() as tx:
        router_row = tx.need(Router, router.uuid)
        lines = [(entry.verb, entry.outcome, entry.detail[:16]) for entry in tx.journal(router.uuid)]
        assert waits_for(tx, router_row, site.now) == [f"{NO_WAY_OUT.code}: {NO_WAY_OUT.message}"]
    assert lines.count(("router.address", "failed", NO_WAY_OUT.code)) == 1
    assert (router_row.assigned.address, router_row.seen.present) == ("", True)
    assert router_row.seen.fault is not None
    floatingip.release(ann, small, floating_ips[2].uuid)
    site.work()
    engine.step(small, "router", router.uuid)
    with site.store.read() as tx:
        router_row = tx.need(Router, router.uuid)
        assert (router_row.assigned.address, router_row.seen.fault) == (floating_ips[2].assigned.address, None)
        assert waits_for(tx, router_row, site.now) == []
        assert recount.differences(tx) == []


def test_a_project_from_before_floating_addresses_has_the_usual_number(site: Site) -> None:
    old, free = site.caller("old", {"instances": 3}), site.caller("free", {})
    for _ in range(quota.DEFAULTS["floatingips"]):
        floatingip.allocate(old, site.core)
    with pytest.raises(QuotaExceeded):
        floatingip.allocate(old, site.core)
    for _ in range(quota.DEFAULTS["floatingips"] + 1):
        floatingip.allocate(free, site.core)
