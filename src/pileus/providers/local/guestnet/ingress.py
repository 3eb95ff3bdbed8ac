"""Which TCP ports an instance's loopback address listens on, and for whom; pure functions over rules.

A listener can only stand on single ports. A rule of up to `MOST` ports gets one on each of them. A wider one
gets `MOST`: first the well-known ports inside it, in the order of `WELL_KNOWN`, then its lowest ones; `pileus
connect` reaches the others.

The sources of rules bind as they do on the network, with one addition: a caller in 127.0.0.0/8 is the user at
this machine, and meets the source of every IPv4 rule.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from pileus.model.spec import Ingress

MOST = 16
"""Listeners per rule."""

WELL_KNOWN = (
    *(22, 80, 443, 3389, 5432, 8080, 8443, 3306, 6379, 8000, 5900, 5000, 9090, 3000, 27017, 9200),
    *(21, 23, 25, 53, 110, 143, 389, 445, 465, 587, 636, 993, 995, 1433, 1521, 2049, 2375, 2376),
    *(5671, 5672, 5901, 6443, 8008, 8081, 8888, 9000, 9092, 9100, 9418, 10000, 11211, 15672),
)
"""Ports worth a listener when a rule admits too many, the most useful ones first."""

_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
_LAST_PORT = 65535


def listened(ingress: Iterable[Ingress]) -> frozenset[int]:
    """The TCP ports to listen on for these rules."""
    return frozenset(port for rule in ingress if _network(rule) for port in _ports(rule))


def admits(ingress: Iterable[Ingress], port: int, source: str) -> bool:
    """Whether a rule lets the IPv4 address `source` in at `port`."""
    caller = ipaddress.IPv4Address(source)
    for rule in ingress:
        network = _network(rule)
        if network and rule.port_min <= port <= rule.port_max and (caller in _LOOPBACK or caller in network):
            return True
    return False


def _ports(rule: Ingress) -> list[int]:
    span = range(max(rule.port_min, 1), min(rule.port_max, _LAST_PORT) + 1)
    known = [port for port in WELL_KNOWN if port in span]
    # Of these, MOST suffice: at least that many are not among the `known` when `known` is shorter.
    others = (port for port in span[: MOST + len(known)] if port not in known)
    return [*known, *others][:MOST]


def _network(rule: Ingress) -> ipaddress.IPv4Network | None:
    """The rule's source; None for IPv6, which admits nobody to an address in 127.0.0.0/8."""
    try:
        return ipaddress.IPv4Network(rule.cidr, strict=False)
    except ValueError:
        return None
