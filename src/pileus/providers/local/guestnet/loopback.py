"""Plain ssh to guests: connections to the instances' addresses in 127.0.0.0/8, spliced into their networks.

An instance's loopback address has every TCP port that the rules of its ports admit (see `ingress` for who may call).
One socket accepts them all (`rangelistener`); on kernels that cannot do that, a bounded number of listeners does
(`portlisteners`). Calls that the rules no longer admit are refused and cut; the others are left alone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from pileus.model import addresses, bounds
from pileus.model.spec import InstanceSpec, NicSpec
from pileus.providers.local import prefix
from pileus.providers.local.guestnet import descriptors, ingress, stream
from pileus.providers.local.guestnet.portlisteners import PortListeners
from pileus.providers.local.guestnet.rangelistener import RangeListener
from pileus.providers.local.layout import Layout

Place = tuple[str, int]
"""A loopback address and a port."""

_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Connection:
    """One spliced connection: who called what, and the guest's port that it leads to."""

    place: Place
    source: str
    spec: InstanceSpec
    nic: NicSpec
    client: socket.socket
    task: asyncio.Task[None] = field(init=False)


class Loopback:
    """The listeners and connections of one cloud. All methods belong to the event loop's thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._instances: dict[str, InstanceSpec] = {}
        self._listeners: RangeListener | PortListeners | None = None
        self._connections: set[_Connection] = set()

    def apply(self, specs: Iterable[InstanceSpec]) -> None:
        """Listen for exactly these instances from now on; never raises OSError."""
        self._instances = {spec.loopback: spec for spec in specs if spec.loopback}
        for connection in self._connections:
            if self._instances.get(connection.place[0]) is connection.spec:
                continue
            _, nic = self._target(connection.place, connection.source)
            if not _same_guest(connection.nic, nic):
                connection.task.cancel()
        if self._listeners is None:
            self._listeners = self._listen()
        self._listeners.admit(self._instances)

    async def close(self) -> None:
        """Close all listeners and cut all connections."""
        self._instances = {}
        if self._listeners is not None:
            self._listeners.close()
            self._listeners = None
        tasks = [connection.task for connection in self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _listen(self) -> RangeListener | PortListeners:
        try:
            # No instance has this address; the next cloud of this machine sees by it that the range is taken.
            return RangeListener(addresses.range_address(prefix.of(self._layout)), self._accepted)
        except OSError as error:
            _log.warning("no sk_lookup program, a bounded number of loopback listeners instead", error=str(error))
            return PortListeners(self._accepted)

    def _target(self, place: Place, source: str) -> tuple[InstanceSpec | None, NicSpec | None]:
        """The instance at `place`, and that port of it which the caller `source` reaches: the first that admits it."""
        address, port = place
        spec = self._instances.get(address)
        nics = sorted(spec.nics, key=lambda nic: nic.index) if spec else []
        return spec, next((nic for nic in nics if ingress.admits(nic.ingress, port, source)), None)

    def _accepted(self, client: socket.socket, source: str) -> None:
        try:
            place: Place = client.getsockname()[:2]
        except OSError:
            client.close()
            return
        spec, nic = self._target(place, source)
        if spec is None or nic is None or not self._room(spec):
            stream.reset(client)
            return
        connection = _Connection(place, source, spec, nic, client)
        self._connections.add(connection)
        connection.task = asyncio.get_running_loop().create_task(self._serve(connection))
        connection.task.add_done_callback(lambda task: self._ended(connection, task))

    def _room(self, spec: InstanceSpec) -> bool:
        """Whether the bounds of the instance, its project and the host leave room for one more connection."""
        of_instance = sum(connection.place[0] == spec.loopback for connection in self._connections)
        of_project = sum(connection.spec.project == spec.project for connection in self._connections)
        return (
            of_instance < bounds.LOOPBACK_CONNECTIONS_OF_INSTANCE.most
            and of_project < bounds.LOOPBACK_CONNECTIONS_OF_PROJECT.most
            and len(self._connections) < descriptors.share(bounds.LOOPBACK_CONNECTIONS)
        )

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


def _same_guest(old: NicSpec, new: NicSpec | None) -> bool:
    """Whether a connection made to `old` may stay now that its place leads to `new`."""
    if new is None:
        return False
    return (old.uuid, old.address, old.network) == (new.uuid, new.address, new.network)
