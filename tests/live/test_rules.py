"""Security rules in order, and by network tag; groups over several networks; networks without a router, and twins."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model import addresses
from pileus.model.securitygroup import Rule
from pileus.model.spec import NetworkSpec, RouterSpec
from tests.live import test_network as network
from tests.live import veth
from tests.live.test_network import ANY, OUT, Cloud, new
from tests.live.veth import Guest, eventually

if TYPE_CHECKING:
    from pileus.model.spec import PortSpec

pytestmark = [pytest.mark.cost(5), pytest.mark.allow_hosts(["10.41.0.0/16", addresses.METADATA])]

provider, cloud = network.provider, network.cloud

WEB = {"protocol": "tcp", "port_min": 80, "port_max": 80}
ROUTER = new()


def served(guest: Guest, words: bytes = b"here") -> None:
    veth.serve(guest.listen(guest.address, 80), words)


def apart(cloud: Cloud, spec: NetworkSpec, router: str | None) -> NetworkSpec:
    """The network on another router, or on none."""
    changed = msgspec.structs.replace(spec, router=router, revision=cloud.revision())
    cloud.write(changed)
    return changed


def placed(cloud: Cloud, spec: NetworkSpec, address: str, *groups: str) -> tuple[Guest, PortSpec]:
    """A guest with this address."""
    own = cloud.port(spec, *groups)
    own = msgspec.structs.replace(own, address=address, revision=cloud.revision())
    cloud.write(own)
    guest = veth.guest(cloud.layout, own, cloud.subnets[spec.uuid])
    cloud.guests.append(guest)
    return guest, own


def tagged(cloud: Cloud, port: PortSpec, *tags: str) -> None:
    cloud.write(msgspec.structs.replace(port, router=ROUTER, network_tags=tags, revision=cloud.revision()))


def test_the_lowest_priority_decides_and_of_equal_ones_the_rule_that_denies(cloud: Cloud) -> None:
    """An allowance over a denial, a denial over an allowance, both at one priority, and rules in no order last."""
    lan = cloud.network(81)
    own, second = new(), new()

    def ruled(*rules: Rule) -> None:
        cloud.group(OUT, *rules, own=own)
        cloud.settled()

    def allow(priority: int | None) -> Rule:
        return Rule(id="allow", cidr=ANY, priority=priority, **WEB)  # type: ignore[arg-type]  # the fields of one rule

    def deny(priority: int) -> Rule:
        return Rule(id="deny", cidr="10.41.81.0/24", action="deny", priority=priority)

    ruled(allow(None))
    server, _ = cloud.guest(lan, own, cloud.group(own=second).uuid)
    client, _ = cloud.guest(lan, cloud.group(OUT).uuid)
    served(server)
    eventually(lambda: client.fetches(server.address, 80) == b"here", "a rule in no order admits")
    for rules, answer in (
        ((allow(None), deny(65535)), b""),
        ((allow(1000), deny(1001)), b"here"),
        ((allow(1001), deny(1000)), b""),
        ((allow(65534), deny(65535)), b"here"),
        ((allow(700), deny(700)), b""),
        ((allow(0), deny(0)), b""),
        ((allow(0), deny(1)), b"here"),
    ):
        ruled(*rules)
        assert client.fetches(server.address, 80) == answer, rules
    cloud.group(deny(0), own=second)
    cloud.settled()
    assert client.fetches(server.address, 80) == b"", "the order is that of all groups of a port"


def test_a_denial_cuts_no_guest_off_from_its_address_and_metadata(cloud: Cloud) -> None:
    """DHCP and the localport stay within reach of a guest that may send nothing at all."""
    lan = cloud.network(82)
    closed = cloud.group(Rule(id="no", direction="egress", cidr=ANY, action="deny", priority=0))
    guest, port = cloud.guest(lan, closed.uuid)
    local = cloud.localport(lan)
    veth.serve(local.listen(addresses.METADATA, 80), b"metadata")
    veth.ip("-n", guest.namespace, "route", "add", addresses.METADATA, "via", cloud.subnets[lan.uuid].localport)
    eventually(lambda: guest.fetches(addresses.METADATA, 80) == b"metadata", "metadata is there")
    offered = eventually(lambda: veth.dhcp(guest, 1), "an address is offered")
    assert offered is not None
    assert offered[0] == port.address


def test_rules_select_ports_by_their_network_tags(cloud: Cloud) -> None:
    """Of ports in one group, a rule holds for those with a target tag, and admits those with the tag of its source."""
    lan = cloud.network(83)
    group = cloud.group(OUT)

    def ruled(*rules: Rule) -> None:
        cloud.write(msgspec.structs.replace(group, router=ROUTER, rules=(OUT, *rules), revision=cloud.revision()))
        cloud.settled()

    ruled(Rule(id="web", tag="client", targets=("web", "db"), priority=1000, **WEB))  # type: ignore[arg-type]  # as above
    guests = [cloud.guest(lan, group.uuid) for _ in range(3)]
    (web, web_port), (plain, _), (client, client_port) = guests
    served(web)
    served(plain)
    tagged(cloud, web_port, "web")
    tagged(cloud, client_port, "client")
    eventually(lambda: client.fetches(web.address, 80) == b"here", "tag to tag")
    assert not plain.fetches(web.address, 80), "a source without the tag"
    assert not client.fetches(plain.address, 80), "a port without a target tag"
    stranger = msgspec.structs.replace(client_port, router=new(), network_tags=("client",))
    cloud.write(msgspec.structs.replace(stranger, revision=cloud.revision()))
    eventually(lambda: not client.fetches(web.address, 80), "another router's tag of the same name is another tag")
    tagged(cloud, client_port, "client", "other")
    eventually(lambda: client.fetches(web.address, 80) == b"here", "and with it again")
    tagged(cloud, web_port)
    eventually(lambda: not client.fetches(web.address, 80), "a target that lost its tag")


def test_a_group_holds_in_several_networks_and_without_a_router(cloud: Cloud) -> None:
    """One group, ports on a router's network and on an isolated one: its rules hold on both, and no packet crosses."""
    routed = cloud.network(84)
    isolated = apart(cloud, cloud.network(85), None)
    own = new()
    group = cloud.group(OUT, Rule(id="in", protocol="icmp", group=own), own=own)
    (one, _), (two, _) = cloud.guest(routed, group.uuid), cloud.guest(routed, group.uuid)
    (three, three_port), (four, _) = cloud.guest(isolated, group.uuid), cloud.guest(isolated, group.uuid)
    eventually(lambda: one.pings(two.address), "members on the routed network")
    eventually(lambda: three.pings(four.address), "members on the isolated network")
    assert not one.pings(three.address)
    assert not three.pings(one.address)
    local = cloud.localport(isolated)
    veth.serve(local.listen(addresses.METADATA, 80), b"metadata")
    veth.ip("-n", three.namespace, "route", "add", addresses.METADATA, "via", cloud.subnets[isolated.uuid].localport)
    eventually(lambda: three.fetches(addresses.METADATA, 80) == b"metadata", "metadata without a router")
    offered = eventually(lambda: veth.dhcp(three, 1), "DHCP without a router")
    assert offered is not None
    assert offered[0] == three_port.address
    assert 3 not in offered[1], "no gateway is offered"


