"""Networks of every shape: without a router, with several subnets, joined to a router and parted from it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.loops import resolve
from pileus.model.errors import Conflict, InvalidValue, NotFound
from pileus.model.instance import Instance
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.securitygroup import Rule, SecurityGroup
from pileus.model.spec import NetworkSpec, PortSpec, SecurityGroupSpec
from pileus.rules import recount
from pileus.rules.instance.interface import LaunchInterface
from pileus.rules.instance.view import views_of
from pileus.rules.port import NewPort
from pileus.verbs import floatingip, network, port, router, securitygroup, subnet
from pileus.verbs.instance.launch import Launch
from pileus.verbs.port import PortChange

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site


def ordered(site: Site, uuid: str) -> NetworkSpec:
    spec = site.engine.specs["network", uuid]
    assert isinstance(spec, NetworkSpec)
    return spec


def test_an_instance_runs_on_a_network_without_a_router(site: Site, ann: Caller, tiny: Image) -> None:
    isolated = network.create(ann, site.core, name="lab", tags={"of": "lab"})
    first = subnet.add(ann, site.core, isolated.uuid, "10.9.0.0/24")
    second = subnet.add(ann, site.core, isolated.uuid, "10.9.1.0/24")
    interfaces = tuple(LaunchInterface(index=index, subnet=each.uuid) for index, each in enumerate((first, second)))
    (launched,) = site.launch(ann, Launch(image=tiny.uuid, interfaces=interfaces))
    site.work()
    assert ordered(site, isolated.uuid).router is None
    assert {each.cidr for each in ordered(site, isolated.uuid).subnets} == {"10.9.0.0/24", "10.9.1.0/24"}
    with site.store.read() as tx:
        (view,) = views_of(tx, [tx.need(Instance, launched.uuid)])
        assert list(recount.claims(tx) ^ recount.held(tx)) == []
    assert [nic.router for nic in view.nics] == [None, None]
    (default,) = view.nics[0].groups
    assert default.name == "default"
    assert default.wanted.router is None
    assert [each.router for each in network.subnets(ann, site.core, [first.uuid])] == [None]


def test_a_subnet_overlaps_with_no_other_of_its_network_or_router(site: Site, ann: Caller) -> None:
    isolated = network.create(ann, site.core)
    twin = network.create(ann, site.core)
    vpc = router.create(ann, site.core, "10.9.0.0/16")
    joined = network.create(ann, site.core, vpc.uuid)
    subnet.add(ann, site.core, isolated.uuid, "10.9.0.0/24")
    subnet.add(ann, site.core, twin.uuid, "10.9.0.0/24")
    subnet.create(ann, site.core, vpc.uuid, "10.9.0.0/24")
    subnet.add(ann, site.core, joined.uuid, "10.9.1.0/24")
    for on, cidr, reason in (
        (isolated, "10.9.0.128/25", "overlap"),
        (joined, "10.9.0.0/25", "overlap"),
        (joined, "10.9.1.0/25", "overlap"),
        (joined, "10.8.0.0/24", "range"),
    ):
        with pytest.raises(InvalidValue) as refused:
            subnet.add(ann, site.core, on.uuid, cidr)
        assert refused.value.reason == reason


def test_a_network_is_joined_to_a_router_and_parted_again(site: Site, ann: Caller) -> None:
    vpc = router.create(ann, site.core, "10.9.0.0/16")
    isolated = network.create(ann, site.core)
    on = subnet.add(ann, site.core, isolated.uuid, "10.9.0.0/24")
    own = port.create(ann, site.core, NewPort(subnet=on.uuid, network_tags=("web",)))
    network.join(ann, site.core, isolated.uuid, vpc.uuid)
    site.work()
    assert ordered(site, isolated.uuid).router == vpc.uuid
    spec = site.engine.specs["port", own.uuid]
    assert isinstance(spec, PortSpec)
    assert (spec.network_tags, spec.router) == (("web",), vpc.uuid)
    with pytest.raises(Conflict) as twice:
        network.join(ann, site.core, isolated.uuid, vpc.uuid)
    assert twice.value.reason == "joined"
    grouped = securitygroup.create(ann, site.core, "web", "for tests", vpc.uuid)
    port.modify(ann, site.core, own.uuid, PortChange(groups=(grouped.uuid,)))
    with pytest.raises(Conflict) as used:
        network.part(ann, site.core, isolated.uuid)
    assert used.value.reason == "in-use"
    everywhere = securitygroup.create(ann, site.core, "all", "for all networks", None)
    port.modify(ann, site.core, own.uuid, PortChange(groups=(everywhere.uuid,)))
    network.part(ann, site.core, isolated.uuid)
    site.work()
    assert ordered(site, isolated.uuid).router is None
    with pytest.raises(Conflict) as apart:
        network.part(ann, site.core, isolated.uuid)
    assert apart.value.reason == "not-joined"
    securitygroup.delete(ann, site.core, grouped.uuid)


def test_a_range_that_the_router_has_no_place_for_is_not_joined(site: Site, ann: Caller) -> None:
    vpc = router.create(ann, site.core, "10.9.0.0/16")
    subnet.create(ann, site.core, vpc.uuid, "10.9.0.0/24")
    for cidr, reason in (("10.9.0.0/28", "overlap"), ("10.10.0.0/24", "range")):
        isolated = network.create(ann, site.core)
        subnet.add(ann, site.core, isolated.uuid, cidr)
        with pytest.raises(InvalidValue) as refused:
            network.join(ann, site.core, isolated.uuid, vpc.uuid)
        assert refused.value.reason == reason


def test_a_network_with_an_address_of_the_outside_is_not_parted(site: Site, ann: Caller) -> None:
    default = network.subnets(ann, site.core)[0]
    everywhere = securitygroup.create(ann, site.core, "all", "for all networks", None)
    own = port.create(ann, site.core, NewPort(subnet=default.subnet.uuid, groups=(everywhere.uuid,)))
    floating = floatingip.allocate(ann, site.core)
    floatingip.associate(ann, site.core, floating.uuid, port=own.uuid)
    with pytest.raises(Conflict) as refused:
        network.part(ann, site.core, default.network.uuid)
    assert refused.value.reason == "in-use"


def test_a_network_with_a_range_of_the_routers_ipv6_addresses_is_not_parted(site: Site, ann: Caller) -> None:
    vpc = router.create(ann, site.core, "10.9.0.0/16", with_ipv6=True)
    cidr = vpc.ipv6_cidrs[0].replace("/56", "/64")
    on = subnet.create(ann, site.core, vpc.uuid, "10.9.0.0/24", ipv6_cidr=cidr)
    with pytest.raises(Conflict, match="IPv6") as refused:
        network.part(ann, site.core, on.wanted.network)
    assert refused.value.reason == "in-use"
    assert on.wanted.ipv6 is not None
    subnet.remove_ipv6(ann, site.core, on.wanted.ipv6.id)
    network.part(ann, site.core, on.wanted.network)


def test_priorities_that_are_too_near_are_refused_in_whatever_order_rules_come(site: Site, ann: Caller) -> None:
    vpc = router.create(ann, site.core, "10.9.0.0/16")
    group = securitygroup.create(ann, site.core, "near", "near", vpc.uuid)
    rules = [
        Rule(id="", action="deny", priority=20001, cidr="10.0.0.0/8"),
        Rule(id="", priority=20001, cidr="10.1.0.0/16"),
        Rule(id="", action="deny", priority=20002, cidr="10.2.0.0/16"),
    ]
    for order in itertools.permutations(rules):
        with pytest.raises(InvalidValue, match="too near"):
            securitygroup.authorize(ann, site.core, order, group.uuid)
    securitygroup.authorize(ann, site.core, rules[:2], group.uuid)


def test_a_network_goes_alone_if_it_was_made_alone(site: Site, ann: Caller) -> None:
    isolated = network.create(ann, site.core)
    on = subnet.add(ann, site.core, isolated.uuid, "10.9.0.0/24")
    with pytest.raises(Conflict):
        network.delete(ann, site.core, isolated.uuid)
    subnet.delete(ann, site.core, on.uuid)
    site.work()
    with site.store.read() as tx:
        assert tx.need(Network, isolated.uuid).gone is None
    network.delete(ann, site.core, isolated.uuid)
    site.work()
    with pytest.raises(NotFound):
        network.delete(ann, site.core, isolated.uuid)


def test_another_projects_router_joins_nothing(site: Site, ann: Caller) -> None:
    stranger = site.caller("green")
    foreign = router.create(stranger, site.core, "10.9.0.0/16")
    isolated = network.create(ann, site.core)
    for call in (
        lambda: network.join(ann, site.core, isolated.uuid, foreign.uuid),
        lambda: network.create(ann, site.core, foreign.uuid),
        lambda: subnet.add(stranger, site.core, isolated.uuid, "10.9.0.0/24"),
    ):
        with pytest.raises(NotFound):
            call()


def test_a_groups_rules_have_an_order_and_select_tags(site: Site, ann: Caller) -> None:
    vpc = network.routers(ann, site.core)[0]
    group = securitygroup.create(ann, site.core, "web", "for tests", vpc.uuid)
    deny = Rule(id="", action="deny", priority=900, protocol="tcp", port_min=22, port_max=22, cidr="0.0.0.0/0")
    allow = Rule(id="", priority=1000, tag="client", targets=("web",))
    securitygroup.authorize(ann, site.core, [deny, allow], group.uuid)
    site.work()
    spec = site.engine.specs["securitygroup", group.uuid]
    assert isinstance(spec, SecurityGroupSpec)
    assert spec.router == vpc.uuid
    assert {(each.action, each.priority, each.tag, each.targets) for each in spec.rules if each.priority} == {
        ("deny", 900, "", ()),
        ("allow", 1000, "client", ("web",)),
    }


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (Rule(id="", action="deny", cidr="0.0.0.0/0"), "priority"),
        (Rule(id="", priority=65536, cidr="0.0.0.0/0"), "priority"),
        (Rule(id="", priority=-1, cidr="0.0.0.0/0"), "priority"),
        (Rule(id="", number=256, cidr="0.0.0.0/0"), "protocol"),
        (Rule(id="", number=-1, cidr="0.0.0.0/0"), "protocol"),
        (Rule(id="", protocol="icmp", number=1, cidr="0.0.0.0/0"), "protocol"),
        (Rule(id="", cidr="2001:db8::%x || 1/64"), "cidr"),
        (Rule(id="", tag="Web"), "network-tag"),
        (Rule(id="", tag="web", cidr="0.0.0.0/0"), "rule"),
        (Rule(id="", cidr="2001:db8::/32", targets=("web",)), "network-tag"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(site: Site, ann: Caller, rule: Rule, reason: str) -> None:
    group = securitygroup.create(ann, site.core, "web", "for tests")
    with pytest.raises(InvalidValue) as refused:
        securitygroup.authorize(ann, site.core, [rule], group.uuid)
    assert refused.value.reason == reason


def test_rules_whose_order_the_engine_cannot_keep_are_refused(site: Site, ann: Caller) -> None:
    group = securitygroup.create(ann, site.core, "web", "for tests")
    near = [Rule(id="", priority=20001, cidr="0.0.0.0/0"), Rule(id="", priority=20002, cidr="0.0.0.0/0")]
    securitygroup.authorize(ann, site.core, near, group.uuid)
    denial = msgspec.structs.replace(near[0], action="deny", priority=20003)
    with pytest.raises(InvalidValue, match="too near"):
        securitygroup.authorize(ann, site.core, [denial], group.uuid)
    securitygroup.authorize(ann, site.core, [msgspec.structs.replace(denial, priority=20008)], group.uuid)


def test_a_group_of_the_project_selects_no_tags(site: Site, ann: Caller) -> None:
    group = securitygroup.create(ann, site.core, "all", "for tests", None)
    with pytest.raises(InvalidValue) as refused:
        securitygroup.authorize(ann, site.core, [Rule(id="", tag="web")], group.uuid)
    assert refused.value.reason == "network-tag"


def test_a_listener_admits_what_the_order_of_rules_leaves(site: Site, ann: Caller, tiny: Image) -> None:
    default = network.subnets(ann, site.core)[0].subnet
    group = securitygroup.create(ann, site.core, "web", "for tests")
    rules = [
        Rule(id="", priority=10, action="deny", protocol="tcp", port_min=23, port_max=23, cidr="0.0.0.0/0"),
        Rule(id="", priority=11, protocol="tcp", port_min=22, port_max=24, cidr="0.0.0.0/0", targets=("web",)),
    ]
    securitygroup.authorize(ann, site.core, rules, group.uuid)
    interface = LaunchInterface(subnet=default.uuid, groups=(group.uuid,), network_tags=("web",))
    (launched,) = site.launch(ann, Launch(image=tiny.uuid, interfaces=(interface,)))
    site.work()

    def admitted() -> list[tuple[int, int]]:
        with site.store.read() as tx:
            spec = resolve.instance(tx, tx.need(Instance, launched.uuid), site.core.place)
        return [(each.port_min, each.port_max) for each in spec.nics[0].ingress]

    assert admitted() == [(22, 22), (24, 24)]
    with site.store.read() as tx:
        (own,) = tx.referring(Port, [launched.uuid])
        assert tx.need(SecurityGroup, own.wanted.groups[0]).uuid == group.uuid
    port.modify(ann, site.core, own.uuid, PortChange(network_tags=()))
    site.work()
    assert admitted() == []
