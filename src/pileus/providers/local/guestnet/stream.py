"""TCP streams from the host to guests, out of the namespace of the guest's network."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine

from pileus.model.spec import NicSpec
from pileus.providers.local.guestnet.namespaces import open_socket
from pileus.providers.local.layout import Layout

CONNECT_TIMEOUT = 10.0
"""Seconds that a guest may take to accept."""

AGAIN = 0.1
"""Seconds after which a guest that says nothing is called once more: one that boots is not there to hear, and the
kernel would repeat itself only after one, three and seven seconds."""

GONE = 1.0
"""Seconds that a guest may still take to accept once its caller has hung up, or has nothing more to send."""

_LIFE = 1.0
"""Seconds that each call waits: a busy guest that answers late is not missed."""

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)


def dial(layout: Layout, nic: NicSpec, port: int, timeout: float = CONNECT_TIMEOUT) -> socket.socket:
    """Connect to TCP `port` of the guest behind `nic`, from its network's localport address.

    Blocks for at most `timeout` seconds; the socket that is returned has no timeout. Raises OSError: the
    guest refuses, does not answer (TimeoutError), or has no network here (FileNotFoundError). Not for the thread of an
    event loop.
    """
    connection = asyncio.run(dial_async(layout, nic, port, timeout))
    connection.setblocking(True)
    return connection


async def dial_async(
    layout: Layout,
    nic: NicSpec,
    port: int,
    timeout: float = CONNECT_TIMEOUT,  # noqa: ASYNC109  (as `dial`)
) -> socket.socket:
    """The same as `dial` for an event loop: the socket that is returned does not block."""
    return await first_of(lambda: call(layout, nic, port), timeout)


async def call(layout: Layout, nic: NicSpec, port: int) -> socket.socket:
    """Call TCP `port` of a guest once; the socket that is returned does not block. Raises OSError as `dial`."""
    connection = _bound(layout, nic)
    try:
        connection.setblocking(False)
        async with asyncio.timeout(_LIFE):
            await asyncio.get_running_loop().sock_connect(connection, (nic.address, port))
    except BaseException:
        connection.close()
        raise
    return connection


async def while_held(caller: socket.socket, dialling: Coroutine[None, None, socket.socket]) -> socket.socket:
    """Return the socket of `dialling` for `caller`; TimeoutError when `caller` hung up more than `GONE` seconds ago."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as patience:

        def heard() -> None:
            loop.remove_reader(caller)
            if _hung_up(caller):
                patience.reschedule(loop.time() + GONE)

        loop.add_reader(caller, heard)
        try:
            return await dialling
        finally:
            loop.remove_reader(caller)


async def first_of(call: Callable[[], Coroutine[None, None, socket.socket]], timeout: float) -> socket.socket:  # noqa: ASYNC109  (as `dial`)
    """Return the socket of the first answered call, one more each `AGAIN` seconds. TimeoutError after `timeout`.

    A refusal is an answer too: its OSError is raised. Calls that end by TimeoutError are no answer. The first call and
    the newest are waited for, those between are given up: a guest that answers late would answer them all.
    """
    calls: list[asyncio.Future[socket.socket]] = []
    try:
        async with asyncio.timeout(timeout):
            while True:
                if len(calls) > 1:
                    calls.pop().cancel()
                calls.append(asyncio.ensure_future(call()))
                ended, _ = await asyncio.wait(calls, timeout=AGAIN, return_when=asyncio.FIRST_COMPLETED)
                answers = [attempt for attempt in ended if not isinstance(attempt.exception(), TimeoutError)]
                if answers:
                    calls.remove(answers[0])
                    return answers[0].result()
                calls = [attempt for attempt in calls if attempt not in ended]
    finally:
        for attempt in calls:
            attempt.cancel()
            attempt.add_done_callback(_drop)


def _drop(call: asyncio.Future[socket.socket]) -> None:
    """Close what a call that is no longer waited for has brought all the same."""
    if not call.cancelled() and call.exception() is None:
        call.result().close()


def _hung_up(caller: socket.socket) -> bool:
    """Whether nothing is to come from a caller any more."""
    try:
        return not caller.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


async def splice(client: socket.socket, guest: socket.socket) -> None:
    """Copy bytes both ways until both sides have ended; one that ends its sending may still receive.

    The sockets must not block; they stay open. A chunk is read only when the last one is written, so a slow
    reader slows its writer. Raises OSError (in an ExceptionGroup) when either side breaks.
    """
    async with asyncio.TaskGroup() as both:
        both.create_task(_copy(client, guest))
        both.create_task(_copy(guest, client))


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