def test_networks_with_the_same_range_have_their_own_guests_and_metadata(cloud: Cloud) -> None:
    """Three networks of one range, on two routers and on none: each guest reaches its own namesake."""
    other = RouterSpec(uuid=new(), revision=cloud.revision())
    cloud.write(other)
    group = cloud.group(OUT, Rule(id="in", cidr=ANY))
    lans = [apart(cloud, cloud.network(86), router) for router in (cloud.router.uuid, other.uuid, None)]
    reached = []
    for number, lan in enumerate(lans):
        words = f"network {number}".encode()
        (asks, _), (answers, _) = (placed(cloud, lan, f"10.41.86.{last}", group.uuid) for last in (10, 20))
        served(answers, words)
        local = cloud.localport(lan)
        veth.serve(local.listen(addresses.METADATA, 80), b"metadata of " + words)
        veth.ip("-n", asks.namespace, "route", "add", addresses.METADATA, "via", cloud.subnets[lan.uuid].localport)
        reached.append((asks, words))
    cloud.settled()
    for asks, words in reached:
        eventually(partial(asks.fetches, "10.41.86.20", 80), "its own neighbour answers")
        eventually(partial(asks.fetches, addresses.METADATA, 80), "its own metadata answers")
        assert asks.fetches("10.41.86.20", 80) == words
        assert asks.fetches(addresses.METADATA, 80) == b"metadata of " + words
