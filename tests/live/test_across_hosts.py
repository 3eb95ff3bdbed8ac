"""Reachability across two hosts: guests on different switches are joined and parted as guests on one are."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.model import addresses
from pileus.model.spec import RouterSpec
from pileus.providers.local.network import NetworkProvider
from tests.cluster.wires import OUTSIDE as WIRE
from tests.cluster.wires import TUNNELS
from tests.live import veth, veth6
from tests.live.test_floating import GATEWAY, OUTSIDE, mirror
from tests.live.test_ipv6 import GATEWAY as GATEWAY6
from tests.live.veth import eventually
from tests.live.vpcs import (
    DOMAIN,
    MIRROR,
    PROBE,
    REACHED,
    ROUTER,
    TRANSLATED,
    UNREACHED,
    VERSIONS,
    WEB,
    Version,
    Vpcs,
    host_addresses,
    probe,
    web_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.twohosts import TwoHosts

HOSTS = ["10.41.0.0/16", "10.90.0.0/15", "::/0", OUTSIDE, addresses.METADATA]
pytestmark = [pytest.mark.cost(50), pytest.mark.allow_hosts(HOSTS)]


@pytest.fixture(scope="module")
def world(two_hosts: TwoHosts) -> str:
    """The namespace outside, whose address is the gateway there, of IPv6 as well."""
    namespace = two_hosts.wires.machines["world"].namespace
    prefix = addresses.IPV6.partition("/")[2]
    veth.ip("-n", namespace, "address", "add", f"{GATEWAY6}/{prefix}", "dev", WIRE, "nodad")
    return namespace


@pytest.fixture(scope="module")
def cloud(two_hosts: TwoHosts) -> Iterator[Vpcs]:
    provider = NetworkProvider(two_hosts.central.northbound)
    cloud = Vpcs(two_hosts.central, provider, two_hosts.hosts, gateways=("host2", "host1"))
    yield cloud
    cloud.close()
    provider.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("target", REACHED)
def test_guests_on_two_hosts_reach_each_other(cloud: Vpcs, target: str, version: Version) -> None:
    one, other = (cloud.ends[name] for name in REACHED[target])
    eventually(lambda: one.pings(other, version), f"a guest reaches one {target}")
    if target != "whose rule names the group":
        eventually(lambda: other.pings(one, version), "and the other way")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("target", UNREACHED)
def test_guests_on_two_hosts_are_kept_apart(cloud: Vpcs, target: str, version: Version) -> None:
    one, control, other = (cloud.ends[name] for name in UNREACHED[target])
    eventually(lambda: control.pings(other, version), "another guest reaches it")
    assert not one.pings(other, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_network_acl_judges_what_comes_from_another_host(cloud: Vpcs, version: Version) -> None:
    one, other = cloud.ends["public"], cloud.ends["filtered2"]
    address = other.addresses[version]
    with web_server(other, version):
        eventually(lambda: one.fetches(address, WEB), "an entry admits TCP to its port")
        assert not one.pings(other, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_guests_go_out_by_the_other_host(cloud: Vpcs, two_hosts: TwoHosts, world: str, version: Version) -> None:
    """The guests' own host is cut off from the outside: the gateway is on the other one."""
    server, gateway = (mirror(world, MIRROR), GATEWAY) if version == "IPv4" else (veth6.server(world, MIRROR), GATEWAY6)
    sources = {"public": ROUTER, "translated": TRANSLATED}
    with contextlib.closing(server), two_hosts.wires.parted("host1", WIRE):
        for name, source in sources.items():
            end = cloud.ends[name]
            seen = source if version == "IPv4" else end.addresses["IPv6"]
            eventually(lambda e=end, s=seen: e.fetches(gateway, MIRROR) == s.encode(), f"{name} goes out")  # type: ignore[misc]  # mypy infers no type of a lambda with a default
        for name in ("isolated", "peered2", "private", "private2"):
            assert not cloud.ends[name].fetches(gateway, MIRROR), name


def test_ipv6_is_reached_from_outside_by_the_gateway_host(cloud: Vpcs, world: str) -> None:
    """Guests of the public subnet, on either host, at each first packet; not the subnet that leads out one way.

    Both hosts hear the solicitations, and the host of the router's gateway alone answers. Another gateway takes over.
    """
    own = next(spec for spec in cloud.made if isinstance(spec, RouterSpec) and spec.address == ROUTER)
    for gateways in (own.gateways[::-1], own.gateways):
        cloud.write(msgspec.structs.replace(own, gateways=gateways, revision=cloud.revision()))
        cloud.settled()
        for name in ("public", "public2"):
            address = cloud.ends[name].addresses["IPv6"]
            eventually(lambda to=address: veth6.pings(world, to), f"{name} is reached")  # type: ignore[misc]  # mypy infers no type of a lambda with a default
            for _ in range(10):
                veth.ip("-n", world, "-6", "neighbor", "flush", "dev", WIRE)
                assert veth6.pings(world, address, 2.0)
        assert not veth6.pings(world, cloud.ends["translated"].addresses["IPv6"])


@pytest.mark.parametrize("version", VERSIONS)
def test_no_address_of_either_host_is_reached(cloud: Vpcs, two_hosts: TwoHosts, world: str, version: Version) -> None:
    """By guests of a subnet that leads outside: addresses of machines, of switches and of the listeners."""
    guests = [cloud.ends["public"], cloud.ends["public2"]]
    outside = GATEWAY if version == "IPv4" else GATEWAY6
    with probe(world, PROBE, version):
        for end in guests:
            eventually(lambda e=end: e.fetches(outside, PROBE), "the probe is reached outside")  # type: ignore[misc]  # mypy infers no type of a lambda with a default
    with cloud.served("public", "public2"):
        for namespace in namespaces_of_hosts(cloud, two_hosts):
            with probe(namespace, PROBE, version):
                for address in host_addresses(namespace, version):
                    assert not any(end.fetches(address, PROBE) for end in guests), (namespace, address)


def namespaces_of_hosts(cloud: Vpcs, two_hosts: TwoHosts) -> Iterator[str]:
    """The namespaces of each host: its machine's, its switch's, and that of the listeners for the public subnet."""
    for name, layout in two_hosts.hosts.items():
        yield two_hosts.wires.machines[name].namespace
        yield layout.netns
        yield layout.network_netns(cloud.ends["public"].network.uuid)


@pytest.mark.parametrize("version", VERSIONS)
def test_guests_on_two_hosts_meet_by_the_tunnel(cloud: Vpcs, two_hosts: TwoHosts, version: Version) -> None:
    one, other = cloud.ends["public"], cloud.ends["public2"]
    eventually(lambda: one.pings(other, version), "they reach each other")
    with two_hosts.wires.parted("host2", TUNNELS):
        assert not one.pings(other, version)
    eventually(lambda: one.pings(other, version), "they do again")


@pytest.mark.parametrize("version", VERSIONS)
def test_each_host_serves_metadata_and_names_to_its_own_guests(cloud: Vpcs, version: Version) -> None:
    """Of one subnet, of a subnet without a way out, and of one that a network ACL cuts off."""
    names = ("public", "public2", "private2", "filtered", "filtered2")
    with cloud.served(*names):
        for end in map(cloud.ends.__getitem__, names):
            eventually(lambda e=end: e.metadata(version) == e.name.encode(), f"{end.name} has metadata")  # type: ignore[misc]  # mypy infers no type of a lambda with a default
            own = end.addresses["IPv4"]
            assert end.resolves(f"{end.name}.{DOMAIN}") == own
