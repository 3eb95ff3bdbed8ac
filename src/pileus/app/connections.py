"""The connections of a listener: how many there are, of which addresses, and how much their requests have in memory.

A connection *waits* while no whole request of it is being answered: in its TLS handshake, idle, with half a head or
half a body, and for the client's end of a websocket that is closed here. At the bound the connection that waits and was
silent longest makes room for a new one. Where none waits, the address that has most connections gives up its oldest
one; a new one is refused where its own address has as many.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from pileus.app.settings import Settings
from pileus.app.websocket import Turns
from pileus.model import bounds

SWEEP = 1.0
"""Seconds between two looks at what is late, at most."""

RESERVE = 2048
"""Descriptors for all that is no connection of a client, at most a quarter of the limit: the store, the bus, files."""


class Connection(Protocol):
    """A client's connection, as the count of connections sees it."""

    address: str

    def abort(self) -> None:
        """Close it at once, whatever it has not sent."""

    def look(self, now: float) -> None:
        """Do what is due at `now`, in seconds of the event loop's clock."""


@dataclass(frozen=True)
class ConnectionLimits:
    """Bounds of the connections of one listener; `patience` in seconds, `bodies` in bytes. See `model/bounds.py`."""

    connections: int
    address_connections: int
    patience: float = float(bounds.REQUEST_PATIENCE.most)
    bodies: int = bounds.BODIES.most
    address_bodies: int = bounds.ADDRESS_BODIES.most


def faces(settings: Settings) -> ConnectionLimits:
    """The limits of the faces' listener."""
    most = min(settings.connections, _room() // 2)
    return ConnectionLimits(most, min(settings.address_connections, most // 2), settings.request_patience)


def secondary_listener(settings: Settings) -> ConnectionLimits:
    """The limits of a listener for joined hosts, or for the mcc tools."""
    most = min(bounds.SECONDARY_LISTENER_CONNECTIONS.most, _room() // 4)
    return ConnectionLimits(
        most, min(bounds.ADDRESS_SECONDARY_LISTENER_CONNECTIONS.most, most // 2), settings.request_patience
    )


def _room() -> int:
    """How many descriptors of this process connections may have."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit - min(RESERVE, limit // 4)


class Connections:
    """All connections of one listener, in one event loop. With `context` each of them begins with a TLS handshake."""

    def __init__(self, limits: ConnectionLimits, context: ssl.SSLContext | None = None) -> None:
        self.limits = limits
        self.context = context
        self.turns = Turns()
        self._all: dict[Connection, None] = {}
        self._of_address: Counter[str] = Counter()
        # In the order in which something came from them last: of all addresses, and of each.
        self._waiting: dict[Connection, None] = {}
        self._waiting_of: dict[str, dict[Connection, None]] = {}
        self._bodies: Counter[str] = Counter()
        self._bytes = 0
        self._sweeping = False

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._all)

    def __contains__(self, connection: object) -> bool:
        """Return whether a connection is counted."""
        return connection in self._all

    def admit(self, connection: Connection) -> bool:
        """Count a new connection, which waits. False, without counting it, where none can make room for it."""
        address = connection.address
        if self._of_address[address] >= self.limits.address_connections and not self._evict(
            self._waiting_of.get(address, {})
        ):
            return False
        if len(self._all) >= self.limits.connections and not (
            self._evict(self._waiting) or self._evict_of_largest(address)
        ):
            return False
        self._all[connection] = None
        self._of_address[address] += 1
        self.waits(connection)
        if not self._sweeping:
            self._sweeping = True
            self._later()
        return True

    def release(self, connection: Connection) -> None:
        """Count a connection no more. Safe to repeat."""
        if connection not in self._all:
            return
        self.works(connection)
        del self._all[connection]
        _decrease(self._of_address, connection.address, 1)

    def waits(self, connection: Connection) -> None:
        """Note that nothing of the connection is being answered, and that something came from it just now."""
        if connection in self._all:
            self.works(connection)
            self._waiting[connection] = None
            self._waiting_of.setdefault(connection.address, {})[connection] = None

    def works(self, connection: Connection) -> None:
        """Note that a request of the connection is whole: nobody else's connection takes its place."""
        if connection in self._waiting:
            del self._waiting[connection]
            waiting = self._waiting_of[connection.address]
            del waiting[connection]
            if not waiting:
                del self._waiting_of[connection.address]

    def hold(self, address: str, size: int) -> bool:
        """Count `size` more bytes of bodies of an address in memory. False, without counting, at the bound."""
        if self._bytes + size > self.limits.bodies or self._bodies[address] + size > self.limits.address_bodies:
            return False
        if not size:  # an entry of its own would stay
            return True
        self._bytes += size
        self._bodies[address] += size
        return True

    def let_go(self, address: str, size: int) -> None:
        """Count `size` fewer bytes of bodies of an address."""
        self._bytes -= size
        _decrease(self._bodies, address, size)

    def _evict(self, candidates: Iterable[Connection]) -> bool:
        """Close the first of these connections; False where there is none."""
        oldest = next(iter(candidates), None)
        if oldest is None:
            return False
        self.release(oldest)
        oldest.abort()
        return True

    def _evict_of_largest(self, address: str) -> bool:
        """Close a connection of the address that has most, unless `address` would have as many then."""
        ((largest, count),) = self._of_address.most_common(1) or (("", 0),)
        if count <= self._of_address[address] + 1:
            return False
        return self._evict(connection for connection in self._all if connection.address == largest)

    def _later(self) -> None:
        asyncio.get_running_loop().call_later(min(SWEEP, self.limits.patience / 4), self._sweep)

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self._all):
            connection.look(now)
        self._sweeping = bool(self._all)
        if self._sweeping:
            self._later()


def _decrease(counter: Counter[str], key: str, by: int) -> None:
    counter[key] -= by
    if not counter[key]:
        del counter[key]
