"""A listener on each admitted port of each loopback address, where the kernel has no sk_lookup programs.

Each listener takes a descriptor, so that instances, projects and the host have bounds; ports beyond them are left out,
and `pileus doctor` names them.
"""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, zip_longest

import structlog

from pileus.model import bounds
from pileus.model.spec import InstanceSpec
from pileus.providers.local.guestnet import descriptors, ingress
from pileus.providers.local.guestnet.listener import Accepted, Listener, bind

WELL_KNOWN = (
    *(22, 80, 443, 3389, 5432, 8080, 8443, 3306, 6379, 8000, 5900, 5000, 9090, 3000, 27017, 9200),
    *(21, 23, 25, 53, 110, 143, 389, 445, 465, 587, 636, 993, 995, 1433, 1521, 2049, 2375, 2376),
    *(5671, 5672, 5901, 6443, 8008, 8081, 8888, 9000, 9092, 9100, 9418, 10000, 11211, 15672),
)
"""Ports worth a listener when rules admit too many, the most useful ones first."""

Place = tuple[str, int]
"""A loopback address and a port."""

_log = structlog.get_logger(__name__)


class PortListeners:
    """The listeners of one cloud. All methods belong to the event loop's thread."""

    def __init__(self, accepted: Accepted) -> None:
        self._accepted = accepted
        self._listeners: dict[Place, Listener] = {}
        self._refused: set[Place] = set()

    def admit(self, specs: Mapping[str, InstanceSpec]) -> None:
        """Listen for exactly these instances, by their addresses, within the bounds; never raises OSError.

        An address that is in use by somebody else is logged once and tried again by the next call.
        """
        wanted = set(places(specs.values(), most_listeners()))
        for place in self._listeners.keys() - wanted:
            self._listeners.pop(place).close()
        self._refused &= wanted
        for place in sorted(wanted - self._listeners.keys()):
            self._listen(place)

    def close(self) -> None:
        """Close all listeners. Idempotent."""
        self.admit({})

    def _listen(self, place: Place) -> None:
        try:
            sock = bind(socket.socket(socket.AF_INET, socket.SOCK_STREAM), *place)
            self._listeners[place] = Listener(sock, self._accepted)
        except OSError as error:
            if place not in self._refused:
                self._refused.add(place)
                _log.warning("loopback address not to be had", place=place, error=str(error))
            return
        self._refused.discard(place)


def most_listeners(process: int = 0) -> int:
    """How many listeners the process (0: this one) may have. Raises ProcessLookupError."""
    return descriptors.share(bounds.LOOPBACK_LISTENERS, process)


def places(specs: Iterable[InstanceSpec], most: int) -> list[Place]:
    """Where a process listens for these instances, at `most` places: projects take turns."""
    by_project: dict[str, list[InstanceSpec]] = defaultdict(list)
    for spec in sorted(specs, key=lambda spec: spec.uuid):
        if spec.loopback:
            by_project[spec.project].append(spec)
    projects = [
        islice(_in_turn([_places(spec) for spec in instances]), bounds.LOOPBACK_LISTENERS_OF_PROJECT.most)
        for _, instances in sorted(by_project.items())
    ]
    return list(islice(_in_turn(projects), most))


def _places(spec: InstanceSpec) -> Iterator[Place]:
    """An instance's places, the well-known ports first, then the lowest ones."""
    ranges = ingress.admitted(spec)
    well_known_ports = [port for port in WELL_KNOWN if any(first <= port <= last for first, last in ranges)]
    others = (port for first, last in ranges for port in range(first, last + 1) if port not in WELL_KNOWN)
    ports = [*well_known_ports, *islice(others, bounds.LOOPBACK_LISTENERS_OF_INSTANCE.most)]
    return ((spec.loopback, port) for port in ports[: bounds.LOOPBACK_LISTENERS_OF_INSTANCE.most])


def _in_turn(rows: Iterable[Iterator[Place]]) -> Iterator[Place]:
    """The first of each row, then the second of each, and so on."""
    return (place for column in zip_longest(*rows) for place in column if place is not None)
