"""Reachability on one host: the guests of `Vpcs` are joined and parted on one switch as on two."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from pileus.model import addresses
from pileus.providers.local.network import NetworkProvider
from tests.live import veth, veth6
from tests.live.test_floating import GATEWAY, OUTSIDE, mirror
from tests.live.test_ipv6 import GATEWAY as GATEWAY6
from tests.live.veth import eventually
from tests.live.vpcs import MIRROR, PROBE, REACHED, ROUTER, UNREACHED, VERSIONS, Version, Vpcs, host_addresses, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pileus.providers.local.layout import Layout

HOSTS = ["10.41.0.0/16", "::/0", OUTSIDE, addresses.METADATA]
pytestmark = [pytest.mark.cost(30), pytest.mark.allow_hosts(HOSTS)]


@pytest.fixture(scope="module")
def cloud(layout: Layout) -> Iterator[Vpcs]:
    provider = NetworkProvider(layout.northbound, gateway=layout.netns)
    cloud = Vpcs(layout, provider, {"host1": layout})
    yield cloud
    cloud.close()
    provider.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("target", REACHED)
def test_guests_on_one_host_reach_each_other(cloud: Vpcs, target: str, version: Version) -> None:
    one, other = (cloud.ends[name] for name in REACHED[target])
    eventually(lambda: one.pings(other, version), f"a guest reaches one {target}")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("target", UNREACHED)
def test_guests_on_one_host_are_kept_apart(cloud: Vpcs, target: str, version: Version) -> None:
    one, control, other = (cloud.ends[name] for name in UNREACHED[target])
    eventually(lambda: control.pings(other, version), "another guest reaches it")
    assert not one.pings(other, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_address_of_the_host_is_reached(layout: Layout, cloud: Vpcs, version: Version) -> None:
    """By a guest of a subnet that leads outside: addresses of the switch and of the listeners."""
    end, outside = cloud.ends["public"], {GATEWAY, GATEWAY6}
    with cloud.served("public"):
        for namespace in (layout.netns, layout.network_netns(end.network.uuid)):
            with probe(namespace, PROBE, version):
                for address in host_addresses(namespace, version):
                    if address in outside:
                        # The outside network begins in the switch's namespace.
                        eventually(lambda a=address: end.fetches(a, PROBE), "the probe is reached outside")  # type: ignore[misc]  # mypy infers no type of a lambda with a default
                    else:
                        assert not end.fetches(address, PROBE), (namespace, address)


def test_metadata_by_ipv6_is_told_to_the_instance_itself(cloud: Vpcs) -> None:
    """Not to a neighbour that asks from the instance's address, and not to one by an address that nobody has."""
    victim, own = cloud.ends["public"], cloud.ends["unnamed"]
    unused = f"{own.addresses['IPv6']}f"
    with cloud.served("public", "unnamed"):
        for end in (victim, own):
            eventually(lambda e=end: e.metadata("IPv6", e.addresses["IPv6"]) == e.name.encode(), "its own is told")  # type: ignore[misc]  # mypy infers no type of a lambda with a default
        for address in (victim.addresses["IPv6"], unused):
            veth6.add(own.guest, f"{address}/128")
            assert own.metadata("IPv6", address) == b""
            veth.ip("-n", own.guest.namespace, "address", "delete", f"{address}/128", "dev", "eth0")
        assert own.metadata("IPv6") == own.name.encode()


@pytest.mark.parametrize("version", VERSIONS)
def test_guests_of_isolated_networks_go_nowhere(layout: Layout, cloud: Vpcs, version: Version) -> None:
    own = layout.netns
    server, gateway = (mirror(own, MIRROR), GATEWAY) if version == "IPv4" else (veth6.server(own, MIRROR), GATEWAY6)
    with contextlib.closing(server):
        public = cloud.ends["public"]
        seen = ROUTER if version == "IPv4" else public.addresses["IPv6"]
        eventually(lambda: public.fetches(gateway, MIRROR) == seen.encode(), "a guest goes out")
        for name in ("isolated", "peered2", "private"):
            assert not cloud.ends[name].fetches(gateway, MIRROR), name
