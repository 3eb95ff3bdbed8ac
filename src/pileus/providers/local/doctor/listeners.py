"""Loopback addresses: the ports that the host process accepts at, against those that its instances' groups admit."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pileus.model.finding import Finding
from pileus.model.spec import InstanceSpec
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.guestnet import ingress, portlisteners, sklookup
from pileus.providers.local.guestnet.ingress import Ranges

KIND = "listener"
_LISTEN = "0A"
"""The state of a listening socket (the kernel's include/net/tcp_states.h)."""


@dataclass(frozen=True)
class Accepting:
    """The ports at which the host process `process` accepts, by loopback address.

    `by_program`: one socket accepts for all that a program admits; otherwise each port has a listener.
    """

    ports: dict[str, Ranges]
    by_program: bool
    process: int = 0


def listeners(process: int) -> Accepting:
    """Where the host process accepts for instances. As root. Raises OSError."""
    admitted = sklookup.admitted(process)
    if admitted is not None:
        return Accepting(admitted, by_program=True, process=process)
    return Accepting(_listeners(process), by_program=False, process=process)


def compare(expected: Expected, accepting: Accepting) -> Iterator[Finding]:
    """Ports at which somebody should accept and nobody does, those that were left out, and the other way round."""
    specs = {
        uuid: order.spec
        for uuid, order in expected.host.orders.items()
        if order.spec is not None and order.spec.loopback
    }
    admitted = {spec.loopback: ingress.admitted(spec) for spec in specs.values()}
    converged_addresses = {specs[uuid].loopback for uuid in specs.keys() & expected.converged.keys()}
    wanted = admitted if accepting.by_program else _bounded(specs.values(), accepting.process)
    for address in sorted(converged_addresses):
        for ports in _without(wanted.get(address, ()), accepting.ports.get(address, ())):
            yield Finding(code="ListenerMissing", kind=KIND, ident=f"{address}:{ports}")
        for ports in _without(admitted[address], wanted.get(address, ())):
            yield Finding(code="ListenerLeftOut", kind=KIND, ident=f"{address}:{ports}")
    for address in sorted(accepting.ports):
        # A program may admit more of an instance's address than its rules do: see PortTable.
        if address not in admitted or not accepting.by_program:
            for ports in _without(accepting.ports[address], admitted.get(address, ())):
                yield Finding(code="ListenerLeaked", kind=KIND, ident=f"{address}:{ports}")


def _listeners(process: int) -> dict[str, Ranges]:
    """The loopback addresses and TCP ports that the process has a listening socket of its own on. Raises OSError."""
    own = set()
    for entry in os.scandir(f"/proc/{process}/fd"):
        with contextlib.suppress(OSError):
            own.add(os.readlink(entry.path))  # noqa: PTH115  (a link to no path)
    ports = []
    for line in Path(f"/proc/{process}/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        if words[3] == _LISTEN and f"socket:[{words[9]}]" in own:
            address, _, port = words[1].partition(":")
            # The kernel prints the four bytes as one number of this machine's order.
            host = ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(address), "little"))
            if host.is_loopback:
                ports.append((str(host), int(port, 16)))
    return _single(ports)


def _bounded(specs: Iterable[InstanceSpec], process: int) -> dict[str, Ranges]:
    """The ports that have listeners where each needs one."""
    return _single(portlisteners.places(specs, process))


def _single(places: Iterable[portlisteners.Place]) -> dict[str, Ranges]:
    ports: dict[str, Ranges] = defaultdict(tuple)
    for address, port in sorted(places):
        ports[address] += ((port, port),)
    return ports


def _without(ranges: Ranges, others: Ranges) -> Iterator[str]:
    """The ports of `ranges` that are not in `others`, as `22` or `80-95`."""
    for first, last in ranges:
        at = first
        for other_first, other_last in sorted(others):
            if other_last >= at and other_first <= last:
                if other_first > at:
                    yield _text(at, other_first - 1)
                at = other_last + 1
        if at <= last:
            yield _text(at, last)


def _text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
