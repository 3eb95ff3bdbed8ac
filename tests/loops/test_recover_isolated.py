"""A store that is gone gets back networks without a router, what is on them, and groups of projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.instance import Instance
from pileus.model.network import Network
from pileus.model.port import Port
from pileus.model.securitygroup import Rule, SecurityGroup
from pileus.model.subnet import Subnet
from pileus.rules import recount
from pileus.rules.instance.interface import LaunchInterface
from pileus.verbs import network, securitygroup, subnet
from pileus.verbs.instance.launch import Launch
from tests.loops.test_recover import Process, empty, replaced

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.noun import Noun
    from tests.site import Site

KEPT: tuple[type[Noun], ...] = (Network, Subnet, SecurityGroup, Port)


def wanted_by_id(site: Site) -> dict[str, object]:
    with site.store.read() as tx:
        assert list(recount.claims(tx) ^ recount.held(tx)) == []
        return {noun.ec2_id: (noun.name, noun.wanted) for cls in KEPT for noun in tx.list(cls)}


def test_an_isolated_instance_comes_back_with_its_networks_and_groups(site: Site, ann: Caller, tiny: Image) -> None:
    isolated = network.create(ann, site.core, name="lab")
    on = [subnet.add(ann, site.core, isolated.uuid, cidr) for cidr in ("10.9.0.0/24", "10.9.1.0/24")]
    group = securitygroup.create(ann, site.core, "all", "for all networks", None)
    deny = Rule(id="", action="deny", priority=5, protocol="tcp", port_min=23, port_max=23, cidr="0.0.0.0/0")
    securitygroup.authorize(ann, site.core, [deny], group.uuid)
    interfaces = (
        LaunchInterface(index=0, subnet=on[0].uuid, groups=(group.uuid,), network_tags=("web",)),
        LaunchInterface(index=1, subnet=on[1].uuid),
    )
    (launched,) = site.launch(ann, Launch(image=tiny.uuid, interfaces=interfaces))
    site.settle()
    before = wanted_by_id(site)
    assert {isolated.ec2_id, group.ec2_id} < before.keys()
    replaced(site, empty())
    Process(site).opened()
    site.hear("h1")
    site.settle()
    assert wanted_by_id(site) == before
    with site.store.read() as tx:
        assert tx.need(Instance, launched.uuid).seen.running
