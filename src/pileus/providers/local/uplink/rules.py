"""The nftables rules of the cloud's namespace: which packets pass between outside network and uplink. Pure functions.

libslirp opens a socket of this machine for each connection of a guest, so a connection to an address of this machine
would arrive as one of its own, past its firewall. The rules refuse these destinations before libslirp sees them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from pileus.model import bounds
from pileus.providers.local.engine.daemons import OUTSIDE

LINK = "uplink"
"""The interface in the cloud's namespace behind which libslirp is; the rules' table has this name too."""

IPV4 = "198.18.0.0/24"
"""The network between namespace and libslirp: of the range for benchmarks (RFC 2544), which no real network has."""

IPV4_ADDRESS, IPV4_GATEWAY = "198.18.0.100", "198.18.0.2"
IPV6_ADDRESS, IPV6_GATEWAY = "fd00::100", "fd00::2"
"""Addresses on that network: the namespace's own, and libslirp's. slirp4netns 1.2 has no other range of IPv6."""

CLOSED_IPV4 = ("0.0.0.0/8", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", IPV4, "224.0.0.0/3")
"""Never reached: this machine, its own cloud's metadata services (EC2, GCE, Azure), libslirp, multicast."""

OPEN_IPV6 = ("2000::/3", "fc00::/7")
"""Alone reached by IPv6. Everything else is this machine (::, ::1, ::ffff:0:0/96), a link, or nothing."""

CLOSED_IPV6 = ("fd00::/64", "fd00:ec2::/32", "fd20:ce::/32")
"""Never reached inside of these: libslirp, and the metadata services of EC2 and GCE."""

BURST = 1 << 20
"""Bytes that pass above the rate at once."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def table(outside: str, outside_ipv6: str, rate: int, own: Iterable[Address]) -> str:
    """Input of nft(8) that replaces the table: all rules, in one transaction.

    `outside` and `outside_ipv6` are the ranges of the outside network, `rate` bytes a second each way, `own` the
    addresses of this machine.
    """
    limit = f"limit rate over {rate} bytes/second burst {BURST} bytes drop"
    of_address, most = bounds.UPLINK_CONNECTIONS_OF_ADDRESS.most, bounds.UPLINK_CONNECTIONS.most
    return f"""\
add table inet {LINK}
delete table inet {LINK}
table inet {LINK} {{
    set own4 {{ type ipv4_addr; }}
    set own6 {{ type ipv6_addr; }}
    set closed4 {{ type ipv4_addr; flags interval; elements = {{ {", ".join(CLOSED_IPV4)} }} }}
    set closed6 {{ type ipv6_addr; flags interval; elements = {{ {", ".join(CLOSED_IPV6)} }} }}
    set open6 {{ type ipv6_addr; flags interval; elements = {{ {", ".join(OPEN_IPV6)} }} }}
    set senders4 {{ type ipv4_addr; size 65535; flags dynamic; }}
    set senders6 {{ type ipv6_addr; size 65535; flags dynamic; }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        iifname "{OUTSIDE}" oifname "{LINK}" jump leaving
        iifname "{LINK}" oifname "{OUTSIDE}" jump arriving
    }}
    chain leaving {{
        ip daddr @closed4 jump refused
        ip daddr @own4 jump refused
        ip6 daddr @closed6 jump refused
        ip6 daddr @own6 jump refused
        ip6 daddr != @open6 jump refused
        {limit}
        ct state established,related accept
        ct state != new drop
        ct count over {most} jump refused
        ip saddr {outside} add @senders4 {{ ip saddr ct count over {of_address} }} jump refused
        ip6 saddr {outside_ipv6} add @senders6 {{ ip6 saddr ct count over {of_address} }} jump refused
        ip saddr {outside} accept
        ip6 saddr {outside_ipv6} accept
        drop
    }}
    chain arriving {{
        {limit}
        ct state established,related accept
        drop
    }}
    chain refused {{
        reject with icmpx admin-prohibited
    }}
    chain output {{
        type filter hook output priority filter;
        oifname "{LINK}" ct state new drop
    }}
    chain translated {{
        type nat hook postrouting priority srcnat;
        oifname "{LINK}" masquerade
    }}
}}
{own_addresses(own)}"""


def own_addresses(own: Iterable[Address]) -> str:
    """Input of nft(8) that makes `own` the addresses of this machine, in one transaction."""
    lines = []
    addresses = sorted(set(own), key=lambda address: (address.version, int(address)))
    for version in (4, 6):
        lines.append(f"flush set inet {LINK} own{version}")
        elements = ", ".join(str(address) for address in addresses if address.version == version)
        if elements:
            lines.append(f"add element inet {LINK} own{version} {{ {elements} }}")
    return "\n".join(lines) + "\n"


def without_table() -> str:
    """Input of nft(8) that removes the table, be it there or not."""
    return f"add table inet {LINK}\ndelete table inet {LINK}\n"
