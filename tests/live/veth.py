"""Guests without a machine: network namespaces plugged into the switch by veth pairs, speaking by raw sockets."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from pileus.model.spec import PortSpec, SubnetSpec
from pileus.providers.local.engine import switch
from pileus.providers.local.layout import Layout
from pileus.providers.local.machine import tap

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
PATIENCE = 60.0
MTU = 1442
_BROADCAST = b"\xff" * 6
_IPV4 = 0x0800
_COOKIE = b"\x63\x82\x53\x63"


def ip(*arguments: str) -> None:
    """Change links, addresses or namespaces."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def within(namespace: str, work: Callable[[], T]) -> T:
    """The result of `work` done inside a network namespace, in a thread of its own."""
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"setns {namespace}")
            finally:
                os.close(handle)
            results.append(work())
        except Exception as error:  # noqa: BLE001  (handed to the caller below)
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def eventually(condition: Callable[[], T], what: str) -> T:
    """The first true value of `condition`, asked again and again."""
    until = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"it never came true that {what}"
        time.sleep(0.02)


class Guest:
    """A namespace plugged in as the logical port `port`, with `addresses` (with prefix lengths) on its eth0."""

    def __init__(self, layout: Layout, port: str, mac: str, addresses: list[str], gateway: str = "") -> None:
        self.layout, self.mac = layout, mac
        self.address = addresses[0].partition("/")[0] if addresses else ""
        self.interface = f"v{secrets.token_hex(5)}"
        self.namespace = f"{layout.netns}-{self.interface}"
        ip("netns", "add", self.namespace)
        ip(
            *("-n", layout.netns, "link", "add", self.interface),
            *("type", "veth", "peer", "name", "eth0", "netns", self.namespace),
        )
        within(layout.netns, lambda: tap.settle(self.interface, MTU))
        ip("-n", self.namespace, "link", "set", "lo", "up")
        ip("-n", self.namespace, "link", "set", "eth0", "address", mac, "mtu", str(MTU), "up")
        for address in addresses:
            ip("-n", self.namespace, "address", "add", address, "dev", "eth0")
        if gateway:
            ip("-n", self.namespace, "route", "add", "default", "via", gateway)
        switch.attach(layout, self.interface, port)

    def close(self) -> None:
        """Unplug it and remove its namespace."""
        switch.detach(self.layout, self.interface)
        ip("netns", "delete", self.namespace)

    def pings(self, address: str, wait: float = 0.5) -> bool:
        """Whether `address` answers one echo request within `wait` seconds."""
        return within(self.namespace, lambda: ping(address, wait))

    def fetches(self, address: str, port: int, wait: float = 1.0, source: str = "") -> bytes:
        """What a TCP server at (`address`, `port`) says first; nothing when it cannot be reached."""

        def fetch() -> bytes:
            try:
                bound = (source, 0) if source else None
                with socket.create_connection((address, port), wait, bound) as stream:
                    return stream.recv(64)
            except OSError:
                return b""

        return within(self.namespace, fetch)

    def listen(self, address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        """A bound (and for TCP, listening) socket inside the namespace."""

        def bind() -> socket.socket:
            server = socket.socket(socket.AF_INET, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            if kind == socket.SOCK_STREAM:
                server.listen()
            return server

        return within(self.namespace, bind)

    def wire(self) -> socket.socket:
        """A raw socket on eth0, for frames as they are; times out after half a second."""

        def bind() -> socket.socket:
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            raw.bind(("eth0", 0))
            raw.settimeout(0.5)
            return raw

        return within(self.namespace, bind)


def serve(server: socket.socket, words: bytes) -> None:
    """Say `words` to whoever connects, until the socket is closed."""

    def loop() -> None:
        while True:
            try:
                stream, _ = server.accept()
            except OSError:
                return
            with stream:
                stream.sendall(words)

    threading.Thread(target=loop, daemon=True).start()


def guest(layout: Layout, spec: PortSpec, subnet: SubnetSpec) -> Guest:
    """A guest for the port `spec`, its address set without DHCP."""
    prefix = subnet.cidr.partition("/")[2]
    return Guest(layout, spec.uuid, spec.mac, [f"{spec.address}/{prefix}"], subnet.gateway)


def frame(source: str, target: bytes, kind: int, body: bytes) -> bytes:
    """An Ethernet frame from the MAC `source`."""
    return target + packed(source) + struct.pack("!H", kind) + body


def datagram(source: str, target: str, ports: tuple[int, int], words: bytes) -> bytes:
    """An IPv4 packet with a UDP datagram from `source` to `target`, without UDP checksum."""
    udp = struct.pack("!HHHH", *ports, 8 + len(words), 0) + words
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0)
    header += socket.inet_aton(source) + socket.inet_aton(target)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + udp


def checksum(words: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(mac: str) -> bytes:
    """The six bytes of a MAC."""
    return bytes.fromhex(mac.replace(":", ""))


def dhcp(guest: Guest, kind: int, more: bytes = b"") -> tuple[str, dict[int, bytes]] | None:
    """The address and the options (by number) that a DHCP message of `kind` (1 discover, 3 request) brings, or None."""
    transaction = secrets.token_bytes(4)
    with guest.wire() as raw:
        raw.send(_dhcp(guest, kind, transaction, more))
        try:
            while True:
                reply = raw.recv(4096)
                if _answers(reply) and reply[46:50] == transaction:
                    return socket.inet_ntoa(reply[58:62]), _options(reply[282:])
        except TimeoutError:
            return None


def dhcp_flood(guest: Guest, times: int) -> int:
    """Send so many DHCP discovers, some 4,000 a second; the number of answers."""
    answers = 0
    discover = _dhcp(guest, 1, secrets.token_bytes(4))
    with guest.wire() as raw:
        for number in range(times):
            raw.send(discover)
            if number % 20 == 0:
                raw.settimeout(0.005)
                with contextlib.suppress(TimeoutError):
                    while True:
                        answers += _answers(raw.recv(4096))
    return answers


def _dhcp(guest: Guest, kind: int, transaction: bytes, more: bytes = b"") -> bytes:
    body = struct.pack("!BBBB4sHH", 1, 1, 6, 0, transaction, 0, 0x8000) + bytes(16)
    body += packed(guest.mac) + bytes(10 + 192) + _COOKIE
    body += bytes([53, 1, kind, 55, 8, 1, 3, 6, 12, 15, 26, 51, 121]) + more + b"\xff"
    packet = datagram("0.0.0.0", "255.255.255.255", (68, 67), body)  # noqa: S104  (who has no address yet)
    return frame(guest.mac, _BROADCAST, _IPV4, packet)


def _answers(reply: bytes) -> bool:
    return reply[23:24] == b"\x11" and reply[36:38] == struct.pack("!H", 68)


def _options(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(data) and data[at] != 255:
        length = data[at + 1]
        found[data[at]] = data[at + 2 : at + 2 + length]
        at += 2 + length
    return found


def ping(address: str, wait: float = 0.5) -> bool:
    """Whether `address` answers one echo request within `wait` seconds, in the namespace of this thread."""
    token = secrets.token_bytes(8)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(wait)
        # One number for all would make their translations collide: the switch tells ICMP flows by it.
        request = struct.pack("!BBHHH", 8, 0, 0, secrets.randbelow(1 << 16), 1) + token
        request = request[:2] + struct.pack("!H", checksum(request)) + request[4:]
        try:
            raw.sendto(request, (address, 0))
            until = time.monotonic() + wait
            while time.monotonic() < until:
                reply = raw.recv(2048)
                if reply[20] == 0 and reply[28:36] == token:
                    return True
        except OSError:
            return False
    return False


_TOKEN = """
import socket, urllib.request
packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(0x0800))
packets.settimeout(5)
seconds = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
request = urllib.request.Request("http://169.254.169.254/latest/api/token", method="PUT", headers=seconds)
urllib.request.urlopen(request, timeout=5).read()
while b"HTTP/1.1 200" not in (packet := packets.recv(4096)):
    pass
print(packet[8])
"""


def token_hops(namespace: str) -> int:
    """The time-to-live of the packet in which the guest in `namespace` gets a metadata token."""
    command = ("ip", "netns", "exec", namespace, sys.executable, "-c", _TOKEN)
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout)
