"""A store that is gone gets back from the engine's records what the orders of routers carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.model.dhcpoptionset import DhcpOptionSet
from pileus.model.dhcpoptionset import Wanted as Options
from pileus.model.internetgateway import InternetGateway
from pileus.model.networkacl import AclEntry, NetworkAcl
from pileus.model.peering import Peering
from pileus.model.project import Project
from pileus.model.routetable import RouteTable
from pileus.verbs import dhcpoptionset, networkacl, peering, router, routetable, subnet
from tests.loops.test_recover import Process, empty, replaced

if TYPE_CHECKING:
    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from pileus.model.noun import Noun
    from tests.site import Site

CARRIED: tuple[type[Noun], ...] = (DhcpOptionSet, InternetGateway, NetworkAcl, Peering, RouteTable)


def carried(site: Site) -> dict[str, tuple[object, ...]]:
    """The nouns that records of routers carry, by public id."""
    with site.store.read() as tx:
        nouns = [noun for cls in CARRIED for noun in tx.list(cls)]
    return {noun.ec2_id: (noun.uuid, noun.project, noun.tags, noun.wanted, noun.assigned) for noun in nouns}


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
    with core.store.read() as tx:
        account = tx.need(Project, bob.project).wanted.account_id
    link = peering.create(ann, core, own.uuid, other.ec2_id, account, {"Name": "link"})
    peering.accept(bob, core, link.uuid)
    table = routetable.create(ann, core, own.uuid)
    routetable.add_route(ann, core, table.uuid, "10.2.0.0/16", "peering", link.uuid)
    site.settle()
    before = carried(site)
    assert {options.ec2_id, acl.ec2_id, link.ec2_id, table.ec2_id} < before.keys()
    replaced(site, empty())
    Process(site).opened()
    assert carried(site) == before
    site.settle()
    assert carried(site) == before
