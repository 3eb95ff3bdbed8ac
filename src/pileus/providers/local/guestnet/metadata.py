"""The metadata service's listeners: one in each network's namespace, knowing its callers by address.

A source address is proof: the network lets no port send from an address that is not its own.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from pileus.model import bounds
from pileus.model.addresses import METADATA, METADATA6
from pileus.model.spec import InstanceSpec
from pileus.providers.local.guestnet import descriptors, http, namespaces
from pileus.providers.local.guestnet.listener import Listener, bind
from pileus.providers.local.guestnet.pace import Pace
from pileus.providers.local.layout import Layout

PORT = 80

TOKEN_HOPS = 1
"""How far the answer to a request for a token may go, where its instance is not known."""

BURST = 5.0
"""Seconds' worth of requests that a guest may make at once: one that boots asks for everything."""

_HOPS = 64

Caller = tuple[str, str]
"""A network's uuid and a source address in it."""

Respond = Callable[[InstanceSpec | None, str, str, Mapping[str, str], str], http.Reply]
"""(caller's spec or None, method, path, headers by lower-case name, source) → Reply. Must not block."""

_log = structlog.get_logger(__name__)


class Metadata:
    """The listeners and connections of one cloud. All methods belong to the event loop's thread."""

    def __init__(self, layout: Layout, respond: Respond) -> None:
        self._layout = layout
        self._respond = respond
        self._callers: dict[Caller, InstanceSpec] = {}
        self._listeners: dict[Caller, tuple[Listener, int | None]] = {}
        """By network, and by the service's address there."""
        self._talks: dict[asyncio.Task[None], Caller] = {}
        self._pace: Pace[Caller] = Pace(bounds.METADATA_REQUESTS.most, BURST, time.monotonic)

    def apply(self, specs: Iterable[InstanceSpec]) -> None:
        """Answer for exactly these instances from now on, on connections that are open already too."""
        self._callers = {
            (nic.network, address): spec
            for spec in specs
            for nic in spec.nics
            for address in (nic.address, *nic.secondaries, *nic.ipv6)
        }
        self._pace.keep(self._callers.keys())

    def listen(self, network: str, *, ipv6: bool) -> None:
        """Listen in the namespace of the network `network`, anew if that is a new one. Raises OSError."""
        namespace = self._layout.network_netns(network)
        identity = namespaces.identity(namespace)
        if any(place[0] == network and self._listeners[place][1] != identity for place in self._listeners):
            self.ignore(network)

        def accepted(connection: socket.socket, source: str) -> None:
            self._accepted((network, source), connection)

        families = {METADATA: socket.AF_INET} | ({METADATA6: socket.AF_INET6} if ipv6 else {})
        for address, family in families.items():
            if (network, address) not in self._listeners:
                sock = bind(namespaces.open_socket(namespace, family=family), address, PORT)
                self._listeners[network, address] = Listener(sock, accepted), identity

    def ignore(self, network: str) -> None:
        """Stop listening in a network and drop the connections from it. Idempotent."""
        for place in [place for place in self._listeners if place[0] == network]:
            self._listeners.pop(place)[0].close()
        for talk, caller in self._talks.items():
            if caller[0] == network:
                talk.cancel()

    async def close(self) -> None:
        """Close all listeners and connections."""
        for network in {network for network, _ in self._listeners}:
            self.ignore(network)
        await asyncio.gather(*self._talks, return_exceptions=True)

    def _accepted(self, caller: Caller, connection: socket.socket) -> None:
        if not self._room(caller) or (_is_ipv6(caller) and self._spec(caller) is None):
            connection.close()
            return

        async def answer(method: str, path: str, headers: Mapping[str, str]) -> http.Reply:
            await asyncio.sleep(self._pace.delay(caller))
            spec = self._spec(caller)
            # A token goes no further than to the instance itself, as EC2's do by default: not to what it routes for.
            token_hops = spec.metadata_hops if spec is not None else TOKEN_HOPS
            hops = token_hops if method == "PUT" else _HOPS
            if _is_ipv6(caller):
                connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
            else:
                connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
            return self._respond(spec, method, path, headers, caller[1])

        talk = asyncio.get_running_loop().create_task(http.converse(connection, answer))
        self._talks[talk] = caller
        talk.add_done_callback(lambda task: self._ended(task, connection))

    def _spec(self, caller: Caller) -> InstanceSpec | None:
        """The caller's spec; None for nobody we know, and by IPv6 for an instance that has it switched off."""
        spec = self._callers.get(caller)
        return spec if spec is None or spec.metadata_ipv6 or not _is_ipv6(caller) else None

    def _room(self, caller: Caller) -> bool:
        """Whether the bounds of the guest, its project and the host leave room for one more connection."""
        project = self._project(caller)
        return (
            sum(each == caller for each in self._talks.values()) < bounds.METADATA_CONNECTIONS_OF_INSTANCE.most
            and sum(self._project(each) == project for each in self._talks.values())
            < bounds.METADATA_CONNECTIONS_OF_PROJECT.most
            and len(self._talks) < descriptors.share(bounds.METADATA_CONNECTIONS)
        )

    def _project(self, caller: Caller) -> str:
        spec = self._callers.get(caller)
        return spec.project if spec else ""

    def _ended(self, talk: asyncio.Task[None], connection: socket.socket) -> None:
        # Here and not in the task: one that is cancelled before its first step runs no line of its own.
        caller = self._talks.pop(talk)
        connection.close()
        error = None if talk.cancelled() else talk.exception()
        if error is not None and not isinstance(error, OSError):
            _log.error("metadata request failed", network=caller[0], source=caller[1], exc_info=error)


def _is_ipv6(caller: Caller) -> bool:
    return ":" in caller[1]
