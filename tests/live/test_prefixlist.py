"""Prefix lists: the entries of a list admit packets and lead them, until a change takes them away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model.prefixlist import PrefixList, PrefixListEntry, Wanted
from pileus.model.routetable import NetworkRoute
from pileus.model.securitygroup import Rule
from pileus.model.spec import RouteSpec
from pileus.providers.local.layout import Layout
from pileus.providers.local.network import NetworkProvider
from pileus.rules.prefixlist import expanded_routes, expanded_rules
from tests.live import veth
from tests.live.test_network import OUT, new
from tests.live.test_routes import Vpc
from tests.live.veth import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cost(5), pytest.mark.allow_hosts(["127.0.0.0/8", "10.41.0.0/16", "10.99.0.0/16"])]

LIST = new()


@pytest.fixture
def vpc(layout: Layout) -> Iterator[Vpc]:
    provider = NetworkProvider(layout.northbound, gateway=layout.netns)
    vpc = Vpc(layout, provider)
    yield vpc
    vpc.close()
    provider.close()


def lists(*cidrs: str) -> dict[str, PrefixList]:
    """The list with these entries, by its uuid."""
    entries = tuple(PrefixListEntry(cidr=cidr) for cidr in cidrs)
    return {LIST: PrefixList(uuid=LIST, name="lab", wanted=Wanted(max_entries=5, entries=entries))}


def test_a_rule_admits_the_entries_of_its_list(vpc: Vpc) -> None:
    rule = Rule(id="ssh", protocol="tcp", port_min=22, port_max=22, prefixlist=LIST, max_entries=5)

    def admit(*cidrs: str) -> None:
        vpc.group(OUT, *expanded_rules([rule], lists(*cidrs)), own=vpc.group_spec.uuid)
        vpc.settled()

    server = vpc.public.listen(vpc.public.address, 22)
    try:
        veth.serve(server, b"here")
        admit("192.0.2.0/24", f"{vpc.private.address}/32")
        eventually(lambda: vpc.private.fetches(vpc.public.address, 22) == b"here", "the second entry admits the guest")
        admit("192.0.2.0/24")
        eventually(lambda: not vpc.private.fetches(vpc.public.address, 22), "the entry is gone")
        admit()
        assert not vpc.private.fetches(vpc.public.address, 22), "an empty list admits nobody"
        admit("10.41.0.0/16")
        eventually(lambda: vpc.private.fetches(vpc.public.address, 22) == b"here", "a wider entry admits the guest")
    finally:
        server.close()


def test_a_route_leads_the_entries_of_its_list(vpc: Vpc) -> None:
    route = NetworkRoute(target="port", uuid=vpc.public_port.uuid, prefixlist=LIST, max_entries=5)
    subnet = vpc.networks[0].subnets[0].uuid

    def lead(*cidrs: str) -> None:
        expanded = expanded_routes([route], lists(*cidrs), ["10.41.0.0/16"])
        specs = [
            RouteSpec(cidr=each.cidr, target="address", address=vpc.public.address, subnet=subnet) for each in expanded
        ]
        vpc.routed([], specs)
        vpc.settled()

    vpc.write(msgspec.structs.replace(vpc.public_port, forwards=True, revision=vpc.revision()))
    veth.ip("-n", vpc.public.namespace, "address", "add", "10.99.0.1/32", "dev", "lo")
    server = vpc.public.listen("10.99.0.1", 80)
    try:
        veth.serve(server, b"here")
        lead("10.98.0.0/16", "10.99.0.0/16", "10.41.1.0/24")
        eventually(lambda: vpc.private.fetches("10.99.0.1", 80) == b"here", "the second entry leads there")
        assert vpc.private.pings(vpc.public.address), "an entry in the range of the router changes nothing"
        lead("10.98.0.0/16")
        eventually(lambda: not vpc.private.fetches("10.99.0.1", 80), "the entry is gone")
    finally:
        server.close()
