"""Asking resolvers of the operator's choice, from the host's own network, what a network's resolver does not know."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.rcode

from pileus.providers.local.guestnet.dns import LARGEST_DATAGRAM, Query

TIMEOUT = 2.0
"""Seconds that one resolver may take."""

MOST = 2
"""Resolvers that are asked, one after the other, before the answer is that there is none."""

PORT = 53
RESOLV_CONF = Path("/etc/resolv.conf")

Server = tuple[str, int]
"""IPv4 or IPv6 address, and port."""

Servers = Callable[[], Sequence[Server]]
"""The resolvers to ask; called for each question, must not block for long."""

_LARGEST = 65535
_ELSEWHERE = frozenset({dns.rcode.SERVFAIL, dns.rcode.NOTIMP, dns.rcode.REFUSED})
"""Answers after which the next resolver is asked, as glibc does."""


def host_servers(path: Path = RESOLV_CONF) -> list[Server]:
    """The resolvers that `path` names now, in its order (resolv.conf(5)); none when it cannot be read."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    servers = []
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            with contextlib.suppress(ValueError):
                # A scoped address such as fe80::1%eth0 is one too.
                servers.append((str(ipaddress.ip_address(words[1])), PORT))
    return servers


async def ask(query: Query, servers: Sequence[Server], *, streamed: bool) -> bytes | None:
    """The answer of the first of `servers` that has one, else a refusal of one, under `query`'s own id; or None.

    The question is asked anew: nothing else of what a guest sent leaves the host. Asked by TCP where the guest
    did (`streamed`), so that it also gets what a datagram cannot hold.
    """
    (question,) = query.question
    refusal = None
    for server in servers[:MOST]:
        upstream_query = dns.message.make_query(
            question.name, question.rdtype, question.rdclass, id=secrets.randbits(16)
        )
        upstream_query.flags |= query.flags & (dns.flags.AD | dns.flags.CD)
        if query.edns >= 0:
            upstream_query.use_edns(0, ednsflags=query.ednsflags & dns.flags.DO, payload=LARGEST_DATAGRAM)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(TIMEOUT):
                wire = await (_by_stream if streamed else _by_datagram)(server, upstream_query)
            if wire is not None:
                response = struct.pack(">H", query.id) + wire[2:]
                if wire[3] & 0xF not in _ELSEWHERE:
                    return response
                refusal = refusal or response
    return refusal


async def _by_datagram(server: Server, query: Query) -> bytes:
    """The first datagram that answers `query`; others are passed over."""
    loop = asyncio.get_running_loop()
    # A port of its own for each question, and connected: nobody else can put an answer in.
    with socket.socket(_family(server), socket.SOCK_DGRAM) as link:
        link.setblocking(False)
        link.connect(server)
        await loop.sock_sendall(link, query.to_wire())
        while True:
            wire = await loop.sock_recv(link, _LARGEST)
            if _answers(wire, query):
                return wire


async def _by_stream(server: Server, query: Query) -> bytes | None:
    loop = asyncio.get_running_loop()
    with socket.socket(_family(server), socket.SOCK_STREAM) as link:
        link.setblocking(False)
        await loop.sock_connect(link, server)
        wire = query.to_wire()
        await loop.sock_sendall(link, struct.pack(">H", len(wire)) + wire)
        head = await read_exactly(link, 2)
        wire = await read_exactly(link, *struct.unpack(">H", head)) if head else b""
        return wire if _answers(wire, query) else None


async def read_exactly(link: socket.socket, size: int) -> bytes:
    """`size` bytes from a stream that does not block; nothing when it ends before. Raises OSError."""
    data = b""
    while len(data) < size:
        more = await asyncio.get_running_loop().sock_recv(link, size - len(data))
        if not more:
            return b""
        data += more
    return data


def _answers(wire: bytes, query: Query) -> bool:
    """Whether `wire` is an answer to `query`: same id, same question."""
    try:
        response = dns.message.from_wire(wire, question_only=True)
    except (dns.exception.DNSException, ValueError, struct.error, IndexError):
        return False
    return response.id == query.id and bool(response.flags & dns.flags.QR) and response.question == query.question


def _family(server: Server) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server[0] else socket.AF_INET
