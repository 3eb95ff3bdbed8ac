"""Plain ssh to guests: listeners on the instances' addresses in 127.0.0.0/8, spliced into their networks.

For an instance with a loopback address there is a listener on every TCP port that the rules of its ports
admit (see `ingress` for wide ranges and for who may call). What the rules no longer admit is closed and cut;
what they still admit is left alone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from pileus.model.spec import InstanceSpec, NicSpec
from pileus.providers.local.guestnet import ingress, stream
from pileus.providers.local.guestnet.listener import Listener, bind
from pileus.providers.local.layout import Layout

MOST = 2048
"""Connections at once, of all instances together."""

MOST_PER_INSTANCE = 256
"""Connections at once to one loopback address."""

Place = tuple[str, int]
"""A loopback address and a port."""

_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Connection:
    """One spliced connection: who called what, and the guest's port that it leads to."""

    place: Place
    source: str
    nic: NicSpec
    client: socket.socket
    task: asyncio.Task[None] = field(init=False)


class Loopback:
    """The listeners and connections of one cloud. All methods belong to the event loop's thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._instances: dict[str, InstanceSpec] = {}
        self._listeners: dict[Place, Listener] = {}
        self._connections: set[_Connection] = set()
        self._taken: set[Place] = set()

    def apply(self, specs: Iterable[InstanceSpec]) -> None:
        """Listen for exactly these instances from now on; never raises OSError.

        An address that is in use by somebody else is logged once and tried again by the next call.
        """
        self._instances = {spec.loopback: spec for spec in specs if spec.loopback}
        wanted = {
            (address, port)
            for address, spec in self._instances.items()
            for nic in spec.nics
            for port in ingress.listened(nic.ingress)
        }
        for place in self._listeners.keys() - wanted:
            self._listeners.pop(place).close()
        for connection in self._connections:
            if not _same_guest(connection.nic, self._target(connection.place, connection.source)):
                connection.task.cancel()
        self._taken &= wanted
        for place in sorted(wanted - self._listeners.keys()):
            self._listen(place)

    async def close(self) -> None:
        """Close all listeners and cut all connections."""
        self.apply(())
        tasks = [connection.task for connection in self._connections]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _listen(self, place: Place) -> None:
        def accepted(client: socket.socket, source: str) -> None:
            self._accepted(place, client, source)

        try:
            sock = bind(socket.socket(socket.AF_INET, socket.SOCK_STREAM), *place)
            self._listeners[place] = Listener(sock, accepted)
        except OSError as error:
            if place not in self._taken:
                self._taken.add(place)
                _log.warning("loopback address not to be had", place=place, error=str(error))
            return
        self._taken.discard(place)

    def _target(self, place: Place, source: str) -> NicSpec | None:
        """The guest's port that the caller `source` reaches at `place`: the first whose rules let it in."""
        address, port = place
        spec = self._instances.get(address)
        nics = sorted(spec.nics, key=lambda nic: nic.index) if spec else []
        return next((nic for nic in nics if ingress.admits(nic.ingress, port, source)), None)

    def _accepted(self, place: Place, client: socket.socket, source: str) -> None:
        nic = self._target(place, source)
        here = sum(connection.place[0] == place[0] for connection in self._connections)
        if nic is None or here >= MOST_PER_INSTANCE or len(self._connections) >= MOST:
            stream.reset(client)
            return
        connection = _Connection(place, source, nic, client)
        self._connections.add(connection)
        connection.task = asyncio.get_running_loop().create_task(self._serve(connection))
        connection.task.add_done_callback(lambda task: self._ended(connection, task))

    async def _serve(self, connection: _Connection) -> None:
        stream.keep_alive(connection.client)
        dialling = stream.dial_async(self._layout, connection.nic, connection.place[1])
        guest = await stream.while_held(connection.client, dialling)
        try:
            await stream.splice(connection.client, guest)
        except BaseException:
            stream.reset(guest)
            raise
        guest.close()

    def _ended(self, connection: _Connection, task: asyncio.Task[None]) -> None:
        # Here and not in the task: one that is cancelled before its first step runs no line of its own.
        self._connections.discard(connection)
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            connection.client.close()
            return
        stream.reset(connection.client)
        if error is not None and not isinstance(error, (OSError, ExceptionGroup)):
            _log.error("loopback connection failed", place=connection.place, exc_info=error)


def _same_guest(one: NicSpec, other: NicSpec | None) -> bool:
    """Whether a connection made to `one` may stay now that its place leads to `other`."""
    if other is None:
        return False
    return (one.uuid, one.address, one.network) == (other.uuid, other.address, other.network)
