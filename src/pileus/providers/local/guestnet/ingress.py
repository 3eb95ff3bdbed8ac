"""Which TCP ports an instance's loopback address has, and for whom; pure functions over rules.

The sources of rules bind as they do on the network, with one addition: a caller in 127.0.0.0/8 is the user at
this machine, and meets the source of every IPv4 rule.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable

from pileus.model.spec import Ingress, InstanceSpec

Ranges = tuple[tuple[int, int], ...]
"""Ports as (first, last), ascending; no two ranges overlap or touch."""

_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
_LAST_PORT = 65535


def admitted(spec: InstanceSpec) -> Ranges:
    """The TCP ports at which the rules of the instance's ports admit somebody, 0 left out."""
    merged: list[tuple[int, int]] = []
    rules = (rule for nic in spec.nics for rule in nic.ingress if _network(rule.cidr))
    for first, last in sorted((max(rule.port_min, 1), min(rule.port_max, _LAST_PORT)) for rule in rules):
        if first > last:
            continue
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return tuple(merged)


def admits(rules: Iterable[Ingress], port: int, source: str) -> bool:
    """Whether a rule lets the IPv4 address `source` in at `port`."""
    caller = ipaddress.IPv4Address(source)
    for rule in rules:
        if rule.port_min <= port <= rule.port_max:
            network = _network(rule.cidr)
            if network and (caller in _LOOPBACK or caller in network):
                return True
    return False


@functools.lru_cache(4096)
def _network(cidr: str) -> ipaddress.IPv4Network | None:
    """A rule's source; None for IPv6, which admits nobody to an address in 127.0.0.0/8."""
    try:
        return ipaddress.IPv4Network(cidr, strict=False)
    except ValueError:
        return None
