"""A store that is lost, or older than the engine, has the prefix lists of groups and routes again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pileus.model.internetgateway import InternetGateway
from pileus.model.prefixlist import PrefixList, PrefixListEntry
from pileus.model.routetable import RouteTable
from pileus.model.securitygroup import Rule
from pileus.rules import recount
from pileus.verbs import prefixlist, routetable, securitygroup
from pileus.verbs.prefixlist import PrefixListChange
from tests.loops.test_recover import Process, copied, empty, replaced

if TYPE_CHECKING:
    from collections.abc import Callable

    from pileus.model.caller import Caller
    from pileus.model.image import Image
    from tests.site import Site

OFFICE, LAB = "198.51.100.0/24", "203.0.113.0/25"


def by_rule(site: Site, ann: Caller, uuid: str) -> None:
    """Name a list in a rule."""
    group = securitygroup.create(ann, site.core, "web", "the web")
    securitygroup.authorize(ann, site.core, [Rule(id="", prefixlist=uuid)], group.uuid)


def by_route(site: Site, ann: Caller, uuid: str) -> None:
    """Name a list in a route."""
    with site.store.read() as tx:
        (table,), (gateway,) = tx.list(RouteTable), tx.list(InternetGateway)
    routetable.add_route(ann, site.core, table.uuid, uuid, gateway.KIND, gateway.uuid)


def ordered(site: Site) -> set[str]:
    """The ranges of all rules and routes that the engine was given last."""
    specs = site.engine.specs.values()
    rules = {rule.cidr for spec in specs for rule in getattr(spec, "rules", ())}
    return rules | {route.cidr for spec in specs for table in getattr(spec, "tables", ()) for route in table.routes}


def listed(site: Site) -> list[tuple[str, int, list[str], dict[str, str]]]:
    """Name, version, ranges and tags of each list."""
    with site.store.read() as tx:
        assert recount.differences(tx) == []
        return [
            (each.name, each.wanted.version, [entry.cidr for entry in each.wanted.entries], each.tags)
            for each in tx.list(PrefixList)
        ]


@pytest.mark.parametrize("use", [by_rule, by_route])
@pytest.mark.parametrize("lost", [True, False])
def test_lists_come_back(
    site: Site, ann: Caller, tiny: Image, use: Callable[[Site, Caller, str], None], *, lost: bool
) -> None:
    entry = PrefixListEntry(cidr=OFFICE)
    made = prefixlist.create(ann, site.core, "offices", 5, [entry], {"of": "ann"})
    site.host("h1")
    use(site, ann, made.uuid)
    site.settle()
    assert OFFICE in ordered(site)
    old = empty() if lost else copied(site)
    change = PrefixListChange(add=(PrefixListEntry(cidr=LAB),), current=1)
    prefixlist.modify(ann, site.core, made.uuid, change)
    site.settle()
    before = listed(site)
    assert before == [("offices", 2, [OFFICE, LAB], {"of": "ann"})]
    replaced(site, old)
    Process(site).opened()
    site.settle()
    assert listed(site) == before
    assert {OFFICE, LAB} <= ordered(site)
