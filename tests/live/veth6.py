"""IPv6 of guests without a machine: echo requests, TCP, router solicitations and DHCPv6 by raw sockets."""

from __future__ import annotations

import secrets
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

from tests.live import veth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.veth import Guest

ALL_NODES, ALL_ROUTERS, SERVERS = "ff02::1", "ff02::2", "ff02::1:2"
_IPV6, _UDP, _ICMP = 0x86DD, 17, 58
_HEADERS = 14 + 40
ADVERTISEMENT = 134


def add(guest: Guest, *addresses: str) -> None:
    """Give the guest's interface these addresses (with prefix length), usable at once."""
    for address in addresses:
        veth.ip("-n", guest.namespace, "address", "add", address, "dev", "eth0", "nodad")


def pings(namespace: str, address: str, wait: float = 0.7) -> bool:
    """Whether `address` answers one echo request that is sent in a namespace."""

    def ping() -> bool:
        token = secrets.token_bytes(8)
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
            raw.settimeout(wait)
            # The kernel fills the checksum in.
            try:
                raw.sendto(struct.pack("!BBHHH", 128, 0, 0, secrets.randbelow(1 << 16), 1) + token, (address, 0))
                until = time.monotonic() + wait
                while time.monotonic() < until:
                    reply = raw.recv(2048)
                    if reply[0] == 129 and reply[8:16] == token:
                        return True
            except OSError:
                return False
        return False

    return veth.within(namespace, ping)


def fetched(namespace: str, address: str, port: int, source: str = "") -> bytes:
    """The first bytes of a TCP server, read from `namespace`; empty when no connection is made."""

    def fetch() -> bytes:
        try:
            bound = (source, 0) if source else None
            with socket.create_connection((address, port), 1.0, bound) as stream:
                return stream.recv(64)
        except OSError:
            return b""

    return veth.within(namespace, fetch)


def server(namespace: str, port: int) -> socket.socket:
    """A TCP server at all IPv6 addresses of a namespace, which tells callers how it sees them."""

    def bind() -> socket.socket:
        listener = socket.create_server(("::", port), family=socket.AF_INET6)
        listener.listen()
        return listener

    listener = veth.within(namespace, bind)

    def loop() -> None:
        while True:
            try:
                stream, caller = listener.accept()
            except OSError:
                return
            with stream:
                stream.sendall(caller[0].encode())

    threading.Thread(target=loop, daemon=True).start()
    return listener


def link_local(mac: str) -> str:
    """The link-local address of an interface with this MAC."""
    octets = veth.packed(mac)
    own = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return socket.inet_ntop(socket.AF_INET6, b"\xfe\x80" + bytes(6) + own)


def packet(source: str, target: str, kind: int, body: bytes, at: int) -> bytes:
    """An IPv6 packet of the protocol `kind`, whose checksum is at the offset `at` of its body."""
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    pseudo = ends + struct.pack("!II", len(body), kind) + body + bytes(len(body) % 2)
    body = body[:at] + struct.pack("!H", veth.checksum(pseudo) or 0xFFFF) + body[at + 2 :]
    return struct.pack("!IHBB", 6 << 28, len(body), kind, 255) + ends + body


def datagram(source: str, target: str, ports: tuple[int, int], words: bytes) -> bytes:
    """An IPv6 packet with a UDP datagram."""
    return packet(source, target, _UDP, struct.pack("!HHHH", *ports, 8 + len(words), 0) + words, 6)


def frame(mac: str, target: str, body: bytes, to: str = "") -> bytes:
    """A frame with an IPv6 packet from a MAC to a multicast address, or to the MAC `to`."""
    group = b"\x33\x33" + socket.inet_pton(socket.AF_INET6, target)[12:]
    return veth.frame(mac, veth.packed(to) if to else group, _IPV6, body)


def advertisement(mac: str, prefix: str) -> bytes:
    """The frame of a router advertisement that a guest with this MAC sends: itself as the way out, and a prefix."""
    option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + socket.inet_pton(socket.AF_INET6, prefix)
    body = struct.pack("!BBHBBHII", ADVERTISEMENT, 0, 0, 64, 0, 1800, 0, 0) + option
    return frame(mac, ALL_NODES, packet(link_local(mac), ALL_NODES, _ICMP, body, 2))


def echo(source: str, target: str) -> bytes:
    """The packet of an echo request."""
    return packet(source, target, _ICMP, struct.pack("!BBHHH", 128, 0, 0, 7, 1) + b"spoofed", 2)


def heard(raw: socket.socket, seconds: float) -> Iterator[bytes]:
    """Yield the IPv6 frames that come in at a guest's interface within so many seconds."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            received, where = raw.recvfrom(4096)
        except TimeoutError:
            return
        if where[2] != socket.PACKET_OUTGOING and received[12:14] == struct.pack("!H", _IPV6):
            yield received


def dhcpv6(guest: Guest, kind: int, more: bytes = b"") -> dict[int, bytes] | None:
    """The options (by number) of the answer to a DHCPv6 message of `kind` (1 solicit, 3 request), None for none."""
    transaction = secrets.token_bytes(3)
    client = struct.pack("!HHHH", 1, 10, 3, 1) + veth.packed(guest.mac)
    body = bytes([kind]) + transaction + client + struct.pack("!HHIII", 3, 12, 1, 0, 0) + more
    with guest.wire() as raw:
        raw.send(frame(guest.mac, SERVERS, datagram(link_local(guest.mac), SERVERS, (546, 547), body)))
        for reply in heard(raw, 1.0):
            message = reply[_HEADERS + 8 :]
            answers = reply[20] == _UDP and reply[_HEADERS + 2 : _HEADERS + 4] == struct.pack("!H", 546)
            if answers and message[1:4] == transaction:
                return _options(message[4:])
    return None


def _options(data: bytes) -> dict[int, bytes]:
    options: dict[int, bytes] = {}
    while len(data) >= 4:
        number, length = struct.unpack("!HH", data[:4])
        options[number], data = data[4 : 4 + length], data[4 + length :]
    return options


def leased(options: dict[int, bytes]) -> str:
    """The address that the answer's IA_NA has."""
    return socket.inet_ntop(socket.AF_INET6, _options(options[3][12:])[5][:16])
