"""Loopback addresses: the ports that the host process accepts at, against those that its instances' groups admit."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pileus.model import bounds
from pileus.model.finding import Finding
from pileus.providers.local import prefix
from pileus.providers.local.doctor.expected import Expected
from pileus.providers.local.guestnet import ingress, portlisteners, sklookup
from pileus.providers.local.guestnet.ingress import Ranges

KIND = "listener"


@dataclass(frozen=True)
class Accepting:
    """The ports at which the host process accepts, by loopback address.

    `by_program`: one socket accepts for all that a program admits; otherwise each port has a listener, `most` in all.
    """

    ports: dict[str, Ranges]
    by_program: bool
    most: int = bounds.LOOPBACK_LISTENERS.most


def listeners(process: int) -> Accepting:
    """Where the host process accepts for instances. As root. Raises OSError."""
    admitted = sklookup.admitted(process)
    if admitted is not None:
        return Accepting(admitted, by_program=True)
    # The bound is the process's own, which may have ended by the time that the ports are compared.
    return Accepting(_listeners(process), by_program=False, most=portlisteners.most_listeners(process))


def compare(expected: Expected, accepting: Accepting) -> Iterator[Finding]:
    """Ports at which somebody should accept and nobody does, those that were left out, and the other way round."""
    specs = {
        uuid: order.spec
        for uuid, order in expected.host.orders.items()
        if order.spec is not None and order.spec.loopback
    }
    admitted = {spec.loopback: ingress.admitted(spec) for spec in specs.values()}
    converged_addresses = {specs[uuid].loopback for uuid in specs.keys() & expected.converged.keys()}
    wanted = admitted
    if not accepting.by_program:
        # Each port needs a listener, and their number is bounded.
        wanted = _single(portlisteners.places(specs.values(), accepting.most))
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
    for address, port, inode in prefix.listening(Path(f"/proc/{process}/net/tcp").read_text(encoding="ascii")):
        if address.is_loopback and f"socket:[{inode}]" in own:
            ports.append((str(address), port))
    return _single(ports)


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
