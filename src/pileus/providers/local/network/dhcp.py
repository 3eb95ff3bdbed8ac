"""The DHCP options for guests (RFC 2132, RFC 3442), in OVN's notation. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from pileus.model.addresses import METADATA
from pileus.model.spec import SubnetSpec
from pileus.model.subnet import Ipv6Mode

LEASE = 3600
"""Seconds."""


def options(subnet: SubnetSpec, mtu: int, *, routed: bool) -> dict[str, str]:
    """The options of one subnet; `mtu` in bytes. On a network without a router no gateway is given out.

    A client that heeds classless routes must ignore the router option, so these name the gateway once more.
    """
    routes = [f"{METADATA}/32,{subnet.localport}"]
    dhcp_options = {
        "server_id": subnet.gateway,
        "server_mac": subnet.gateway_mac,
        "lease_time": str(LEASE),
        "mtu": str(mtu),
    }
    if routed:
        dhcp_options["router"] = subnet.gateway
        routes.append(f"0.0.0.0/0,{subnet.gateway}")
    servers = {"dns_server": subnet.dns, "ntp_server": subnet.ntp, "netbios_name_server": subnet.netbios}
    dhcp_options.update({name: _listed(addresses) for name, addresses in servers.items() if addresses})
    if subnet.node_type:
        dhcp_options["netbios_node_type"] = subnet.node_type
    if subnet.domain:
        dhcp_options["domain_name"] = f'"{subnet.domain}"'
    dhcp_options["classless_static_route"] = _listed(routes)
    return dhcp_options


def options6(subnet: SubnetSpec) -> dict[str, str]:
    """The options of DHCPv6 (RFC 8415) for one subnet. Routes, and the size of packets, are told by advertisements."""
    searched = {"domain_search": f'"{subnet.domain}"'} if subnet.domain else {}
    return {"server_id": subnet.gateway_mac, **searched}


def advertised(mode: Ipv6Mode, mtu: int) -> dict[str, str]:
    """The configuration of the router advertisements of a subnet (RFC 4861)."""
    return {
        "address_mode": "slaac" if mode == "slaac" else "dhcpv6_stateful",
        "send_periodic": "true",
        "max_interval": "60",
        "min_interval": "20",
        "mtu": str(mtu),
    }


def _listed(values: Iterable[str]) -> str:
    return "{" + ", ".join(values) + "}"


def hostname(name: str) -> dict[str, str]:
    """The port's own option that tells a guest its host name; nothing for an empty one."""
    return {"hostname": f'"{name}"'} if name else {}
