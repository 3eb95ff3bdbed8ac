"""TCP streams from the host to guests, out of the namespace of the guest's network."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from pileus.model.spec import NicSpec
from pileus.providers.local.guestnet.namespaces import open_socket
from pileus.providers.local.layout import Layout

CONNECT_TIMEOUT = 10.0
"""Seconds that a guest may take to accept."""

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)


def dial(layout: Layout, nic: NicSpec, port: int, timeout: float = CONNECT_TIMEOUT) -> socket.socket:
    """Connect to TCP `port` of the guest behind `nic`, from its network's localport address.

    Blocks for at most `timeout` seconds; the socket that is returned has no timeout. Raises OSError: the
    guest refuses, does not answer (TimeoutError), or has no network here (FileNotFoundError).
    """
    connection = _bound(layout, nic)
    try:
        connection.settimeout(timeout)
        connection.connect((nic.address, port))
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


async def dial_async(
    layout: Layout,
    nic: NicSpec,
    port: int,
    timeout: float = CONNECT_TIMEOUT,  # noqa: ASYNC109
) -> socket.socket:
    """The same as `dial` for an event loop: the socket that is returned does not block."""
    connection = _bound(layout, nic)
    try:
        connection.setblocking(False)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(connection, (nic.address, port))
    except BaseException:
        connection.close()
        raise
    return connection


async def splice(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes both ways until both sides have ended; one that ends its sending may still receive.

    The sockets must not block; they stay open. A chunk is read only when the last one is written, so a slow
    reader slows its writer. Raises OSError (in an ExceptionGroup) when either side breaks.
    """
    async with asyncio.TaskGroup() as both:
        both.create_task(_copy(one, other))
        both.create_task(_copy(other, one))


def reset(connection: socket.socket) -> None:
    """Close so that the peer learns of a break, not of an orderly end."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


def keep_alive(connection: socket.socket) -> None:
    """Have the kernel notice, within two minutes or so, that a peer is gone without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _bound(layout: Layout, nic: NicSpec) -> socket.socket:
    connection = open_socket(layout.network_netns(nic.network))
    try:
        # The one source that the network's rules let through to every port of a guest.
        connection.bind((nic.localport, 0))
        keep_alive(connection)
    except BaseException:
        connection.close()
        raise
    return connection


async def _copy(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, _CHUNK):
        await loop.sock_sendall(target, data)
    target.shutdown(socket.SHUT_WR)
