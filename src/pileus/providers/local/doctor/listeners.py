"""Loopback listeners: what the host process listens on, against what its instances' groups admit."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pileus.model.finding import Finding
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.guestnet import ingress

KIND = "listener"
_LISTEN = "0A"
"""The state of a listening socket (the kernel's include/net/tcp_states.h)."""

Place = tuple[str, int]


def listeners(pid: int) -> set[Place]:
    """The instances' addresses and TCP ports that the host process `pid` listens on. Raises OSError."""
    own = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            own.add(os.readlink(entry.path))  # noqa: PTH115  (a link to no path)
    found = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == _LISTEN and f"socket:[{words[9]}]" in own:
            address, _, port = words[1].partition(":")
            # The kernel prints the four bytes as one number of this machine's order.
            host = ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(address), "little"))
            if host.is_loopback:
                found.add((str(host), int(port, 16)))
    return found


def compare(expected: Expected, found: Iterable[Place]) -> Iterator[Finding]:
    """Places where somebody should listen and nobody does, and the other way round."""
    wanted, settled = set(), set()
    for uuid, held in expected.host.orders.items():
        if held.spec is not None and held.spec.loopback:
            places = {(held.spec.loopback, port) for nic in held.spec.nics for port in ingress.listened(nic.ingress)}
            wanted |= places
            settled |= places if uuid in expected.settled else set()
    there = set(found)
    for address, port in sorted(settled - there):
        yield Finding(code="ListenerMissing", kind=KIND, ident=f"{address}:{port}")
    for address, port in sorted(there - wanted):
        yield Finding(code="ListenerLeaked", kind=KIND, ident=f"{address}:{port}")
