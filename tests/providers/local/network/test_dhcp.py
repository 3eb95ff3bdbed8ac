"""What DHCP tells guests."""

from __future__ import annotations

from pileus.model.spec import SubnetSpec
from pileus.providers.local.network import dhcp

SUBNET = SubnetSpec(
    uuid="0f8fad5b-d9cb-469f-a165-70867728950e",
    cidr="10.0.0.0/24",
    gateway="10.0.0.1",
    gateway_mac="02:51:00:00:00:01",
    localport="10.0.0.2",
    localport_mac="02:51:00:00:00:02",
    dns=("10.0.0.2",),
    domain="ec2.internal",
)


def test_a_routed_subnet_gives_out_its_gateway_twice() -> None:
    assert dhcp.options(SUBNET, 1442, routed=True) == {
        "server_id": "10.0.0.1",
        "server_mac": "02:51:00:00:00:01",
        "lease_time": "3600",
        "mtu": "1442",
        "router": "10.0.0.1",
        "dns_server": "{10.0.0.2}",
        "domain_name": '"ec2.internal"',
        "classless_static_route": "{169.254.169.254/32,10.0.0.2, 0.0.0.0/0,10.0.0.1}",
    }


def test_a_lonely_subnet_gives_out_metadata_alone() -> None:
    told = dhcp.options(SUBNET, 1442, routed=False)
    assert "router" not in told
    assert told["classless_static_route"] == "{169.254.169.254/32,10.0.0.2}"


def test_a_host_name_is_told_only_when_there_is_one() -> None:
    assert dhcp.hostname("web") == {"hostname": '"web"'}
    assert dhcp.hostname("") == {}
