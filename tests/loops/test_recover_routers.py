"""A store that is gone gets back from the engine's records what the orders of routers carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model.dhcpoptionset import DhcpOptionSet
from pileus.model.dhcpoptionset import Wanted as Options
from pileus.model.errors import Fault
from pileus.model.internetgateway import InternetGateway
from pileus.model.networkacl import AclEntry, NetworkAcl
from pileus.model.peering import Peering
from pileus.model.project import Project
from pileus.model.routerattachment import RouterAttachment
from pileus.model.routetable import RouteTable
from pileus.model.subnet import Subnet
from pileus.model.transitgateway import TransitGateway
from pileus.model.transitgateway import Wanted as TransitGatewayWanted
from pileus.model.transittable import TransitTable
from pileus.rules import recount
from pileus.verbs import (
    dhcpoptionset,
    internetgateway,
    networkacl,
    peering,
    router,
    routerattachment,
    routetable,
    subnet,
    transitgateway,
    transittable,
)
from tests import databases
from tests.loops.test_recover import Process, empty, replaced

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.noun import Noun
    from pileus.model.router import Router
    from tests.site import Site

CARRIED: tuple[type[Noun], ...] = (
    *(DhcpOptionSet, InternetGateway, NetworkAcl, Peering, RouteTable),
    *(TransitGateway, RouterAttachment, TransitTable),
)


def carried(site: Site) -> dict[str, tuple[object, ...]]:
    """The nouns that records of routers carry, by public id."""
    with site.store.read() as tx:
        nouns = [noun.recorded() for cls in CARRIED for noun in tx.list(cls)]
    return {noun.ec2_id: (noun.uuid, noun.project, noun.tags, noun.wanted, noun.assigned) for noun in nouns}


def peered(site: Site, caller: Caller, own: Router, other: Router, accepter: Caller | None = None) -> Peering:
    """An active peering of two routers, the second one perhaps another project's."""
    with site.store.read() as tx:
        account = tx.need(Project, other.project).wanted.account_id
    link = peering.create(caller, site.core, own.uuid, other.ec2_id, account, {"Name": "link"})
    return peering.accept(accepter or caller, site.core, link.uuid)


def test_all_that_a_router_carries_comes_back(site: Site, ann: Caller, tiny: Image) -> None:
    core, bob = site.core, site.caller("red")
    own, other = (router.create(who, core, cidr) for who, cidr in ((ann, "10.1.0.0/16"), (bob, "10.2.0.0/16")))
    filtered = subnet.create(ann, core, own.uuid, "10.1.1.0/24")
    options = dhcpoptionset.create(ann, core, Options(domain="lab", servers=("10.1.0.53",)), {"Name": "options"})
    dhcpoptionset.associate(ann, core, options.uuid, own.uuid)
    acl = networkacl.create(ann, core, own.uuid, {"Name": "acl"})
    networkacl.add_entry(ann, core, acl.uuid, AclEntry(number=7, protocol=6, port_min=22, port_max=22))
    (association,) = (
        each.id for view in networkacl.listing(ann, core) for each in view.associations if each.subnet == filtered.uuid
    )
    networkacl.replace_association(ann, core, association, acl.uuid)
    link = peered(site, ann, own, other, bob)
    table = routetable.create(ann, core, own.uuid)
    routetable.add_route(ann, core, table.uuid, "10.2.0.0/16", "peering", link.uuid)
    hub = transitgateway.create(ann, core, TransitGatewayWanted(), {"Name": "hub"})
    attachment = routerattachment.create(ann, core, hub.uuid, own.uuid, [filtered.uuid], tags={"Name": "attached"})
    transittable.add_route(ann, core, hub.wanted.association, "10.3.0.0/16", attachment.uuid)
    routetable.add_route(ann, core, table.uuid, "10.3.0.0/16", "transitgateway", hub.uuid)
    site.settle()
    before = carried(site)
    assert {options.ec2_id, acl.ec2_id, link.ec2_id, table.ec2_id, hub.ec2_id, attachment.ec2_id} < before.keys()
    replaced(site, empty())
    Process(site).opened()
    assert carried(site) == before
    site.settle()
    assert carried(site) == before


def test_nouns_deleted_after_the_copy_was_made_do_not_come_back(site: Site, ann: Caller, tiny: Image) -> None:
    core = site.core
    own, other = (router.create(ann, core, cidr) for cidr in ("10.1.0.0/16", "10.2.0.0/16"))
    net = subnet.create(ann, core, own.uuid, "10.1.1.0/24")
    gateway = internetgateway.create(ann, core)
    internetgateway.attach(ann, core, gateway.uuid, own.uuid)
    table = routetable.create(ann, core, own.uuid)
    link = peered(site, ann, own, other)
    site.settle()
    copy = databases.copy(site.store)
    routetable.delete(ann, core, table.uuid)
    subnet.delete(ann, core, net.uuid)
    internetgateway.detach(ann, core, gateway.uuid, own.uuid)
    peering.delete(ann, core, link.uuid)
    new_link = peered(site, ann, own, other)
    site.settle()
    replaced(site, copy)
    Process(site).opened()
    site.settle()
    living = carried(site)
    assert not {table.ec2_id, link.ec2_id} & living.keys()
    assert living[new_link.ec2_id][4] == new_link.assigned
    with core.store.read() as tx:
        assert net.uuid not in {row.uuid for row in tx.list(Subnet)}
        # A detached gateway is carried by no order: it may have been deleted, or not.
        assert tx.need(InternetGateway, gateway.uuid).wanted.router is None
        assert recount.differences(tx) == []


def test_a_link_that_two_peerings_have_is_one_peerings(
    site: Site, ann: Caller, tiny: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion of the first peering has reached no order yet when the database is lost."""
    core = site.core
    routers = [router.create(ann, core, f"10.{number}.0.0/16") for number in range(1, 5)]
    first = peered(site, ann, routers[0], routers[1])
    site.settle()
    copy = databases.copy(site.store)

    def unreachable(call: str, uuid: str) -> None:
        if uuid in (routers[0].uuid, routers[1].uuid):
            raise Fault("Unavailable", f"{call} of {uuid}")

    monkeypatch.setattr(site.engine, "_faults", unreachable)
    peering.delete(ann, core, first.uuid)
    second = peered(site, ann, routers[2], routers[3])
    site.settle()
    monkeypatch.setattr(site.engine, "_faults", None)
    replaced(site, copy)
    Process(site).opened()
    site.settle()
    assert {first.ec2_id, second.ec2_id} <= carried(site).keys()
    with core.store.read() as tx:
        links = [row.assigned.link for row in tx.list(Peering)]
        assert recount.differences(tx) == []
    assert len(links) == len(set(links))
