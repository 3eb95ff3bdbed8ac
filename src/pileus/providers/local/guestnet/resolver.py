"""The resolver's listeners: UDP and TCP in each network's namespace, on the address that DHCP names.

A guest is known by its source address, which the network guarantees; nobody else is answered. Names of the
guest's own network are answered from the host's specs, all others by the host's own resolvers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass

import structlog

from pileus.model import bounds
from pileus.model.spec import InstanceSpec
from pileus.providers.local.guestnet import dns as names
from pileus.providers.local.guestnet import namespaces, upstream
from pileus.providers.local.guestnet.listener import Listener, bind
from pileus.providers.local.layout import Layout

PORT = 53

TIMEOUT = 10.0
"""Seconds that a connection may be silent, and that an answer may take to leave."""

Place = tuple[str, str]
"""A network's uuid and an address in it: a listener's, or a guest's."""

_BATCH = 32
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Listening:
    identity: int | None
    stream: Listener
    datagrams: socket.socket


class Resolver:
    """The listeners and questions of one cloud. All methods belong to the event loop's thread."""

    def __init__(self, layout: Layout, servers: upstream.Servers) -> None:
        self._layout = layout
        self._servers = servers
        self._projects: dict[Place, str] = {}
        self._zones: dict[str, names.Zone] = {}
        self._listening: dict[Place, _Listening] = {}
        self._tasks: dict[asyncio.Task[None], Place] = {}

    def apply(self, specs: Iterable[InstanceSpec]) -> None:
        """Know exactly these instances from now on."""
        specs = tuple(specs)
        self._projects = {
            (nic.network, address): spec.project
            for spec in specs
            for nic in spec.nics
            for address in (nic.address, *nic.secondaries)
        }
        by_network: dict[str, list[InstanceSpec]] = {}
        for spec in specs:
            for network in {nic.network for nic in spec.nics}:
                by_network.setdefault(network, []).append(spec)
        self._zones = {network: names.zone(network, inside) for network, inside in by_network.items()}

    def listen(self, network: str, addresses: Iterable[str]) -> None:
        """Listen on exactly these addresses in the namespace of `network`, anew if it is a new one. Raises OSError."""
        namespace = self._layout.network_netns(network)
        identity = namespaces.identity(namespace)
        wanted = {(network, address) for address in addresses}
        for place, listening in list(self._listening.items()):
            if place[0] == network and (place not in wanted or listening.identity != identity):
                self._close(place)
        for place in wanted - self._listening.keys():
            self._open(place, namespace, identity)

    def ignore(self, network: str) -> None:
        """Stop listening in a network and drop what is under way for it. Idempotent."""
        for place in [place for place in self._listening if place[0] == network]:
            self._close(place)
        for task, guest in self._tasks.items():
            if guest[0] == network:
                task.cancel()

    async def close(self) -> None:
        """Close all listeners and drop what is under way."""
        for place in list(self._listening):
            self._close(place)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _open(self, place: Place, namespace: str, identity: int | None) -> None:
        network, address = place
        datagrams = bind(namespaces.open_socket(namespace, socket.SOCK_DGRAM), address, PORT)
        try:
            stream = bind(namespaces.open_socket(namespace), address, PORT)
        except BaseException:
            datagrams.close()
            raise
        datagrams.setblocking(False)
        listener = Listener(stream, lambda connection, source: self._accepted((network, source), connection))
        self._listening[place] = _Listening(identity, listener, datagrams)
        asyncio.get_running_loop().add_reader(datagrams, self._received, network, datagrams)

    def _close(self, place: Place) -> None:
        listening = self._listening.pop(place)
        listening.stream.close()
        asyncio.get_running_loop().remove_reader(listening.datagrams)
        listening.datagrams.close()

    def _received(self, network: str, datagrams: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                wire, (source, port) = datagrams.recvfrom(names.LARGEST_QUERY + 1)
            except OSError:
                return
            guest = (network, source)
            query = names.read(wire) if guest in self._projects else None
            if query is None:
                continue
            response = names.answer(query, self._zones[network])
            if response is None and self._has_room(guest):
                self._spawn(guest, self._forward(query, datagrams, (source, port)))
                continue
            response = response or names.failure(query)
            _send(datagrams, names.packed(query, response, streamed=False), (source, port))

    async def _forward(self, query: names.Query, datagrams: socket.socket, back: tuple[str, int]) -> None:
        wire = await self._elsewhere(query, streamed=False)
        if len(wire) > names.room(query, streamed=False):
            wire = names.truncated(query)
        _send(datagrams, wire, back)

    async def _elsewhere(self, query: names.Query, *, streamed: bool) -> bytes:
        wire = await upstream.ask(query, self._servers(), streamed=streamed)
        return wire or names.packed(query, names.failure(query), streamed=streamed)

    def _accepted(self, guest: Place, connection: socket.socket) -> None:
        if guest in self._projects and self._has_room(guest):
            task = self._spawn(guest, self._converse(guest, connection))
            # Here and not in the task: one that is cancelled before its first step runs no line of its own.
            task.add_done_callback(lambda _: connection.close())
        else:
            connection.close()

    async def _converse(self, guest: Place, connection: socket.socket) -> None:
        """Answer one question after the other until the guest has had enough, or sends what is none."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(TIMEOUT):
                    head = await upstream.read_exactly(connection, 2)
                    size = int.from_bytes(head, "big")
                    wire = await upstream.read_exactly(connection, size) if size <= names.LARGEST_QUERY else b""
                query = names.read(wire) if guest in self._projects else None
                if query is None:
                    return
                response = names.answer(query, self._zones[guest[0]])
                packed = (
                    names.packed(query, response, streamed=True)
                    if response is not None
                    else await self._elsewhere(query, streamed=True)
                )
                async with asyncio.timeout(TIMEOUT):
                    await loop.sock_sendall(connection, struct.pack(">H", len(packed)) + packed)

    def _has_room(self, guest: Place) -> bool:
        project = self._projects.get(guest)
        return (
            sum(each == guest for each in self._tasks.values()) < bounds.RESOLVER_QUESTIONS_OF_INSTANCE.most
            and sum(self._projects.get(each) == project for each in self._tasks.values())
            < bounds.RESOLVER_QUESTIONS_OF_PROJECT.most
            and len(self._tasks) < bounds.RESOLVER_QUESTIONS.most
        )

    def _spawn(self, guest: Place, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = guest
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        guest = self._tasks.pop(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, OSError):
            _log.error("name not resolved", network=guest[0], source=guest[1], exc_info=error)


def _send(datagrams: socket.socket, wire: bytes, back: tuple[str, int]) -> None:
    """Send, or not: a guest that gets no answer asks again."""
    with contextlib.suppress(OSError):
        datagrams.sendto(wire, back)
