"""DHCP options: a guest's lease has what the option set of its router says."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import msgspec
import pytest

from pileus.providers.local.layout import Layout
from pileus.providers.local.network import NetworkProvider
from tests.live.test_network import OUT, Cloud
from tests.live.veth import dhcp, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cost(5), pytest.mark.allow_hosts(["127.0.0.0/8", "10.41.0.0/16"])]

_SERVERS, _DOMAIN, _TIME, _NETBIOS, _NODE_TYPE = 6, 15, 42, 44, 46


@pytest.fixture
def cloud(layout: Layout) -> Iterator[Cloud]:
    provider = NetworkProvider(layout.northbound)
    cloud = Cloud(layout, provider)
    yield cloud
    cloud.close()
    provider.close()


def packed(*addresses: str) -> bytes:
    return b"".join(map(socket.inet_aton, addresses))


def test_a_lease_has_the_options_of_the_set(cloud: Cloud) -> None:
    """Two resolvers, two domains, time and NetBIOS servers; then none of them."""
    network = cloud.network(1)
    guest, _ = cloud.guest(network, cloud.group(OUT).uuid)
    cloud.settled()
    resolver = network.subnets[0].localport

    def options(**changes: object) -> dict[int, bytes]:
        subnet = msgspec.structs.replace(network.subnets[0], **changes)
        cloud.write(msgspec.structs.replace(network, subnets=(subnet,), revision=cloud.revision()))
        cloud.settled()
        return eventually(lambda: dhcp(guest, 1), "the guest has an answer")[1]  # type: ignore[index]

    assert options()[_SERVERS] == packed(resolver)
    lease = options(
        dns=("10.41.1.53", resolver),
        domain="lab.example corp.example",
        ntp=("10.41.1.123", "10.41.1.124"),
        netbios=("10.41.1.137",),
        node_type="2",
    )
    assert lease[_SERVERS] == packed("10.41.1.53", resolver)
    assert lease[_DOMAIN] == b"lab.example corp.example"
    assert lease[_TIME] == packed("10.41.1.123", "10.41.1.124")
    assert (lease[_NETBIOS], lease[_NODE_TYPE]) == (packed("10.41.1.137"), b"\x02")
    assert not {_SERVERS, _DOMAIN, _TIME, _NETBIOS, _NODE_TYPE} & options(dns=(), domain="").keys()
