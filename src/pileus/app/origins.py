"""The addresses from which a request may come, as ranges in a setting."""

from __future__ import annotations

import ipaddress

Ranges = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def ranges(text: str) -> Ranges:
    """Parse ranges with commas between them. Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def within(address: str, allowed: Ranges) -> bool:
    """Tell whether an address is in one of the ranges; an IPv4 address in IPv6's notation counts as IPv4."""
    try:
        caller = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(caller, ipaddress.IPv6Address) and caller.ipv4_mapped is not None:
        caller = caller.ipv4_mapped
    return any(caller in each for each in allowed)
